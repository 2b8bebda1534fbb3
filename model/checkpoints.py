"""Saves the state of a training and restores weights."""

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tf_keras

from model.averaging import Average
from model.errors import RunError
from model.lipreader import LipReader
from model.run import load_run, refuse_other_model

WHICH = ("best", "last")


def restore(model: LipReader, run_dir: str | Path, which: str = "best") -> None:
    """Loads a run's weights into a model of the same configuration.

    Args:
      model: gets the weights.
      run_dir: that training made.
      which: "best", by validation; "last", the newest.

    Raises:
      RunError: not a run directory, no such checkpoint, a damaged one, or another configuration.
    """
    if which not in WHICH:
        raise ValueError(f"which: want one of {', '.join(WHICH)}, got {which!r}")
    run_dir = Path(run_dir)
    refuse_other_model(run_dir, model.config)
    path = _latest(run_dir, which)
    decay = load_run(run_dir).get("train", {}).get("ema", 0.0)
    if which == "best" or not decay:  # the best weights are averages already
        _read_part(tf.train.Checkpoint(model=model), path)
        return
    average = Average(model, decay)
    _read_part(tf.train.Checkpoint(model=model, average=average), path)
    average.apply()


def _read_part(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Loads the objects of `checkpoint`; the file may hold more."""
    with _named(path):
        checkpoint.restore(path).assert_existing_objects_matched().expect_partial()


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Turns the errors of a damaged or foreign checkpoint into a RunError."""
    try:
        yield
    except AssertionError as error:  # variables without a value, or values without a variable
        raise RunError(
            f"{path}: holds other variables than this program's model; use the program that wrote it, or train into a "
            "new directory"
        ) from error
    except (tf.errors.OpError, ValueError, IndexError) as error:  # cut short, another shape, or emptied
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be read ({reason}); restore it, or train into a new directory") from error


def _latest(run_dir: Path, which: str) -> str:
    paths = checkpoint_paths(run_dir / which)
    if not paths:
        other = WHICH[1 - WHICH.index(which)]
        hint = f"use the {other} one (--weights={other})" if checkpoint_paths(run_dir / other) else "train further"
        raise RunError(f"{run_dir / which}: no checkpoint; {hint}")
    return paths[0]


def has_begun(run_dir: str | Path) -> bool:
    """Returns whether there is a checkpoint to continue from."""
    return bool(checkpoint_paths(Path(run_dir) / "last"))


def checkpoint_paths(directory: Path) -> list[str]:
    """Lists the whole checkpoints of a directory, newest first, by their files; TensorFlow's own list may be lost."""
    numbers = {path: path.stem.removeprefix("ckpt-") for path in directory.glob("ckpt-*.index")}
    paths = sorted((int(number), path) for path, number in numbers.items() if number.isdecimal())
    return [str(path.with_suffix("")) for _, path in reversed(paths)]


def _listed(directory: Path) -> list[str]:
    try:
        state = tf.train.get_checkpoint_state(str(directory))
    except ValueError:  # the list is empty
        return []
    return list(reversed(state.all_model_checkpoint_paths)) if state else []


def _manager(checkpoint: tf.train.Checkpoint, directory: Path, keep: int) -> tf.train.CheckpointManager:
    """Manages the checkpoints that exist, whatever TensorFlow's own list says."""
    paths = checkpoint_paths(directory)
    if paths and paths != _listed(directory):
        tf.compat.v1.train.update_checkpoint_state(
            str(directory),
            paths[0],
            all_model_checkpoint_paths=paths[::-1],
            all_model_checkpoint_timestamps=[Path(f"{path}.index").stat().st_mtime for path in paths[::-1]],
            last_preserved_timestamp=0.0,  # all of them are to make room for newer ones
        )
    return tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep)


class TrainingState:
    """The state that training carries from step to step, and its checkpoints.

    Attributes:
      epoch, step: the position in the data: `step` batches of epoch `epoch` have been learned.
      best: the smallest validation value so far, infinity before the first.
      stale: validations since it last became smaller.

    They are numbers of the host, which the device is not waited for to read.

    Args:
      model: is saved and restored.
      optimizer: the same.
      run_dir: where to.
      average: of the weights, saved beside them; None without one.
      writes: False for a worker that only reads what the chief has written.
    """

    def __init__(
        self,
        model: LipReader,
        optimizer: tf_keras.optimizers.Optimizer,
        run_dir: str | Path,
        average: Average | None = None,
        writes: bool = True,
    ) -> None:
        run_dir = Path(run_dir)
        self.epoch, self.step, self.best, self.stale = 0, 0, math.inf, 0
        self._numbers = {
            name: tf.Variable(getattr(self, name), dtype=tf.float64 if name == "best" else tf.int64, trainable=False)
            for name in ("epoch", "step", "best", "stale")
        }
        averaged = {"average": average} if average else {}
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, **self._numbers, **averaged)
        # Two of the last: a fault while one is written, or in it, leaves the one before.
        self._run_dir = run_dir
        self._last = _manager(self._checkpoint, run_dir / "last", 2) if writes else None
        self._best = _manager(self._checkpoint, run_dir / "best", 1) if writes else None

    def resume(self) -> bool:
        """Loads the last checkpoint that can be read; returns False if there is none.

        Raises:
          RunError: there are some, and none can be read.
        """
        damaged: list[RunError] = []
        for path in checkpoint_paths(self._run_dir / "last"):
            try:
                with _named(path):
                    self._checkpoint.restore(path).assert_consumed()
                    for name, variable in self._numbers.items():
                        setattr(self, name, variable.numpy().item())
            except RunError as error:
                damaged.append(error)
                continue
            for error in damaged:
                logging.warning("%s; continuing from %s", error, path)
            return True
        if damaged:
            raise damaged[0]
        return False

    def save(self) -> None:
        """Writes `last/`."""
        self._save(self._last)

    def save_if_best(self, value: float) -> bool:
        """Writes `best/` if `value` is finite and no larger than any before; returns whether it is.

        The last of equal ones is the best: of a few clips many epochs read as many words, and the first to do so did it
        by luck (see "Lip reading" in RESULTS).
        """
        self.stale = 0 if value < self.best else self.stale + 1
        if not (value <= self.best and math.isfinite(value)):
            return False
        self.best = value
        self._save(self._best)
        return True

    def _save(self, manager: tf.train.CheckpointManager | None) -> None:
        for name, variable in self._numbers.items():
            variable.assign(getattr(self, name))
        _save(manager)


def _save(manager: tf.train.CheckpointManager | None) -> None:
    """Saves under a new number, never over a checkpoint that may be needed; nothing without a manager."""
    if manager is None:
        return
    try:
        manager.save()
    except (tf.errors.OpError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{manager.directory}: cannot write ({reason}); free space, then resume") from error
