"""Weights taken from another run: its CNN, and its LSTM and head where they fit."""

import dataclasses
from pathlib import Path

import numpy as np

from model.checkpoints import checkpoint_paths, restore
from model.errors import RunError
from model.lipreader import LipReader, LipReaderConfig
from model.run import MODEL, as_written, differences, load_run

CNN = ("table", "width")  # fields of a LipReaderConfig that decide the shape of its parts
LSTM = ("lstm_units", "lstm_layers", "bidirectional", "use_in_word")


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
    restore(source, run_dir, "best" if checkpoint_paths(run_dir / "best") else "last")
    model.steps.cnn.set_weights(source.steps.cnn.get_weights())
    differing = tuple(key for key in LSTM if have[key] != want[key])
    if differing not in ((), ("use_in_word",)):
        return differing
    for number, (own, other) in enumerate(zip(model.lstms, source.lstms, strict=True)):
        weights = other.get_weights()
        if differing and number == 0:  # the one that is told
            weights = _untold(weights) if have["use_in_word"] else _told(weights)
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
