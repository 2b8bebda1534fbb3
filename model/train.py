"""The training loop, which resumes from its last checkpoint."""

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from model import batch as fields
from model.checkpoints import TrainingState
from model.distribution import SINGLE, Distribution
from model.errors import RunError
from model.lipreader import LipReader
from model.train_step import Batch, TrainConfig, batch_keys, loss_scale, make_optimizer, make_step

LOG_EVERY = 10  # steps a point in TensorBoard
CLIPS_NAMED = 16  # in an error message
INPUT_BOUND = 0.1  # share of the time


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
      steps: learned in all, earlier runs included.
      interrupted: it was told to stop; the same call continues from there.
      loss: of the last step; None where nothing was left to learn.
      validation: the last validation's values, empty before the first.
      best: the smallest monitored value, infinity before the first validation.
      waiting: the share of this call's time of training that went into waiting for data.
    """

    steps: int
    interrupted: bool
    loss: float | None
    validation: dict[str, float]
    best: float
    waiting: float

    @property
    def input_bound(self) -> bool:
        """Whether training waited for data for more than a tenth of the time."""
        return self.waiting > INPUT_BOUND


def train(
    model: LipReader,
    config: TrainConfig,
    batches: Callable[[int], Iterable[Batch]],
    steps_per_epoch: int,
    run_dir: str | Path,
    validate: Callable[[], dict[str, float]] | None = None,
    stop: threading.Event | None = None,
    distribution: Distribution = SINGLE,
) -> TrainResult:
    """Trains a model, from the last checkpoint in `run_dir` if there is one.

    Args:
      model: is trained in place.
      config: how.
      batches: step -> the batches from that step on, counted through all epochs; keys in `model.batch`. Called once;
        with several replicas once for each share, as `batches(step, share)`.
      steps_per_epoch: batches of an epoch.
      run_dir: gets `last/`, `best/` and `tensorboard/`.
      validate: called after each epoch; its `config.monitor` picks the best checkpoint. What it writes with
        `tf.summary` goes to TensorBoard.
      stop: once it is set, training ends after the current step or validation, with a checkpoint. Of several workers
        one that is told to stop is enough; the step after it is still learned.
      distribution: where to, the one in whose scope `model` was made. Of several workers each validates all, so that
        none has to wait for long, and the chief's values count; the chief alone writes.

    Raises:
      WorkersError: another worker has ended or stalled.
      RunError: a batch more than there are examples, a loss or gradient that is not finite, data that ends early, a
        checkpoint that cannot be read or written, or a validation without `config.monitor`.
    """
    if steps_per_epoch < 1:
        raise RunError("batch_size: fewer training examples than one batch holds; lower it")
    loop = _Loop(model, config, batches, steps_per_epoch, Path(run_dir), validate, distribution)
    return loop.run(stop or threading.Event())


class _Loop:
    """The state of one call of `train`."""

    def __init__(
        self,
        model: LipReader,
        config: TrainConfig,
        batches: Callable[[int], Iterable[Batch]],
        steps_per_epoch: int,
        run_dir: Path,
        validate: Callable[[], dict[str, float]] | None,
        distribution: Distribution,
    ) -> None:
        self.config, self.batches, self.steps_per_epoch = config, batches, steps_per_epoch
        self.stream: Iterator[tuple[Batch, ...]] = iter(())
        self.run_dir, self.validate, self.distribution = run_dir, validate, distribution
        self.keys = batch_keys(model)
        with distribution.scope():
            self.optimizer = make_optimizer(model, config, config.epochs * steps_per_epoch)
        self.step = make_step(model, self.optimizer, config, distribution)
        self.state = TrainingState(model, self.optimizer, run_dir, distribution.is_chief)
        self.stopping = False  # as all workers know it
        self.loss: float | None = None
        self.waited = self.trained = 0.0  # seconds
        self.validation: dict[str, float] = {}

    @property
    def total(self) -> int:
        return int(self.state.epoch) * self.steps_per_epoch + int(self.state.step)

    def run(self, stop: threading.Event) -> TrainResult:
        self._resume()
        self.stream = iter(() if self._ended() else self.distribution.streams(self.batches, self.total))
        directory, writes = str(self.run_dir / "tensorboard"), self.distribution.is_chief
        writer = tf.summary.create_file_writer(directory) if writes else tf.summary.create_noop_writer()
        total = self.config.epochs * self.steps_per_epoch
        bar = tqdm(total=total, initial=self.total, unit="step", disable=not writes)
        with writer.as_default(), contextlib.closing(bar):
            while not self._ended() and not self._stops(stop):
                self._steps(stop, bar)
                if not self._stops(stop):
                    self._end_epoch()
                self.state.save()
        self.distribution.exchange(None)  # what the chief writes is written before any worker ends
        waiting = self.waited / self.trained if self.trained else 0.0
        best = float(self.state.best)
        return TrainResult(self.total, not self._ended(), self.loss, self.validation, best, waiting)

    def _resume(self) -> None:
        """Restores the last checkpoint, which has to be the same one on all workers."""
        self.state.resume()
        steps = self.distribution.exchange(self.total)
        if len(set(steps)) > 1:
            found = ", ".join(f"worker {worker} step {step}" for worker, step in enumerate(steps))
            raise RunError(
                f"{self.run_dir}: the workers find other checkpoints in it: {found}; put it where all see the same, "
                "such as a shared disk"
            )

    def _stops(self, stop: threading.Event) -> bool:
        """Returns whether it is told to stop; of several workers, whether one has said so before the last step."""
        return stop.is_set() if self.distribution.workers == 1 else self.stopping

    def _ended(self) -> bool:
        """Returns whether the last epoch or the patience is over."""
        patience = self.config.patience
        worn = patience is not None and int(self.state.stale) >= patience
        return worn or int(self.state.epoch) >= self.config.epochs

    def _steps(self, stop: threading.Event, bar: tqdm) -> None:
        """Trains on the rest of the epoch, or until it is told to stop."""
        epoch, first = int(self.state.epoch), int(self.state.step)
        meter = _Meter()
        for index in range(first, self.steps_per_epoch):
            began = time.perf_counter()
            batches = next(self.stream, None)
            waited = time.perf_counter() - began
            if batches is None:
                raise RunError(
                    f"epoch {epoch}: the data ended after {index} of {self.steps_per_epoch} batches; "
                    "is it the data that the run was started with?"
                )
            learned = self.loss is not None
            rows, windows = self._agree(batches, stop)
            norm = self._learn(batches) if rows else self._skip()
            if learned:  # the first batch waits for files to be opened, and the first step is traced
                self.waited += waited
                self.trained += time.perf_counter() - began
            meter.count(rows, windows, self.loss, waited)
            bar.update()
            bar.set_postfix(meter.rates())
            if self.total % LOG_EVERY == 0:
                self._log({**meter.rates(), "gradient norm": norm, **self._rates()})
                meter = _Meter()
            if self._stops(stop):
                return
            if self.total % self.config.checkpoint_every == 0 and index + 1 < self.steps_per_epoch:
                self.state.save()

    def _agree(self, batches: tuple[Batch, ...], stop: threading.Event) -> tuple[int, int]:
        """Says what this worker alone knows; returns the rows that count and their windows, of the global batch."""
        counted = [_counted(batch) for batch in batches]
        windows = [np.asarray(batch[fields.LENGTHS])[rows].sum() for batch, rows in zip(batches, counted, strict=True)]
        said = self.distribution.exchange((int(np.concatenate(counted).sum()), int(sum(windows)), stop.is_set()))
        rows, windows, stops = (sum(values) for values in zip(*said, strict=True))
        self.stopping = bool(stops)
        return rows, windows

    def _skip(self) -> float:
        """Moves the counters alone: even a gradient of 0 decays weights and moves statistics."""
        self.optimizer.iterations.assign_add(1)
        self.state.step.assign_add(1)
        return 0.0

    def _learn(self, batches: tuple[Batch, ...]) -> float:
        """Runs one step; returns the gradient norm."""
        scale = loss_scale(self.optimizer)
        with self.distribution.guarded():
            rows, loss, norm = self.step(*(fields.select(batch, self.keys) for batch in batches))
            self.loss = float(loss)
        overflow = scale is not None and scale > 1  # the scale may have made it, and the optimizer has left it out
        if not math.isfinite(self.loss) or not (math.isfinite(norm) or overflow):
            raise RunError(self._not_finite(batches, np.asarray(rows)))
        self.state.step.assign_add(1)
        return float(norm)

    def _not_finite(self, batches: tuple[Batch, ...], rows: np.ndarray) -> str:
        names, counted = (np.concatenate(each) for each in zip(*map(_named, batches), strict=True))
        bad, all_counted = (
            [name.decode() for name in names[chosen].tolist()] for chosen in (~np.isfinite(rows), counted)
        )
        said = self.distribution.exchange((bad, all_counted))
        ids = [name for bad, _ in said for name in bad] or [name for _, names in said for name in names]
        more = f" and {len(ids) - CLIPS_NAMED} more" if len(ids) > CLIPS_NAMED else ""
        what = "loss" if not math.isfinite(self.loss) else "gradient"
        return (
            f"step {self.total} (epoch {int(self.state.epoch)}): the {what} is not finite, from clips "
            f"{', '.join(ids[:CLIPS_NAMED])}{more}; a text longer than its windows (inf) must go, else lower "
            f"the learning rate; {self.run_dir} keeps the last good checkpoint"
        )

    def _end_epoch(self) -> None:
        self.state.epoch.assign_add(1)
        self.state.step.assign(0)
        if self.validate is None:
            return
        tf.summary.experimental.set_step(self.total)  # of what `validate` has to show
        self.validation = self.distribution.exchange(self.validate())[0]
        if self.config.monitor not in self.validation:
            raise RunError(f"monitor: want one of {', '.join(sorted(self.validation))}, got {self.config.monitor!r}")
        self._log({f"validation {name}": value for name, value in self.validation.items()})
        self.state.save_if_best(self.validation[self.config.monitor])

    def _log(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            tf.summary.scalar(name, value, step=self.total)

    def _rates(self) -> dict[str, float]:
        scale = loss_scale(self.optimizer)
        rate = float(self.optimizer.learning_rate.numpy())
        return {"learning rate": rate} | ({} if scale is None else {"loss scale": scale})


def _counted(batch: Batch) -> np.ndarray:
    """Returns the rows that count, bool `[B]`."""
    return np.asarray(batch[fields.WEIGHTS]) > 0


def _named(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids and which rows count, `[B]` each."""
    return np.asarray(batch[fields.IDS]), _counted(batch)


class _Meter:
    """Measures the mean loss, windows a second, and the share of time spent waiting for data."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.waited = self.loss = 0.0
        self.steps = self.windows = 0

    def count(self, rows: int, windows: int, loss: float | None, waited: float) -> None:
        self.waited += waited
        self.windows += windows
        if rows:
            self.loss += loss
            self.steps += 1

    def rates(self) -> dict[str, float]:
        seconds = time.perf_counter() - self.began
        return {
            "loss": self.loss / self.steps if self.steps else math.nan,
            "windows/s": self.windows / seconds,
            "waiting": self.waited / seconds,
        }
