from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model.toom_cook import SIDES, ToomCookConv2D, convolve

ATOL = 2e-4  # in standard deviations; direct convolutions in float32 come to 1e-6


def _draw(shape: list[int], seed: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def _direct(pictures: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(pictures, kernel, 1, "SAME")


@pytest.mark.parametrize(("side", "at"), [(5, (0, 0)), (5, (0, 4)), (5, (2, 2)), (5, (4, 1)), (6, (0, 5)), (6, (3, 2))])
def test_a_point_becomes_the_kernel_turned_round(side: int, at: tuple[int, int]) -> None:
    kernel = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1, 1)
    picture = np.zeros([1, side, side, 1], np.float32)
    picture[0, *at, 0] = 1
    want = np.zeros([side + 2, side + 2])
    want[at[0] : at[0] + 3, at[1] : at[1] + 3] = [[9, 8, 7], [6, 5, 4], [3, 2, 1]]
    np.testing.assert_allclose(convolve(picture, kernel)[0, :, :, 0], want[1:-1, 1:-1], atol=1e-4)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("count", "channels", "filters"), [(1, 1, 1), (3, 2, 5), (4, 256, 32)])
def test_results_and_gradients_are_those_of_a_direct_convolution(
    side: int, count: int, channels: int, filters: int
) -> None:
    pictures = tf.nn.relu(_draw([count, side, side, channels], 0))
    kernel = tf.constant(_draw([3, 3, channels, filters], 1, channels**-0.5))
    upstream = _draw([count, side, side, filters], 2)

    def seen(convolution: Callable) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch([pictures, kernel])
            result = convolution(pictures, kernel)
        return [each.numpy() for each in (result, *tape.gradient(result, [pictures, kernel], upstream))]

    for got, want in zip(seen(convolve), seen(_direct), strict=True):
        np.testing.assert_allclose(got / want.std(), want / want.std(), atol=ATOL)
        assert np.sqrt(np.mean((got - want) ** 2)) < 2e-5 * want.std()


@pytest.mark.parametrize(
    "other",
    [{"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"kernel_size": 1}, {"kernel_size": 5}, {"side": 7}],
    ids=str,
)
def test_what_toom_cook_cannot_do_is_conv2d_s(other: dict[str, int | str]) -> None:
    arguments = {"filters": 3, "kernel_size": 3, "padding": "same", **other}
    side = arguments.pop("side", 5)
    layer, twin = ToomCookConv2D(**arguments), tf_keras.layers.Conv2D(**arguments)
    pictures = tf.constant(_draw([2, side, side, 4], 0))
    twin(pictures)
    layer(pictures)
    layer.set_weights(twin.get_weights())
    np.testing.assert_array_equal(layer(pictures), twin(pictures))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-4), ("mixed_bfloat16", 0.03), ("mixed_float16", 0.004)])
def test_the_layer_has_conv2d_s_weights_and_is_as_exact_in_half_precision(side: int, dtype: str, atol: float) -> None:
    arguments = {"filters": 3, "kernel_size": 3, "padding": "same", "dtype": dtype}
    layer, twin = ToomCookConv2D(**arguments), tf_keras.layers.Conv2D(**arguments)
    pictures = tf.cast(_draw([2, side, side, 64], 0), layer.compute_dtype)
    twin(pictures)
    layer(pictures)
    layer.set_weights(twin.get_weights())
    got, same = layer(pictures), twin(pictures)
    assert got.dtype == layer.compute_dtype
    exact = _direct(tf.cast(pictures, tf.float32), tf.cast(tf.cast(layer.kernel, pictures.dtype), tf.float32))
    for each in (got, same):
        np.testing.assert_allclose(tf.cast(each, tf.float32), exact, atol=atol)
    assert not np.array_equal(got, exact)
