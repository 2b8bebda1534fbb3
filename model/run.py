"""A run directory: `run.json`, what was asked for; `last/` and `best/`, checkpoints; `tensorboard/`."""

import contextlib
import dataclasses
import fcntl
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from model.errors import RunError
from model.lipreader import LipReader, LipReaderConfig

RUN_FILE = "run.json"
MODEL = "model"  # the key of the LipReaderConfig in run.json
WHICH = ("best", "last")
SINCE = {"precision": "float32"}  # fields of MODEL that older runs do not have, and what they were made with
SHOWN = 40  # characters of a value in an error message


def save_run(run_dir: Path, settings: dict[str, Any]) -> None:
    """Write `run.json`, or hold that an earlier one says the same.

    Args:
      run_dir: made where missing.
      settings: nested dicts of what JSON can say; `settings["model"]` is the LipReaderConfig as a dict.

    Raises:
      RunError: the run was started with other settings; the message lists each difference.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise RunError(f"{run_dir}: is a file; a run wants a directory")
    path = run_dir / RUN_FILE
    settings = json.loads(json.dumps(settings))  # as it will be read: tuples are lists
    if path.exists():
        refuse_differences(path, load_run(run_dir), settings)
        return
    unfinished = path.with_suffix(".unfinished")
    if run_dir.is_dir() and set(run_dir.iterdir()) - {unfinished}:
        raise RunError(f"{run_dir}: holds something else than a run; name a new directory")
    run_dir.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


@contextlib.contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Holds a run that `save_run` has written against a second training.

    Raises:
      RunError: another one holds it.
    """
    with (run_dir / RUN_FILE).open("r+") as file:  # some file systems lock only what is open for writing
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{run_dir}: another training is writing there; wait, or name a new directory") from error
        yield


def load_run(run_dir: Path) -> dict[str, Any]:
    """What `save_run` wrote; of an older run, with what that could only be.

    Raises:
      RunError: no such directory, no `run.json` in it, or not JSON.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such run directory; train one, or mend the path")
    path = run_dir / RUN_FILE
    if not path.is_file():
        raise RunError(f"{path}: missing, so this is no run directory; give one that training made")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: not JSON ({error}); restore it, or train into a new directory") from error
    if not isinstance(settings, dict) or not isinstance(settings.get(MODEL, {}), dict):
        raise RunError(f"{path}: not what training writes; restore it, or train into a new directory")
    return {**settings, MODEL: {**SINCE, **settings[MODEL]}} if MODEL in settings else settings


@contextlib.contextmanager
def as_written(run_dir: Path) -> Iterator[None]:
    """Turns into a RunError what cannot be made of a `run.json`: another version may have written it."""
    try:
        yield
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(
            f"{run_dir / RUN_FILE}: not what this version writes ({error}); use the one that wrote it, or train into a "
            "new directory"
        ) from error


def refuse_differences(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise RunError where two settings differ, naming each field with both values."""
    if changed := differences(old, new):
        raise RunError(f"{path}: other settings: {changed}; give the old ones, or a new directory")


def differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Each field in which two trees of settings differ, with both values; empty where none does."""
    old, new = dict(_flat(old)), dict(_flat(new))
    return "; ".join(
        f"{key} was {_shown(old.get(key, 'absent'))}, now {_shown(new.get(key, 'absent'))}"
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key] != new[key]
    )


def _shown(value: object) -> str:
    return text if len(text := str(value)) <= SHOWN else f"{text[:SHOWN]}…"


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def restore(model: LipReader, run_dir: Path, which: str = "best") -> None:
    """Load a run's weights into a model of the same configuration.

    Args:
      model: gets the weights.
      run_dir: that training made.
      which: "best", by validation; "last", the newest.

    Raises:
      RunError: not a run directory, no such checkpoint, a damaged one, or another configuration.
    """
    if which not in WHICH:
        raise ValueError(f"which: want one of {', '.join(WHICH)}, got {which!r}")
    settings = load_run(run_dir).get(MODEL, {})
    refuse_differences(run_dir / RUN_FILE, settings, dataclasses.asdict(model.config))
    _read_part(tf.train.Checkpoint(model=model), _latest(run_dir, which))


def _read_part(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Load what `checkpoint` names; the file may hold more."""
    with _named(path):
        checkpoint.restore(path).assert_existing_objects_matched().expect_partial()


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """What can be wrong with a checkpoint as a RunError."""
    try:
        yield
    except AssertionError as error:  # TensorFlow's word for variables without a value, or values without a variable
        raise RunError(
            f"{path}: holds other variables than this program's model; use the program that wrote it, or train into a "
            "new directory"
        ) from error
    except (tf.errors.OpError, ValueError, IndexError) as error:  # cut short, another shape, or emptied
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be read ({reason}); restore it, or train into a new directory") from error


CNN = ("table", "width")  # fields of a LipReaderConfig that decide the shape of its parts
LSTM = ("lstm_units", "lstm_layers", "bidirectional", "use_inside")


