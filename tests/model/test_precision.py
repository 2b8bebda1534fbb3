"""Half precision in VGG-M, float32 in all that lasts: variables, statistics, the LSTM, logits and losses."""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model import losses, train_step
from model.checkpoints import TrainingState, restore
from model.config import PRECISIONS, LipReaderConfig, TrainConfig
from model.errors import RunError
from model.lipreader import LipReader
from model.sequence import WRAPPERS
from model.train import train
from model.train_step import make_optimizer
from model.transfer import initialise
from tests.model import readers

HALF = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
CONFIG = LipReaderConfig(classes=3, width=0.0625, lstm_units=5, bidirectional=False)
QUICK = TrainConfig(epochs=1, warmup=0.0, checkpoint_every=1000)
FLOAT16 = dataclasses.replace(CONFIG, precision="mixed_float16")


@pytest.fixture(name="eager", autouse=True)
def _eager() -> Iterator[None]:
    """Steps run op by op: for few steps that is sooner done than a trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("sequence", WRAPPERS)
@pytest.mark.parametrize("precision", HALF)
def test_the_cnn_alone_is_in_half_precision(precision: str, sequence: str, batch: Callable) -> None:
    whole = LipReader(dataclasses.replace(CONFIG, sequence=sequence))
    half = LipReader(dataclasses.replace(CONFIG, sequence=sequence, precision=precision))
    half.set_weights(whole.get_weights())
    dense, valid = batch(), tf.sequence_mask([3, 1, 2], 3)
    with tf.GradientTape() as tape:
        features = half.steps(dense["windows"], valid, training=True)
        loss = tf.reduce_sum(tf.cast(features, tf.float32) ** 2)
    gradients = tape.gradient(loss, half.steps.cnn.trainable_variables)
    assert features.dtype == HALF[precision]
    assert all(each.dtype == tf.float32 and np.isfinite(each).all() for each in gradients)
    assert {variable.dtype for variable in half.variables} == {tf.float32, tf.int64}  # int64: the calls of dropout
    assert all("moving" not in each.name or each.dtype == tf.float32 for each in half.variables)
    half.set_weights(whole.get_weights())
    logits = half(dense, training=False)
    rows = losses.rows("word", logits, dense)
    assert {logits.dtype, rows.dtype, losses.weighted_mean(rows, dense["weights"]).dtype} == {tf.float32}
    np.testing.assert_allclose(logits, whole(dense, training=False), atol=0.05)  # with AMX 0.03, else 0.02
    assert not np.array_equal(logits, whole(dense, training=False))


def test_it_is_the_model_s_own_whatever_the_global_policy(batch: Callable) -> None:
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        under = LipReader(CONFIG)
        got = under(batch())
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    LipReader(FLOAT16)
    assert tf_keras.mixed_precision.global_policy().name == "float32"
    np.testing.assert_array_equal(got, LipReader(CONFIG)(batch()))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gray_values_are_scaled_in_full_precision(precision: str) -> None:
    """All 256 gray values, as the first layer gives them: half precision rounds them once, as input of conv1."""
    scaled = LipReader(dataclasses.replace(CONFIG, precision=precision)).steps.cnn.layers[0](tf.range(256.0))
    np.testing.assert_allclose(scaled, np.arange(256) / 63.75 - 2, atol=1e-6)
    assert scaled.dtype == tf.float32


@pytest.mark.parametrize("head", ["word", "ctc"])
@pytest.mark.parametrize("precision", HALF)
def test_the_law_of_padding_holds_in_half_precision(precision: str, head: str, batch: Callable) -> None:
    """In training too, where a statistic might see what is padding."""
    model = LipReader(dataclasses.replace(CONFIG, head=head, precision=precision, dropout=0.5), seed=1)
    weights, labels = model.get_weights(), ((1,), (0,), (2,))

    def seen(padding: int) -> list[np.ndarray]:
        model.set_weights(weights)
        dense = batch((3, 1, 2), labels, padding)
        logits = model(dense, training=True).numpy()
        parts = [logits[row, :length] if head == "ctc" else logits[row] for row, length in enumerate((3, 1, 2))]
        rows = losses.rows(head, tf.constant(logits), dense).numpy()
        return [*parts, rows, *(each.numpy() for each in model.non_trainable_variables if "moving" in each.name)]

    for tight, padded in zip(seen(0), seen(4), strict=True):
        np.testing.assert_allclose(padded, tight, atol=2**-7 * max(1, np.abs(tight).max()), rtol=0)


@pytest.mark.parametrize("precision", HALF)
def test_it_learns(precision: str, batch: Callable, tmp_path: Path) -> None:
    """Three words by heart, of noise: by chance the loss is log 3, which is 1.1."""
    model = LipReader(dataclasses.replace(CONFIG, precision=precision, dropout=0.0), seed=1)
    config = dataclasses.replace(QUICK, learning_rate=1e-2)
    assert train(model, config, lambda step: [batch()] * 50, 25, tmp_path).loss < 0.3


def test_a_run_in_float16_goes_on_with_its_loss_scale_bit_for_bit(
    batch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_step, "GROWTH", 2)  # the scale moves at every second step

    stop = threading.Event()

    def stream(stop_after: int | None = None) -> Callable[[int], Iterator[dict]]:
        def batches(first: int) -> Iterator[dict]:
            for number in itertools.count(first):
                if number + 1 == stop_after:
                    stop.set()
                yield batch(seed=number)

        return batches

    whole, broken, resumed = (LipReader(FLOAT16, seed=1) for _ in range(3))
    train(whole, QUICK, stream(), 5, tmp_path / "whole")
    assert train(broken, QUICK, stream(3), 5, tmp_path / "run", stop=stop).interrupted
    assert train(resumed, QUICK, stream(), 5, tmp_path / "run").steps == 5
    states = [tf.train.load_checkpoint(str(tmp_path / run / "last")) for run in ("whole", "run")]
    names = [name for name in states[0].get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    (scale,) = [name for name in names if "current_loss_scale" in name]
    assert states[0].get_tensor(scale) != 2**15
    for name in names:
        if "save_counter" not in name:
            np.testing.assert_array_equal(*(state.get_tensor(name) for state in states), err_msg=name)


def test_a_step_that_overflows_is_left_out_and_halves_the_scale(
    batch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No weight decays, no moment moves; the position in the data and in the warm-up does."""
    monkeypatch.setattr(train_step, "SCALE", 2.0**100)
    model = LipReader(FLOAT16, seed=1)
    before = [each.numpy() for each in model.trainable_variables]

    config = dataclasses.replace(QUICK, weight_decay=0.5)
    result = train(model, config, lambda first: [batch()] * 2, 2, tmp_path)
    assert (result.steps, np.isfinite(result.loss)) == (2, True)
    for each, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(each, old)
    last = tf.train.load_checkpoint(str(tmp_path / "last"))
    found = {name: last.get_tensor(name) for name in last.get_variable_to_shape_map() if name.endswith("_VALUE")}
    (scale,) = [value for name, value in found.items() if "current_loss_scale" in name]
    (steps,) = [value for name, value in found.items() if "_iterations" in name]
    assert (scale, steps) == (2.0**98, 2)
    moments = [value for name, value in found.items() if "_variables" in name]
    assert not any(value.any() for value in moments)


