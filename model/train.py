"""The training loop, which resumes from its last checkpoint.

Python gives steps to the device ahead of their results: a step is `settled`, which means that its loss is looked at,
after the next ones were given. So a GPU need not wait for Python.
"""

import concurrent.futures
import contextlib
import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from model import batch as fields
from model.averaging import Average
from model.checkpoints import TrainingState
from model.config import TrainConfig
from model.curves import Curves, Profiler
from model.distribution import SINGLE, Distribution
from model.errors import RunError
from model.lipreader import LipReader
from model.meters import Mean, Meter
from model.progress import Epoch, Reporter
from model.train_step import VALUES, Batch, batch_keys, make_optimizer, make_step

LOG_EVERY = 10  # steps a point in TensorBoard
AHEAD = 2  # steps that the device is given before the result of the first is waited for
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
    reporter: Reporter | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> TrainResult:
    """Trains a model, from the last checkpoint in `run_dir` if there is one.

    Args:
      model: is trained in place.
      config: how.
      batches: step -> the batches from that step on, counted through all epochs; keys in `model.batch`. Called once;
        with several replicas once for each share, as `batches(step, share)`.
      steps_per_epoch: batches of an epoch.
      run_dir: gets `last/`, `best/` and `tensorboard/`.
      validate: called after each epoch, with averaged weights if there are some; its `config.monitor` picks the best
        checkpoint. What it writes with `tf.summary` goes to TensorBoard.
      stop: once it is set, training ends after the current step or validation, with a checkpoint. Of several workers
        one that is told to stop is enough; the step after it is still learned.
      distribution: where to, the one in whose scope `model` was made. Of several workers each validates all, so that
        none has to wait for long, and the chief's values count; the chief alone writes.
      reporter: is told how it goes; the chief's alone.
      profile_steps: the first step that TensorBoard's profiler records, counted through all epochs, and the one after
        the last.

    Raises:
      WorkersError: another worker has ended or stalled.
      RunError: a batch more than there are examples, a loss or gradient that is not finite, data that ends early, a
        checkpoint that cannot be read or written, or a validation without `config.monitor`.
    """
    if steps_per_epoch < 1:
        raise RunError("batch_size: fewer training examples than one batch holds; lower it")
    loop = _Loop(model, config, batches, steps_per_epoch, Path(run_dir), validate, distribution)
    if distribution.is_chief:
        loop.reporter, loop.profiler = reporter or Reporter(), Profiler(profile_steps, loop.run_dir)
    return loop.run(stop or threading.Event())


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A step whose result is not known yet.

    Attributes:
      rows, windows: of its global batch, those that count.
      waited: seconds that its batches were waited for.
      names: ids of this worker's rows, and which of them count, `[B]` each.
      result: what `make_step` returns, as arrays, and when it was done; None where no row counts, so that nothing is
        learned.
    """

    rows: int
    windows: int
    waited: float
    names: tuple[np.ndarray, np.ndarray]
    result: concurrent.futures.Future[tuple[np.ndarray, np.ndarray, float]] | None


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
        self.reporter, self.profiler = Reporter(), Profiler(None, run_dir)
        self.keys = batch_keys(model)
        with distribution.scope():
            self.optimizer = make_optimizer(model, config, config.epochs * steps_per_epoch)
            self.average = Average(model, config.ema) if config.ema else None
        self.step = make_step(model, self.optimizer, config, distribution, self.average)
        self.state = TrainingState(model, self.optimizer, run_dir, self.average, distribution.is_chief)
        self.curves = Curves(run_dir / "tensorboard", distribution.is_chief)
        self.pending: deque[_Pending] = deque()
        self.settled = 0  # steps of this epoch whose results are known
        self.stopping = False  # as all workers know it
        self.loss: float | None = None
        self.meter, self.epoch_loss = Meter(time.perf_counter()), Mean()
        self.waited = self.trained = 0.0  # seconds
        self.validation: dict[str, float] = {}

    @property
    def total(self) -> int:
        """Steps whose results are known, of all epochs."""
        return self.state.epoch * self.steps_per_epoch + self.settled

    def run(self, stop: threading.Event) -> TrainResult:
        self._resume()
        self.reporter.start(self.total, self.config.epochs * self.steps_per_epoch)
        self.stream = iter(() if self._ended() else self.distribution.streams(self.batches, self.total))
        with (
            self._fetching() as self.fetcher,
            contextlib.closing(self.curves),
            contextlib.closing(self.profiler),
            contextlib.closing(self.reporter),
        ):
            while not self._ended() and not self._stops(stop):
                self._steps(stop)
                if not self._stops(stop):
                    self._end_epoch()
                self._save()
        self.distribution.exchange(None)  # what the chief writes is written before any worker ends
        waiting = self.waited / self.trained if self.trained else 0.0
        interrupted, best = not self._ended(), self.state.best
        return TrainResult(self.total, interrupted, self.loss, self.validation, best, waiting)

    @contextlib.contextmanager
    def _fetching(self) -> Iterator[concurrent.futures.Executor]:
        """Yields what fetches results; where training ends by an error, it first waits for the steps under way."""
        fetcher = concurrent.futures.ThreadPoolExecutor(1)
        try:
            yield fetcher
        finally:
            with self.distribution.guarded():  # a step that waits for a lost worker may never end
                fetcher.shutdown()

    def _resume(self) -> None:
        """Restores the last checkpoint, which has to be the same one on all workers."""
        self.state.resume()
        self.settled = self.state.step
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
        worn = patience is not None and self.state.stale >= patience
        return worn or self.state.epoch >= self.config.epochs

    def _steps(self, stop: threading.Event) -> None:
        """Trains on the rest of the epoch, or until it is told to stop."""
        self.meter, self.epoch_loss = Meter(time.perf_counter()), Mean()
        for index in range(self.settled, self.steps_per_epoch):
            began = time.perf_counter()
            batches = next(self.stream, None)
            waited = time.perf_counter() - began
            if batches is None:
                self._settle_all()
                raise RunError(
                    f"epoch {self.state.epoch}: the data ended after {index} of {self.steps_per_epoch} batches; "
                    "is it the data that the run was started with?"
                )
            total, learned = self.state.epoch * self.steps_per_epoch + index, self.loss is not None
            self._profile(total)
            self._dispatch(batches, waited, stop)
            if learned:  # the first batch waits for files to be opened, and the first step is traced
                self.waited += waited
                self.trained += time.perf_counter() - began
            if self._stops(stop):
                break
            if (total + 1) % self.config.checkpoint_every == 0 and index + 1 < self.steps_per_epoch:
                self._save()
        self._settle_all()
        if self.profiler.runs:
            self._profile(self.total)  # of steps alone, not of the validation after them

    def _profile(self, step: int) -> None:
        """Begins or ends the profile before a step, while the device has no other."""
        if self.profiler.changes(step):
            self._settle_all()
            self.profiler.change()

    def _dispatch(self, batches: tuple[Batch, ...], waited: float, stop: threading.Event) -> None:
        """Gives the device one step, and settles those that were given long enough before."""
        rows, windows = self._agree(batches, stop)
        ids, counted = zip(*map(_named, batches), strict=True)
        names = np.concatenate(ids), np.concatenate(counted)
        result = None
        if rows:
            with self.distribution.guarded():
                tensors = self.step(*(fields.select(batch, self.keys) for batch in batches))
            result = self.fetcher.submit(_fetched, tensors)
        else:  # the counter moves alone: even a gradient of 0 decays weights and moves statistics
            self.optimizer.iterations.assign_add(1)
        self.pending.append(_Pending(rows, windows, waited, names, result))
        while len(self.pending) > (AHEAD if self.loss is not None else 0):
            self._settle()

    def _agree(self, batches: tuple[Batch, ...], stop: threading.Event) -> tuple[int, int]:
        """Says what this worker alone knows; returns the rows that count and their windows, of the global batch."""
        counted = [_counted(batch) for batch in batches]
        windows = [np.asarray(batch[fields.LENGTHS])[rows].sum() for batch, rows in zip(batches, counted, strict=True)]
        said = self.distribution.exchange((int(np.concatenate(counted).sum()), int(sum(windows)), stop.is_set()))
        rows, windows, stops = (sum(values) for values in zip(*said, strict=True))
        self.stopping = bool(stops)
        return rows, windows

    def _settle_all(self) -> None:
        while self.pending:
            self._settle()

    def _settle(self) -> None:
        """Waits for the oldest step that was given, and looks at its result."""
        step, values, done = self.pending.popleft(), {}, time.perf_counter()
        if step.result is not None:
            with self.distribution.guarded():
                rows, vector, done = step.result.result()
            values = dict(zip(VALUES, vector.tolist(), strict=True))
            self.loss = values["loss"]
            overflow = values["loss_scale"] > 1  # the scale may have made it, and the optimizer has left it out
            if not math.isfinite(self.loss) or not (math.isfinite(values["gradient_norm"]) or overflow):
                raise RunError(self._not_finite(step, rows))
            self.epoch_loss.add(self.loss)
        self.settled += 1
        self.meter.count(step.windows, step.waited, done, self.loss if step.rows else None)
        self.reporter.step(self.total, self.meter.rates())
        if self.total % LOG_EVERY == 0:
            self.curves.training(self.total, self.meter.rates(), values)
            self.meter = Meter(done)

    def _not_finite(self, step: _Pending, rows: np.ndarray) -> str:
        names, counted = step.names
        bad, all_counted = (
            [name.decode() for name in names[chosen].tolist()] for chosen in (~np.isfinite(rows), counted)
        )
        said = self.distribution.exchange((bad, all_counted))
        ids = [name for bad, _ in said for name in bad] or [name for _, names in said for name in names]
        more = f" and {len(ids) - CLIPS_NAMED} more" if len(ids) > CLIPS_NAMED else ""
        what = "loss" if not math.isfinite(self.loss) else "gradient"
        return (
            f"step {self.total} (epoch {self.state.epoch}): the {what} is not finite, from clips "
            f"{', '.join(ids[:CLIPS_NAMED])}{more}; a text longer than its windows (inf) must go, else lower "
            f"the learning rate; {self.run_dir} keeps the last good checkpoint"
        )

    def _save(self) -> None:
        """Writes `last/`, once all that the device was given is known to be sound."""
        self._settle_all()
        self.state.step = self.settled
        self.state.save()

    def _end_epoch(self) -> None:
        self.state.epoch, self.settled = self.state.epoch + 1, 0
        self.state.step = 0
        is_best = False
        if self.validate is not None:
            self.reporter.validating()
            with self.average.applied() if self.average else contextlib.nullcontext():
                with self.curves.validation(self.total):
                    values = self.distribution.exchange(self.validate())[0]
                if self.config.monitor not in values:
                    known = ", ".join(sorted(values))
                    raise RunError(f"monitor: want one of {known}, got {self.config.monitor!r}")
                is_best = self.state.save_if_best(values[self.config.monitor])
            self.validation = values
            self.curves.validated(self.total, values)
        numbers = self.state.epoch, self.config.epochs, self.total, self.epoch_loss.result()
        self.reporter.epoch(Epoch(*numbers, self.validation, self.config.monitor, self.state.best, is_best))


def _fetched(tensors: tuple[tf.Tensor, tf.Tensor]) -> tuple[np.ndarray, np.ndarray, float]:
    """Waits for the results of a step; returns them, and when they were there."""
    rows, vector = (tensor.numpy() for tensor in tensors)
    return rows, vector, time.perf_counter()


def _counted(batch: Batch) -> np.ndarray:
    """Returns the rows that count, bool `[B]`."""
    return np.asarray(batch[fields.WEIGHTS]) > 0


def _named(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids and which rows count, `[B]` each."""
    return np.asarray(batch[fields.IDS]), _counted(batch)
