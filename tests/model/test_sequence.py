from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model.sequence import WRAPPERS, Chunked, Packed, Reshape
from model.vgg_m import VGGM

TAIL = (112, 112, 5)
FEATURES = 6
ATOL, RTOL = 1e-5, 1e-4  # float32: the same sums, in another order
MIXED = {tf.bfloat16: 2**-6, tf.float16: 2**-8}  # of the largest value: a few roundings, 2**-8 and 2**-11
SHAPES = {
    "static": [2, 3, *TAIL],
    "dynamic": [None, None, *TAIL],
    "batch known": [2, None, *TAIL],
    "steps known": [None, 3, *TAIL],
}
LENGTHS = {
    "full": [3, 3],
    "ragged": [3, 1, 2],
    "an empty row": [2, 0],
    "one row": [2],
    "one step": [1, 1, 1],
    "one of both": [1],
    "nothing": [0, 0],
}
EVERY: dict[str, Callable] = {**WRAPPERS, "chunks of 2": lambda cnn: Chunked(cnn, size=2)}


def _cnn(norm: bool = True) -> tf_keras.Sequential:
    """Small and quick, with all that VGG-M has."""
    layers = tf_keras.layers
    first = tf_keras.initializers.HeNormal(1)
    stack = [tf_keras.Input(TAIL), layers.Rescaling(1 / 63.75, -2)]
    stack.append(layers.Conv2D(4, 9, 8, use_bias=False, kernel_initializer=first))
    stack += [layers.BatchNormalization(momentum=0.9)] * norm
    last = layers.Dense(FEATURES, kernel_initializer=tf_keras.initializers.HeNormal(2))
    return tf_keras.Sequential([*stack, layers.ReLU(), layers.MaxPooling2D(3, 2), layers.Flatten(), last])


@pytest.fixture(name="cnn", scope="module")
def _cnn_fixture() -> tf_keras.Sequential:
    return _cnn()


def _windows(batch: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [batch, steps, *TAIL], np.uint8)


def _valid(lengths: list[int], steps: int) -> tf.Tensor:
    return tf.sequence_mask(lengths, steps)


