"""What a training says of itself while it runs."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The result of an epoch.

    Attributes:
      number: from 1.
      epochs: how many there are.
      step: steps learned in all, earlier runs included.
      loss: mean training loss, nats; of this call's steps alone where the epoch was resumed.
      validation: values of the validation, empty without one.
      monitor: name of the one that chooses the best weights.
      best: its smallest value so far, infinity without a validation.
      is_best: whether this epoch has it.
    """

    number: int
    epochs: int
    step: int
    loss: float
    validation: Mapping[str, float]
    monitor: str
    best: float
    is_best: bool


class Reporter:
    """Receives the progress of a training; this base class ignores it."""

    def start(self, step: int, total: int) -> None:
        """The first batch is asked for; `step` of `total` steps were learned by earlier calls."""

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """The result of a step is known.

        Args:
          step: how many have been learned, this one included.
          values: of the last few steps: mean `loss`, NaN where none was learned, `windows_per_s`, `waiting` (share of
            the time).
        """

    def validating(self) -> None:
        """An epoch has been learned, and is validated now."""

    def epoch(self, result: Epoch) -> None:
        """An epoch and its validation have ended."""

    def close(self) -> None:
        """Training ends, also by an error."""
