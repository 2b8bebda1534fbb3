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
    """Measures the mean loss, windows a second, and the share of time spent waiting for data."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.waited, self.windows, self.loss = 0.0, 0, Mean()

    def count(self, windows: int, waited: float, loss: float | None) -> None:
        """Counts a step: windows, seconds that data was waited for, and loss; None where nothing was learned."""
        self.waited += waited
        self.windows += windows
        if loss is not None:
            self.loss.add(loss)

    def rates(self) -> dict[str, float]:
        seconds = time.perf_counter() - self.began
        return {
            "loss": self.loss.result(),
            "windows_per_s": self.windows / seconds,
            "waiting": self.waited / seconds,
        }
