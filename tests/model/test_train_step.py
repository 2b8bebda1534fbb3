import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model.averaging import Average
from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader
from model.train_step import WarmupCosine, make_optimizer, make_step
from tests import kernels

CONFIG = LipReaderConfig(classes=3, width=0.0625, lstm_units=5, bidirectional=False, dropout=0.3)
QUICK = TrainConfig(epochs=2, warmup=0.34, checkpoint_every=2)


@pytest.fixture(name="eager")
def _eager() -> Iterator[None]:
    """Steps run op by op: for few steps that is sooner done than a trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_any_batch_and_length_is_one_trace(batch: Callable) -> None:
    model = LipReader(CONFIG)
    step = make_step(model, make_optimizer(model, QUICK, 6), QUICK)
    for dense in (batch(), batch(padding=2), batch(lengths=(2,), labels=((1,),))):
        step(_taught(dense))
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.usefixtures("eager")
def test_rows_that_fill_the_batch_teach_nothing(batch: Callable) -> None:
    config = dataclasses.replace(CONFIG, dropout=0.0)
    filled, alone = LipReader(config), LipReader(config)
    dense = _taught(batch(lengths=(3, 2, 3)))
    for model, rows in (
        (filled, {**dense, "weights": tf.constant([1.0, 1.0, 0.0])}),
        (alone, {key: value[:2] for key, value in dense.items()}),
    ):
        make_step(model, make_optimizer(model, QUICK, 6), QUICK)(rows)
    for a, b in zip(filled.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_a_gradient_that_is_too_long_is_cut(batch: Callable) -> None:
    model = LipReader(CONFIG, seed=1)
    before = [variable.numpy() for variable in model.trainable_variables]
    plain = tf_keras.optimizers.SGD(1.0)  # its step is the gradient
    norm = make_step(model, plain, dataclasses.replace(QUICK, clip_norm=0.01))(_taught(batch()))[1][1]
    pairs = zip(model.trainable_variables, before, strict=True)
    moved = np.sqrt(sum(np.sum((new - old) ** 2) for new, old in pairs))
    assert norm > 0.1
    np.testing.assert_allclose(moved, 0.01, rtol=1e-3)


def _taught(dense: dict) -> dict:
    return {key: dense[key] for key in ("windows", "lengths", "labels", "weights")}


@pytest.mark.usefixtures("eager")
def test_targets_are_smoothed(batch: Callable) -> None:
    """Probabilities of 1/2, 1/4, 1/4: of the word said -0.9 log p, of all three -0.1 mean log p."""
    model = LipReader(CONFIG)
    model.head.kernel.assign(tf.zeros_like(model.head.kernel))
    model.head.bias.assign(np.log([0.5, 0.25, 0.25]))
    config = dataclasses.replace(QUICK, label_smoothing=0.1)
    rows, values = make_step(model, make_optimizer(model, config, 6), config)(_taught(batch()))
    np.testing.assert_allclose(rows, [1.363190, 0.739357, 1.363190], rtol=1e-5)  # of words 1, 0, 2
    np.testing.assert_allclose(values[0], 1.155246, rtol=1e-5)


@pytest.mark.usefixtures("eager")
def test_a_gradient_that_is_not_finite_is_not_applied(batch: Callable) -> None:
    model = LipReader(CONFIG, seed=1)
    model.head.bias.assign([np.nan] * 3)
    before = [variable.numpy() for variable in model.trainable_variables]
    step = make_step(model, tf_keras.optimizers.SGD(1.0), QUICK)
    rows, values = step(_taught(batch()))
    assert np.isnan(rows).all()
    assert np.isnan(values[:2]).all()
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


@pytest.mark.usefixtures("eager")
def test_the_average_is_of_the_weights_after_each_step(batch: Callable) -> None:
    """Decays of the first steps are 1/10, 2/11, 3/12, until they would pass 0.2."""
    model = LipReader(CONFIG, seed=1)
    average = Average(model, decay=0.2)
    step = make_step(model, make_optimizer(model, QUICK, 6), QUICK, average=average)
    bias = [model.head.bias.numpy()]
    for _ in range(3):
        step(_taught(batch()))
        bias.append(model.head.bias.numpy())
    want = bias[0]
    for decay, value in zip([0.1, 2 / 11, 0.2], bias[1:], strict=True):
        want = decay * want + (1 - decay) * value
    with average.applied():
        np.testing.assert_allclose(model.head.bias, want, rtol=1e-6)
    np.testing.assert_array_equal(model.head.bias, bias[3])


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    schedule = WarmupCosine(0.8, warmup=4, total=8)
    got = [float(schedule(tf.constant(step))) for step in range(9)]
    np.testing.assert_allclose(got, [0.2, 0.4, 0.6, 0.8, 0.8, 0.682843, 0.4, 0.117157, 0], atol=1e-6)


def test_weight_decay_spares_biases_and_batch_normalisation() -> None:
    model = LipReader(CONFIG)
    optimizer = make_optimizer(model, dataclasses.replace(QUICK, weight_decay=0.5, warmup=0.0), 6)
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer.apply_gradients([(tf.zeros_like(each), each) for each in model.trainable_variables])
    for variable, old in zip(model.trainable_variables, before, strict=True):
        factor = 1 if variable.shape.rank == 1 else 1 - 0.5 * QUICK.learning_rate
        np.testing.assert_allclose(variable, old * factor, rtol=1e-5)


@pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="this TensorFlow has no kernels for GPUs")
@pytest.mark.parametrize("head", ["word", "ctc"])
@pytest.mark.parametrize(
    "sequence",
    ["packed", "reshape", *(pytest.param(w, marks=pytest.mark.slow) for w in ("chunked", "time_distributed"))],
)
def test_a_gpu_takes_a_step_without_asking_the_host(head: str, sequence: str) -> None:
    model = LipReader(dataclasses.replace(CONFIG, head=head, sequence=sequence))
    step = make_step(model, make_optimizer(model, QUICK, 3), QUICK)
    assert kernels.host_only(step.get_concrete_function()) == set()
