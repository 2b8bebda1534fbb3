from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model import lipreader
from model.config import LipReaderConfig
from model.lipreader import LipReader, StepDropout

TINY = {"classes": 3, "width": 0.0625, "lstm_units": 5}


@pytest.mark.parametrize(("head", "shape"), [("word", (3, 3)), ("ctc", (3, 3, 4))], ids=["word", "ctc with the blank"])
def test_logits_have_the_heads_shape_and_are_float32(head: str, shape: Any, batch: Callable) -> None:
    logits = LipReader(LipReaderConfig(**TINY, head=head))(batch())
    assert logits.shape == shape
    assert logits.dtype == tf.float32


def test_infer_is_the_call_in_inference_mode_and_is_traced_once(batch: Callable) -> None:
    model = LipReader(LipReaderConfig(**TINY))
    for padding in (0, 2):
        dense = batch(padding=padding)
        got = model.infer({key: dense[key] for key in ("windows", "lengths", "weights")})
        np.testing.assert_allclose(got, model(dense), atol=1e-5)
    assert model.infer.experimental_get_tracing_count() == 1


def test_inside_tells_the_steps_of_the_word_from_its_margin(batch: Callable) -> None:
    model = LipReader(LipReaderConfig(**TINY, use_in_word=True))
    dense = batch()
    in_word, outside = (tf.fill(dense["in_word"].shape, tf.cast(value, tf.uint8)) for value in (1, 0))
    assert not np.allclose(model({**dense, "in_word": in_word}), model({**dense, "in_word": outside}))


def test_dropout_is_a_function_of_seed_and_call() -> None:
    x = tf.ones([2, 3, 50])
    first, again, other = StepDropout(0.5, 1), StepDropout(0.5, 1), StepDropout(0.5, 2)
    one, two = first(x, training=True).numpy(), first(x, training=True).numpy()
    np.testing.assert_array_equal(again(x, training=True), one)
    assert not np.array_equal(one, two)
    assert not np.array_equal(other(x, training=True), one)
    again.calls.assign(1)
    np.testing.assert_array_equal(again(x, training=True), two)


def test_dropout_keeps_the_mean_and_spares_inference() -> None:
    x = tf.ones([100, 2, 100])
    dropout = StepDropout(0.25, 0)
    dropped = dropout(x, training=True).numpy()
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.75)}
    assert abs(dropped.mean() - 1) < 0.03
    np.testing.assert_array_equal(dropped[:, 0], dropped[:, 1])
    np.testing.assert_array_equal(dropout(x, training=False), x)


def test_the_seed_fixes_the_weights_and_both_directions_differ() -> None:
    first, again, other = (LipReader(LipReaderConfig(**TINY), seed) for seed in (1, 1, 2))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.head.kernel, other.head.kernel)
    assert first.dropouts[0].seed == again.dropouts[0].seed != other.dropouts[0].seed
    assert not np.array_equal(first.lstms[0].forward_layer.cell.kernel, first.lstms[0].backward_layer.cell.kernel)


def test_a_word_is_named_from_its_own_windows() -> None:
    in_word = tf.constant([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], tf.uint8)
    mask = tf.sequence_mask([4, 2, 3], 4)
    own = lipreader._own(in_word, mask)
    assert own.numpy().astype(int).tolist() == [[0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    states = tf.constant([[[1.0], [2.0], [4.0], [9.0]], [[1.0], [5.0], [7.0], [9.0]], [[3.0], [0.0], [6.0], [9.0]]])
    assert lipreader._masked_mean(states, own).numpy().tolist() == [[3.0], [3.0], [3.0]]


# Compiled, Keras lets AutoGraph read through all of tf_keras first, which takes half a minute.
@pytest.mark.parametrize("eager", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_ordinary_keras_model_fits_the_batch(eager: bool, batch: Callable) -> None:
    model = LipReader(LipReaderConfig(**TINY))
    dense = batch()
    data = tf.data.Dataset.from_tensors((dense, dense["labels"][:, 0], dense["weights"])).repeat(2)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=eager)
    before = model.head.kernel.numpy()
    history = model.fit(data, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert not np.array_equal(model.head.kernel, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": None}, r"batch: lengths missing; got .*windows"),
        (
            {"lengths": tf.constant([1.0])},
            r"batch\['lengths'\]: got float32 \(1,\), expected int32 \(None,\)",
        ),
        ({"windows": tf.zeros([1, 2, 112, 112, 3], tf.uint8)}, r"batch\['windows'\]: got uint8"),
    ],
)
def test_a_wrong_batch_is_refused(change: dict[str, Any], message: str, batch: Callable) -> None:
    wrong = {key: value for key, value in {**batch(), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        LipReader(LipReaderConfig(**TINY))(wrong)
