"""Copies weights from another run: its CNN, and its LSTM and head if they fit."""

from pathlib import Path

import numpy as np

from model.checkpoints import checkpoint_paths, restore
from model.lipreader import LipReader
from model.run import model_config, refuse_other_model

CNN = ("table", "width")  # fields of a LipReaderConfig that decide the shape of its parts
LSTM = ("lstm_units", "lstm_layers", "bidirectional", "use_in_word")


def initialise(model: LipReader, run_dir: str | Path, same_labels: bool = False) -> tuple[str, ...]:
    """Copies another run's CNN, its LSTM where the shapes are equal, and its head where the labels are too.

    The best weights are copied; of a run without validation, the last. The two LSTMs may differ in `use_in_word`: the
    input is removed as if all windows were in the word, or added with weights of 0. A word head becomes a CTC head with
    a new blank, and the other way round.

    Args:
      model: gets the weights.
      run_dir: of the run to start from.
      same_labels: both heads count the same classes in the same order.

    Returns:
      The fields in which the LSTMs differ, so that the model keeps its own; empty if the LSTM was copied.

    Raises:
      RunError: not a run directory, no such checkpoint, a damaged one, or a CNN of another shape.
    """
    run_dir = Path(run_dir)
    refuse_other_model(run_dir, model.config, CNN)
    source = LipReader(model_config(run_dir))
    restore(source, run_dir, "best" if checkpoint_paths(run_dir / "best") else "last")
    model.steps.cnn.set_weights(source.steps.cnn.get_weights())
    differing = tuple(key for key in LSTM if getattr(source.config, key) != getattr(model.config, key))
    if differing not in ((), ("use_in_word",)):
        return differing
    for number, (own, other) in enumerate(zip(model.lstms, source.lstms, strict=True)):
        weights = other.get_weights()
        if differing and number == 0:  # the first LSTM has the input
            weights = _without_in_word(weights) if source.config.use_in_word else _with_in_word(weights)
        own.set_weights(weights)
    if same_labels:
        _take_head(model, source)
    return ()


def _without_in_word(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Removes the last input of an LSTM, as if it were always 1; kernel, inner kernel and bias of each direction."""
    parts = [iter(weights)] * 3
    return [new for kernel, inner, bias in zip(*parts, strict=True) for new in (kernel[:-1], inner, bias + kernel[-1])]


def _with_in_word(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Adds a last input to an LSTM, with weights of 0."""
    parts = [iter(weights)] * 3
    wider = [(0, 1), (0, 0)]
    return [new for kernel, *rest in zip(*parts, strict=True) for new in (np.pad(kernel, wider), *rest)]


def _take_head(model: LipReader, source: LipReader) -> None:
    """Copies the outputs that both heads have: the classes, and behind them CTC's blank."""
    shared = min(model.head.units, source.head.units)
    taken = model.head.get_weights()
    for own, theirs in zip(taken, source.head.get_weights(), strict=True):  # [units, outputs] and [outputs]
        own[..., :shared] = theirs[..., :shared]
    model.head.set_weights(taken)
