"""What is measured while a training runs."""

import math


class Mean:
    """The mean of what was added; NaN of nothing."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, value: float) -> None:
        self.sum += value
        self.count += 1

    def result(self) -> float:
        return self.sum / self.count if self.count else math.nan


class Meter:
    """Measures the mean loss, windows a second, and the share of time spent waiting for data.

    Time counts until the device has done a step, not until its result is looked at, which may be two steps later.

    Args:
      began: when the first step began, as `time.perf_counter` has it.
    """

    def __init__(self, began: float) -> None:
        self.began = self.done = began
        self.waited, self.windows, self.loss = 0.0, 0, Mean()

    def count(self, windows: int, waited: float, done: float, loss: float | None) -> None:
        """Counts a step.

        Args:
          windows: of its batch.
          waited: seconds that its data was waited for.
          done: when the device had done it.
          loss: its loss; None where nothing was learned.
        """
        self.waited += waited
        self.windows += windows
        self.done = done
        if loss is not None:
            self.loss.add(loss)

    def rates(self) -> dict[str, float]:
        """Returns the three by name, as NaN where there was no step."""
        seconds = self.done - self.began or math.nan
        return {
            "loss": self.loss.result(),
            "windows_per_s": self.windows / seconds,
            "waiting": self.waited / seconds,
        }