def _graph(wrapper: tf_keras.layers.Layer, shape: Any, training: bool) -> tf.types.experimental.GenericFunction:
    """windows, valid -> the features, and the gradients of a loss."""

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8), tf.TensorSpec(shape[:2], tf.bool)], autograph=False)
    def graph(windows: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            features = wrapper(windows, valid, training=training)
            loss = tf.reduce_sum(tf.sin(tf.cast(features, tf.float32)))  # no two features weigh the same
        return features, tape.gradient(loss, wrapper.cnn.trainable_variables)

    return graph


def _assert_close(got: list[tf.Tensor], want: list[tf.Tensor]) -> None:
    for one, other in zip(got, want, strict=True):
        scale = np.abs(other).max(initial=1e-6)
        np.testing.assert_allclose(one / scale, other / scale, atol=ATOL, rtol=RTOL)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_each_valid_step_is_the_cnn_of_its_window(name: str, lengths: list[int], cnn: tf_keras.Sequential) -> None:
    steps = max(*lengths, 1) + 1
    windows = _windows(len(lengths), steps)
    got = EVERY[name](cnn)(windows, _valid(lengths, steps)).numpy()
    assert got.shape == (len(lengths), steps, FEATURES)
    for row, length in enumerate(lengths):
        if length:
            np.testing.assert_allclose(got[row, :length], cnn(windows[row, :length]), atol=ATOL)
        np.testing.assert_array_equal(got[row, length:], 0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_static_shapes_survive_and_dynamic_ones_work(name: str, shape: Any, cnn: tf_keras.Sequential) -> None:
    windows, valid = _windows(2, 3), _valid([3, 2], 3)
    wrapper = EVERY[name](cnn)
    graph = _graph(wrapper, shape, training=False)
    assert graph.get_concrete_function().structured_outputs[0].shape.as_list() == [*shape[:2], FEATURES]
    np.testing.assert_allclose(graph(windows, valid)[0], Reshape(cnn)(windows, valid), atol=ATOL)


@pytest.mark.parametrize("norm", [True, False], ids=["normalised by moving statistics", "training without norm"])
@pytest.mark.parametrize("name", [name for name in EVERY if name != "reshape"])
def test_features_and_gradients_are_those_of_the_reshape(name: str, norm: bool) -> None:
    cnn = _cnn(norm)
    own, reshape = (_graph(make(cnn), [None, None, *TAIL], training=not norm) for make in (EVERY[name], Reshape))
    for lengths in LENGTHS.values():
        steps = max(*lengths, 1) + 1
        given = _windows(len(lengths), steps), _valid(lengths, steps)
        (features, gradients), (want, want_gradients) = own(*given), reshape(*given)
        _assert_close([features, *gradients], [want, *want_gradients])


@pytest.mark.parametrize("name", ["packed", "chunked", "chunks of 2"])
def test_valid_steps_alone_make_the_statistics(name: str) -> None:
    """In training too, more padding (noise, here) moves neither the features nor the statistics."""
    results = []
    for steps in (3, 6):
        cnn = _cnn()
        windows = _windows(2, 6)[:, :steps]
        features = EVERY[name](cnn)(windows, _valid([3, 2], steps), training=True)
        results.append((features[:, :3].numpy(), *cnn.non_trainable_weights))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=ATOL)


def test_a_chunk_is_a_batch_of_its_own_and_the_statistics_move_once() -> None:
    """Five valid steps in chunks of two at most: the 1st and 4th, the 2nd and 5th, the 3rd."""
    cnn, twin = _cnn(), _cnn()
    windows, valid = _windows(2, 3), _valid([3, 2], 3)
    graph = _graph(Chunked(cnn, size=2), [None, None, *TAIL], training=True)
    features, gradients = graph(windows, valid)
    steps, got = windows[valid.numpy()], features.numpy()[valid.numpy()]
    start, moved, sums = twin.get_weights(), [], [0.0] * len(gradients)
    for chunk in ([0, 3], [1, 4], [2]):
        twin.set_weights(start)
        with tf.GradientTape() as tape:
            want = twin(steps[chunk], training=True)
            loss = tf.reduce_sum(tf.sin(want))
        np.testing.assert_allclose(got[chunk], want, atol=ATOL)
        sums = [total + one for total, one in zip(sums, tape.gradient(loss, twin.trainable_variables), strict=True)]
        moved.append([variable.numpy() for variable in twin.non_trainable_variables])
    _assert_close(gradients, sums)
    for variable, values in zip(cnn.non_trainable_variables, zip(*moved, strict=True), strict=True):
        np.testing.assert_allclose(variable, np.mean(values, 0), rtol=1e-5)


def test_a_batch_of_one_chunk_is_packed() -> None:
    given = _windows(2, 3), _valid([3, 2], 3)
    seen = []
    for make in (Chunked, Packed):
        cnn = _cnn()
        features, gradients = _graph(make(cnn), [None, None, *TAIL], training=True)(*given)
        seen.append([features, *gradients, *cnn.non_trainable_variables])
    _assert_close(*seen)


def test_a_chunk_holds_something() -> None:
    with pytest.raises(ValueError, match="size: want at least 1, got 0"):
        Chunked(_cnn(), size=0)


@pytest.fixture(name="mixed", params=["mixed_bfloat16", "mixed_float16"])
def _mixed(request: pytest.FixtureRequest) -> Iterator[tf.DType]:
    tf_keras.mixed_precision.set_global_policy(request.param)
    yield tf.as_dtype(request.param.removeprefix("mixed_"))
    tf_keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("name", EVERY)
def test_mixed_precision_keeps_weights_and_gradients_in_float32(name: str, mixed: tf.DType) -> None:
    cnn = _cnn()
    windows, valid = _windows(2, 3), _valid([3, 1], 3)
    features, gradients = _graph(EVERY[name](cnn), [None, None, *TAIL], training=True)(windows, valid)
    assert features.dtype == mixed
    assert {one.dtype for one in (*gradients, *cnn.variables)} == {tf.float32}
    assert all(np.isfinite(one).all() for one in gradients)


@pytest.mark.parametrize("norm", [True, False], ids=["normalised by moving statistics", "training without norm"])
@pytest.mark.parametrize("name", [name for name in EVERY if name != "reshape"])
def test_in_mixed_precision_features_and_gradients_are_those_of_the_reshape(
    name: str, norm: bool, mixed: tf.DType
) -> None:
    cnn, lengths = _cnn(norm), [3, 1, 0]
    own, reshape = (_graph(make(cnn), [None, None, *TAIL], training=not norm) for make in (EVERY[name], Reshape))
    given = _windows(len(lengths), 4), _valid(lengths, 4)
    (features, gradients), (want, want_gradients) = own(*given), reshape(*given)
    for one, other in zip([features, *gradients], [want, *want_gradients], strict=True):
        one, other = (tf.cast(each, tf.float32).numpy() for each in (one, other))
        np.testing.assert_allclose(one, other, atol=MIXED[mixed] * np.abs(other).max(), rtol=0)


@pytest.mark.parametrize("name", ["packed", "chunked", "time_distributed"])
def test_vgg_m_learns_down_to_its_first_convolution(name: str) -> None:
    cnn = VGGM("B", width=0.0625, features=6)
    with tf.GradientTape() as tape:
        features = WRAPPERS[name](cnn)(_windows(2, 3), _valid([3, 1], 3), training=True)
        loss = tf.reduce_sum(features**2)
    gradient = tape.gradient(loss, cnn.get_layer("conv1").kernel)
    assert np.abs(gradient).max() > 0