def test_scaled_gradients_are_cut_by_their_true_length(batch: Callable) -> None:
    """With and without a scale the norm, and the step of plain descent, are the same."""
    seen = {}
    for scaled in (False, True):
        model = LipReader(FLOAT16, seed=1)
        optimizer = tf_keras.optimizers.SGD(1.0)
        if scaled:
            optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer, False, 1024.0)
        before = model.head.kernel.numpy()
        learn = train_step.make_step(model, optimizer, dataclasses.replace(QUICK, clip_norm=0.01))
        norm = learn({key: batch()[key] for key in train_step.batch_keys(model)})[1][1]
        seen[scaled] = float(norm), model.head.kernel.numpy() - before
    assert seen[False][0] > 0.1
    np.testing.assert_allclose(seen[True][0], seen[False][0], rtol=0.02)
    np.testing.assert_allclose(seen[True][1], seen[False][1], atol=1e-4)


@pytest.mark.parametrize(("scale", "at"), [(1.0, 0), (4.0, 2)])
def test_a_gradient_that_no_scale_makes_finite_stops_training(
    scale: float, at: int, batch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_step, "SCALE", scale)
    model = LipReader(FLOAT16, seed=1)
    model.head.kernel.assign(1e9 * model.head.kernel)
    with pytest.raises(RunError, match=rf"step {at} \(epoch 0\): the gradient is not finite, from clips clip0"):
        train(model, QUICK, lambda first: [batch()] * 9, 9, tmp_path)


def test_a_loss_that_is_not_a_number_stops_it_whatever_the_scale(batch: Callable, tmp_path: Path) -> None:
    model = LipReader(FLOAT16)
    model.head.bias.assign([np.nan] * 3)
    with pytest.raises(RunError, match="the loss is not finite, from clips clip0, clip1, clip2;"):
        train(model, QUICK, lambda first: [batch()] * 9, 9, tmp_path)


def _saved(run_dir: Path, config: LipReaderConfig) -> LipReader:
    """A run of one checkpoint."""
    model = LipReader(config, seed=1)
    readers.write_run(run_dir, config)
    TrainingState(model, make_optimizer(model, QUICK, 4), run_dir).save()
    return model


def test_a_run_of_another_precision_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path, CONFIG)
    with pytest.raises(RunError, match=r"run.json: another model: precision was float32, is mixed_float16;"):
        restore(LipReader(FLOAT16), tmp_path, "last")


@pytest.mark.parametrize(("source", "target"), [("float32", "mixed_float16"), ("mixed_bfloat16", "float32")])
def test_a_run_starts_from_one_of_another_precision(source: str, target: str, tmp_path: Path) -> None:
    trained = _saved(tmp_path, dataclasses.replace(CONFIG, precision=source))
    other = LipReader(dataclasses.replace(CONFIG, precision=target), seed=5)
    assert initialise(other, tmp_path) == ()
    for part, want in ((other.steps, trained.steps), (other.lstms[0], trained.lstms[0])):
        for got, value in zip(part.get_weights(), want.get_weights(), strict=True):
            np.testing.assert_array_equal(got, value)


def test_an_unknown_precision_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="precision: want one of float32, mixed_bfloat16, mixed_float16, got 'half'"):
        dataclasses.replace(CONFIG, precision="half")
