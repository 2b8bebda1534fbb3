"""The law of padding, from the windows to the report.

More windows, more labels, more rows of weight 0: same logits, losses, gradients, statistics of batch normalisation and
metrics, to float32's rounding.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf

from model import losses
from model.config import LipReaderConfig
from model.decoding import DecodeConfig
from model.evaluate import evaluate
from model.lexicon import Lexicon
from model.lipreader import LipReader
from pipeline.vocab import Vocabulary

ATOL, RTOL = 1e-5, 1e-4  # float32: the same sums, in another order
LENGTHS, LABELS = (3, 1, 2), {"word": ((1,), (0,), (2,)), "ctc": ((1, 2), (0,), ())}
Batch = dict[str, tf.Tensor]


@functools.cache
def _reader(head: str, **changes: object) -> tuple[LipReader, list[np.ndarray]]:
    """A reader, and its weights before any training."""
    shape = {"classes": 3, "width": 0.0625, "lstm_units": 5, "lstm_layers": 2, "dropout": 0.5}
    model = LipReader(LipReaderConfig(head=head, **{**shape, **changes}), seed=1)
    return model, model.get_weights()


def _more_windows(batch: Callable, head: str) -> Batch:
    return batch(LENGTHS, LABELS[head], padding=4)


def _more_labels(batch: Callable, head: str) -> Batch:
    padded = _tight(batch, head)
    return {**padded, "labels": tf.pad(padded["labels"], [[0, 0], [0, 2]], constant_values=1)}


def _more_rows(batch: Callable, head: str) -> Batch:
    """Two rows of weight 0, of noise: one claims to be long, one to say more than it has windows for."""
    tight = _tight(batch, head)
    steps, width = max(LENGTHS), tight["labels"].shape[1]
    noise = batch((steps, 1), ((2,) * width, (1,) * width), seed=9)
    filled = {key: tf.concat([tight[key], noise[key]], 0) for key in tight}
    return {**filled, "weights": tf.constant([1.0, 1.0, 1.0, 0.0, 0.0])}


def _all_at_once(batch: Callable, head: str) -> Batch:
    filled = _more_rows(batch, head)
    noise = tf.cast(tf.random.stateless_uniform([5, 3, 112, 112, 5], [0, 1], 0, 256, tf.int32), tf.uint8)
    return {
        **filled,
        "windows": tf.concat([filled["windows"], noise], 1),
        "in_word": tf.pad(filled["in_word"], [[0, 0], [0, 3]], constant_values=1),
        "labels": tf.pad(filled["labels"], [[0, 0], [0, 1]], constant_values=2),
    }


def _tight(batch: Callable, head: str) -> Batch:
    return batch(LENGTHS, LABELS[head])


PADDINGS = {
    "windows": _more_windows,
    "labels": _more_labels,
    "rows of weight 0": _more_rows,
    "all at once": _all_at_once,
}


def _see(batch: Callable, make: Callable, head: str, training: bool, **shape: object) -> dict[str, list[np.ndarray]]:
    """What a batch leads to, without its padding."""
    model, weights = _reader(head, **shape)
    model.set_weights(weights)
    dense = make(batch, head)
    with tf.GradientTape() as tape:
        logits = model(dense, training=training)
        rows = losses.rows(model.config.head, logits, dense, smoothing=0.1)
        loss = losses.weighted_mean(rows, dense["weights"])
    text, counted = head == "ctc", len(LENGTHS)
    return {
        "logits": [
            row[:length] if text else row for row, length in zip(logits.numpy()[:counted], LENGTHS, strict=True)
        ],
        "losses": [rows.numpy()[:counted], loss.numpy()],
        "gradients": [each.numpy() for each in tape.gradient(loss, model.trainable_variables)],
        "statistics": [each.numpy() for each in model.non_trainable_variables if "moving" in each.name],
    }


def _differences(head: str, more: Callable, batch: Callable, training: bool, **shape: object) -> dict[str, np.floating]:
    """Of each thing that must not change how far it is off, in the units of the tolerance."""
    tight, padded = (_see(batch, make, head, training, **shape) for make in (_tight, more))
    return {
        name: np.max([_off(one, other) for one, other in zip(padded[name], tight[name], strict=True)]) for name in tight
    }


def _off(one: np.ndarray, other: np.ndarray) -> np.floating:
    return (np.abs(one - other) / (ATOL + RTOL * np.abs(other))).max(initial=0)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("head", ["word", "ctc"])
@pytest.mark.parametrize("more", PADDINGS.values(), ids=PADDINGS)
def test_more_padding_changes_nothing(more: Callable, head: str, training: bool, batch: Callable) -> None:
    off = _differences(head, more, batch, training)
    assert all(value <= 1 for value in off.values()), off


@pytest.mark.parametrize(
    "shape",
    [
        {"bidirectional": False},
        {"lstm_layers": 1, "table": "A", "width": 0.03125},
        {"head": "word", "use_in_word": True},
    ],
    ids=["one direction", "table A", "in_word"],
)
def test_the_law_holds_for_other_shapes(shape: dict, batch: Callable) -> None:
    shape = dict(shape)
    off = _differences(shape.pop("head", "ctc"), _all_at_once, batch, training=True, **shape)
    assert all(value <= 1 for value in off.values()), off


@pytest.mark.parametrize("head", ["word", "ctc"])
def test_the_reshape_keeps_the_law_at_inference_alone(head: str, batch: Callable) -> None:
    off = _differences(head, _all_at_once, batch, training=False, sequence="reshape")
    assert all(value <= 1 for value in off.values()), off
    off = _differences(head, _all_at_once, batch, training=True, sequence="reshape")
    assert min(off["statistics"], off["logits"]) > 100, "batch normalisation saw padding"


WORDS = Vocabulary.of_words(("bin", "lay", "place"))
GRAMMAR = Lexicon.of_slots([[(0,), (1,)], [(0,)]], 3, None)
READ = {
    "word": ("word", DecodeConfig()),
    "greedy": ("ctc", DecodeConfig()),
    "beam": ("ctc", DecodeConfig("beam", 8)),
    "grammar": ("ctc", DecodeConfig("beam", 8, GRAMMAR)),
}


@pytest.fixture(name="eager")
def _eager() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)  # for few steps that is sooner done than a trace
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("head", "how"), READ.values(), ids=READ)
def test_more_padding_changes_no_report(head: str, how: DecodeConfig, batch: Callable) -> None:
    model, weights = _reader(head)
    model.set_weights(weights)
    want = evaluate(model, [_tight(batch, head)], WORDS, how, said=lambda name: ())
    got = evaluate(model, [_all_at_once(batch, head)], WORDS, how, said=lambda name: ())
    assert got.metrics == pytest.approx(want.metrics, abs=ATOL)
    assert (got.places, got.confusion) == (want.places, want.confusion)
    assert any(row.words for row in want.predictions) == (head == "ctc")
    for row, other in zip(got.predictions, want.predictions, strict=True):
        words = tuple(dataclasses.replace(word, score=pytest.approx(word.score, abs=ATOL)) for word in other.words)
        assert row == dataclasses.replace(other, score=pytest.approx(other.score, abs=ATOL), words=words)
