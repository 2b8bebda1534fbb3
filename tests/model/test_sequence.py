from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model.sequence import WRAPPERS
from model.vgg_m import VGGM

TAIL = (112, 112, 5)
SHAPES = {
    "static": [2, 3, *TAIL],
    "dynamic": [None, None, *TAIL],
    "batch known": [2, None, *TAIL],
    "steps known": [None, 3, *TAIL],
}


@pytest.fixture(scope="module")
def cnn() -> VGGM:
    return VGGM("B", width=0.0625, features=6)


def _windows(batch: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [batch, steps, *TAIL], np.uint8)


def _valid(lengths: list[int], steps: int) -> tf.Tensor:
    return tf.sequence_mask(lengths, steps)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("lengths", [[3, 1], [3, 3], [2, 0], [1], [0, 0]])
def test_each_valid_step_is_the_cnn_of_its_window(name: str, lengths: list[int], cnn: VGGM) -> None:
    steps = max(*lengths, 2)
    windows = _windows(len(lengths), steps)
    got = WRAPPERS[name](cnn)(windows, _valid(lengths, steps)).numpy()
    assert got.shape == (len(lengths), steps, 6)
    for row, length in enumerate(lengths):
        if length:
            np.testing.assert_allclose(got[row, :length], cnn(windows[row, :length]), atol=1e-5)
        np.testing.assert_array_equal(got[row, length:], 0)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_static_shapes_survive_and_dynamic_ones_work(name: str, shape: Any, cnn: VGGM) -> None:
    wrapper = WRAPPERS[name](cnn)
    seen = []

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8), tf.TensorSpec(shape[:2], tf.bool)], autograph=False)
    def graph(windows: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        features = wrapper(windows, valid)
        seen.append(features.shape.as_list())
        return features

    windows, valid = _windows(2, 3), _valid([3, 2], 3)
    np.testing.assert_allclose(graph(windows, valid), wrapper(windows, valid), atol=1e-5)
    assert seen == [[*shape[:2], 6]]


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 3), (3, 1)])
def test_one_row_or_one_step(name: str, batch: int, steps: int, cnn: VGGM) -> None:
    windows = _windows(batch, steps)
    got = WRAPPERS[name](cnn)(windows, tf.ones([batch, steps], tf.bool))
    assert got.shape == (batch, steps, 6)


def test_packed_keeps_padding_out_of_the_statistics() -> None:
    """In training too, more padding (noise, here) moves neither the features nor the statistics."""
    results = []
    for steps in (3, 6):
        cnn = VGGM("B", width=0.0625, features=6, seed=1)
        windows = _windows(2, 6)[:, :steps]
        features = WRAPPERS["packed"](cnn)(windows, _valid([3, 2], steps), training=True)
        results.append((features[:, :3].numpy(), cnn.get_layer("conv1/norm").moving_mean.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-5)
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_gradient_reaches_the_first_convolution(name: str) -> None:
    cnn = VGGM("B", width=0.0625, features=6)
    with tf.GradientTape() as tape:
        features = WRAPPERS[name](cnn)(_windows(2, 3), _valid([3, 1], 3), training=True)
        loss = tf.reduce_sum(features**2)
    gradient = tape.gradient(loss, cnn.get_layer("conv1").kernel)
    assert np.abs(gradient).max() > 0
