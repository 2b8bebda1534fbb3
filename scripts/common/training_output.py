"""What `scripts.train` prints: a bar on a terminal, plain lines elsewhere, and a summary at the end."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

from model.progress import Epoch, Reporter
from model.train import TrainResult
from scripts.common.bars import LINE_S

PROBED_STEPS = 20  # after the first, which is traced; then the time can be told
RATES = ("wer", "cer")
# tqdm's own without its steps a second, so that the rates fit into 80 columns.
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class TrainingOutput(Reporter):
    """Prints how a training goes: on a terminal a bar on the standard error, and everywhere a line an epoch.

    Args:
      steps_per_epoch: batches of an epoch.
      epochs: how many there are.
      profiled: the first step that the profiler records, and the one after the last; None where it records none.
      now: a clock, in seconds.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        epochs: int,
        profiled: tuple[int, int] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps_per_epoch, self._epochs, self._profiled, self._now = steps_per_epoch, epochs, profiled, now
        self._bar: tqdm | None = None
        self._total = 0
        self._first: tuple[int, float] | None = None  # the first step of this call, and when it had been taken
        self._shown = -math.inf  # when the last line was printed
        self.best: Epoch | None = None  # of this call

    def start(self, step: int, total: int) -> None:
        self._total = total
        self._say_what_is_profiled(step)
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=step, dynamic_ncols=True, bar_format=BAR)
            self._bar.set_postfix_str("preparing the first step")

    def step(self, step: int, values: Mapping[str, float]) -> None:
        if self._first is None:
            self._first, self._shown = (step, self._now()), self._now()
        if self._bar is not None:
            self._bar.set_postfix_str(_rates(values), refresh=False)
            self._bar.update(step - self._bar.n)
        if step - self._first[0] == PROBED_STEPS < self._steps_per_epoch:
            self._print(f"expected time: {spelled(self._seconds(step, self._total - step))}, and validation")
        elif self._bar is None and self._now() - self._shown >= LINE_S and step % self._steps_per_epoch:
            epoch, left = step // self._steps_per_epoch + 1, spelled(self._seconds(step, self._total - step))
            shown = ", ".join(filter(None, [_rates(values), f"{left} left"]))
            self._print(f"epoch {epoch} of {self._epochs}, step {step} of {self._total}: {shown}")

    def validating(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str("validating")

    def epoch(self, result: Epoch) -> None:
        if result.is_best:
            self.best = result
        shown = [f"loss {result.loss:.3f}"] if math.isfinite(result.loss) else []
        if result.validation:
            when = f"epoch {self.best.number}" if self.best else "before this call"
            best = f"best {result.monitor} so far {_value(result.monitor, result.best)} ({when})"
            shown += [f"validation loss {result.validation['loss']:.3f}", metrics(result.validation), best]
        if self._first and result.step > self._first[0] and result.step < self._total:
            shown.append(f"{spelled(self._seconds(result.step, self._total - result.step))} left")
        self._print(f"epoch {result.number} of {result.epochs}: {', '.join(shown)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str("")
            self._bar.close()

    def _say_what_is_profiled(self, step: int) -> None:
        """Prints which of the steps to profile are recorded, if not all; `step` are taken already."""
        first, last = self._profiled or (step, step)
        recorded = range(max(first, step), min(last, self._total))
        if len(recorded) < last - first:
            shown = f"only steps {recorded[0]:,} to {recorded[-1]:,} are" if recorded else "nothing is"
            why = [f"the run goes on from step {step:,}"] if step > first else []
            why += [f"it ends after step {self._total - 1:,}"] if self._total < last else []
            print(f"--profile_steps={first},{last}: {shown} recorded, since {' and '.join(why)}")

    def _seconds(self, step: int, steps: int) -> float:
        """Predicts the time of so many steps by the mean of this call's, validation included once there was one."""
        first, began = self._first
        return (self._now() - began) / (step - first) * steps if step > first else math.nan

    def _print(self, line: str) -> None:
        self._shown = self._now()
        if self._bar is None:
            print(line, flush=True)
        else:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()


def _rates(values: Mapping[str, float]) -> str:
    known = {"loss": "loss {:.3f}", "windows_per_s": "{:,.0f} windows/s", "waiting": "waiting {:.0%}"}
    return ", ".join(
        shown.format(values[name]) for name, shown in known.items() if math.isfinite(values.get(name, math.nan))
    )


def _value(monitor: str, value: float) -> str:
    return f"{value:.1%}" if monitor in RATES else f"{value:.3f}"


def metrics(values: Mapping[str, float]) -> str:
    """Returns the error rates of a validation, such as `wer 23.4%, cer 12.1%`."""
    return ", ".join(f"{name} {values[name]:.1%}" for name in RATES if name in values)


def spelled(seconds: float) -> str:
    """Returns a time as people say it, such as `4 min`."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def say_stopping() -> None:
    """Says that training ends, in a handler of a signal, where Python's own streams may be in use."""
    os.write(sys.stderr.fileno(), b"\nstopping after this step with a checkpoint; another signal ends it at once\n")


def best_validation(result: TrainResult, monitor: str, best: Epoch | None) -> str:
    """Returns the best validation of a run and its epoch, as far as this call knows.

    Args:
      result: of the training.
      monitor: name of the value that chooses the best weights.
      best: the best epoch, None if none of this call is.
    """
    if best is not None:
        loss = [f"loss {_value('loss', best.validation['loss'])}"] if monitor == "loss" else []
        return f"best validation: {', '.join([*loss, metrics(best.validation)])} (epoch {best.number})"
    if math.isfinite(result.best):
        return f"best validation: {monitor} {_value(monitor, result.best)} (before this call)"
    return "no validation"


def advice(raw: bool, remote: bool, cached: bool, augmented: bool) -> str:
    """Returns what helps where training waits for data.

    Args:
      raw: whether frames are stored raw.
      remote: whether the data lies in a store.
      cached: whether records of a store are kept on a disk.
      augmented: whether frames are augmented.
    """
    if remote and not cached:
        return "--cache_dir keeps records on this machine"
    if not raw:
        return "raw frames (--encoding=raw of scripts.convert) or more cores help"
    if augmented:
        return "frames are stored raw already; augmentation needs more cores, or fewer of its flags"
    return "frames are stored raw already; a faster disk or more cores help"
