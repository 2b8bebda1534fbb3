"""What is measured while a training runs."""

import math
import time


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
    """Measures windows a second and the share of time spent waiting for data, of steps given to the device.

    Their mean loss is that of the steps that are settled, some steps later.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.waited, self.windows, self.loss = 0.0, 0, Mean()

    def count(self, windows: int, waited: float) -> None:
        """Counts a step that is given: its windows, and the seconds that its data was waited for."""
        self.waited += waited
        self.windows += windows

    def rates(self) -> dict[str, float]:
        """The three by name; the first two are NaN where no step was given."""
        seconds = time.perf_counter() - self.began if self.windows else math.nan
        return {
            "loss": self.loss.result(),
            "windows_per_s": self.windows / seconds,
            "waiting": self.waited / seconds,
        }