def initialise(model: LipReader, run_dir: Path, same_labels: bool = False) -> tuple[str, ...]:
    """Start from another run's CNN, from its LSTM where both are of one shape, and from its head where labels are too.

    Its best weights are taken, of a run without validation the last. An LSTM that was told which windows are the word's
    becomes one that is not, as if all were; one that was not told begins without a use for it. A head that named words
    spells them, step by step, and its blank is new; or the other way round.

    Args:
      model: gets the weights.
      run_dir: of the run to start from.
      same_labels: both heads count the same classes in the same order.

    Returns:
      The fields in which the LSTMs differ, so that the model's stays as it is; empty where they do not.

    Raises:
      RunError: not a run directory, no such checkpoint, a damaged one, or a CNN of another shape.
    """
    have, want = load_run(run_dir).get(MODEL, {}), dataclasses.asdict(model.config)
    if differing := differences(*({key: config.get(key) for key in CNN} for config in (have, want))):
        raise RunError(
            f"{run_dir}: its CNN is of another shape: {differing}; ask for the same, or start from another run"
        )
    with as_written(run_dir):
        shape = LipReaderConfig(**have)
    source = LipReader(shape)
    restore(source, run_dir, "best" if _checkpoints(run_dir / "best") else "last")
    model.steps.cnn.set_weights(source.steps.cnn.get_weights())
    differing = tuple(key for key in LSTM if have[key] != want[key])
    if differing not in ((), ("use_inside",)):
        return differing
    for number, (own, other) in enumerate(zip(model.lstms, source.lstms, strict=True)):
        weights = other.get_weights()
        if differing and number == 0:  # the one that is told
            weights = _untold(weights) if have["use_inside"] else _told(weights)
        own.set_weights(weights)
    if same_labels:
        _take_head(model, source)
    return ()


def _untold(weights: list[np.ndarray]) -> list[np.ndarray]:
    """An LSTM's kernel, recurrent kernel and bias, of each direction, with the last input always 1."""
    parts = [iter(weights)] * 3
    return [new for kernel, inner, bias in zip(*parts, strict=True) for new in (kernel[:-1], inner, bias + kernel[-1])]


def _told(weights: list[np.ndarray]) -> list[np.ndarray]:
    """The same with one input more, which has no weight yet."""
    parts = [iter(weights)] * 3
    wider = [(0, 1), (0, 0)]
    return [new for kernel, *rest in zip(*parts, strict=True) for new in (np.pad(kernel, wider), *rest)]


def _take_head(model: LipReader, source: LipReader) -> None:
    """All outputs that both have: the classes, and behind them CTC's blank."""
    shared = min(model.head.units, source.head.units)
    taken = model.head.get_weights()
    for own, theirs in zip(taken, source.head.get_weights(), strict=True):  # [units, outputs] and [outputs]
        own[..., :shared] = theirs[..., :shared]
    model.head.set_weights(taken)


def _latest(run_dir: Path, which: str) -> str:
    paths = _checkpoints(run_dir / which)
    if not paths:
        other = WHICH[1 - WHICH.index(which)]
        hint = f"use the {other} one (--weights={other})" if _checkpoints(run_dir / other) else "train further"
        raise RunError(f"{run_dir / which}: no checkpoint; {hint}")
    return paths[0]


def has_begun(run_dir: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return bool(_checkpoints(run_dir / "last"))


def _checkpoints(directory: Path) -> list[str]:
    """The whole checkpoints of a directory, newest first, by their files: their list may be lost in a power cut."""
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
    """Of the checkpoints that are there, whatever their list says."""
    paths = _checkpoints(directory)
    if paths and paths != _listed(directory):
        tf.compat.v1.train.update_checkpoint_state(
            str(directory),
            paths[0],
            all_model_checkpoint_paths=paths[::-1],
            all_model_checkpoint_timestamps=[Path(f"{path}.index").stat().st_mtime for path in paths[::-1]],
            last_preserved_timestamp=0.0,  # all of them are to make room for newer ones
        )
    return tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep)


class Progress:
    """All that training carries from step to step, and its checkpoints.

    Attributes:
      epoch, step: the position in the data: `step` batches of epoch `epoch` have been learned.
      best: the smallest validation value so far, infinity before the first.
      stale: validations since then.
    """

    def __init__(self, model: LipReader, optimizer: tf_keras.optimizers.Optimizer, run_dir: Path) -> None:
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
        self.stale = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            model=model, optimizer=optimizer, epoch=self.epoch, step=self.step, best=self.best, stale=self.stale
        )
        # Two of the last: a fault while one is written, or in it, leaves the one before.
        self._last = _manager(self._checkpoint, run_dir / "last", 2)
        self._best = _manager(self._checkpoint, run_dir / "best", 1)

    def resume(self) -> bool:
        """Load the last checkpoint that can be read; False where there is none.

        Raises:
          RunError: there are some, and none can be read.
        """
        damaged: list[RunError] = []
        for path in _checkpoints(Path(self._last.directory)):
            try:
                with _named(path):
                    self._checkpoint.restore(path).assert_consumed()
            except RunError as error:
                damaged.append(error)
                continue
            for error in damaged:
                logging.warning("%s; going on from %s", error, path)
            return True
        if damaged:
            raise damaged[0]
        return False

    def save(self) -> None:
        """Write `last/`."""
        _save(self._last)

    def save_if_best(self, value: float) -> None:
        """Write `best/` where `value` is smaller than any before."""
        self.stale.assign_add(1)
        if value < float(self.best):
            self.best.assign(value)
            self.stale.assign(0)
            _save(self._best)


def _save(manager: tf.train.CheckpointManager) -> None:
    """Writes under a number of its own, never over a checkpoint that may have to be gone back to."""
    try:
        manager.save()
    except (tf.errors.OpError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{manager.directory}: cannot write ({reason}); free space, then resume") from error
