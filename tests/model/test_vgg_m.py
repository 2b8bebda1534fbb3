from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from model.vgg_m import TABLES, VGGM
from scripts.benchmarks.sequence_variant import plain

SHAPES = {
    "A": {
        "conv1": (110, 96),
        "pool1": (54, 96),
        "conv2": (50, 256),
        "pool2": (24, 256),
        "conv3": (22, 512),
        "conv4": (20, 512),
        "conv5": (18, 512),
        "pool5": (6, 512),
    },
    "B": {
        "conv1": (53, 96),
        "pool1": (26, 96),
        "conv2": (11, 256),
        "pool2": (5, 256),
        "conv3": (5, 512),
        "conv4": (5, 512),
        "conv5": (5, 512),
        "pool5": (3, 512),
    },
    "C": {
        "conv1": (55, 96),
        "pool1": (27, 96),
        "conv2": (13, 256),
        "pool2": (6, 256),
        "conv3": (6, 512),
        "conv4": (6, 512),
        "conv5": (6, 512),
        "pool5": (3, 512),
    },
}


def _windows(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [count, 112, 112, 5], np.uint8)


@pytest.mark.parametrize("table", ["A", "B", "C"])
def test_sides_and_channels_are_those_of_the_tables(table: str) -> None:
    cnn = VGGM(table)
    got = {layer.name: layer.output_shape for layer in cnn.layers if layer.name in TABLES[table]}
    want = {name: (None, side, side, channels) for name, (side, channels) in SHAPES[table].items()}
    assert got == {**want, "fc6": (None, 512)}


# By hand, table B: conv1 7*7*5*96 = 23,520; conv2 5*5*96*256 = 614,400; conv3 3*3*256*512 = 1,179,648;
# conv4, conv5, fc6 3*3*512*512 = 2,359,296 each; gamma and beta 2*(96+256+4*512) = 4,800.
# Table A: conv1 3*3*5*96 = 4,320; fc6 6*6*512*512 = 9,437,184; the rest as B.
# Table C: conv1 as A; conv2 3*3*96*256 = 221,184; the rest as B.
@pytest.mark.parametrize(("table", "trainable"), [("A", 15_958_944), ("B", 8_900_256), ("C", 8_487_840)])
def test_parameters_at_full_width(table: str, trainable: int) -> None:
    cnn = VGGM(table)
    assert sum(int(np.prod(weight.shape)) for weight in cnn.trainable_weights) == trainable
    assert sum(int(np.prod(weight.shape)) for weight in cnn.non_trainable_weights) == 4_800


@pytest.mark.parametrize("table", ["A", "B", "C"])
def test_windows_become_features(table: str) -> None:
    features = VGGM(table, width=0.0625, features=7)(_windows(2))
    assert features.shape == (2, 7)
    assert features.dtype == "float32"
    assert np.all(features >= 0)


def test_width_multiplies_channels_alone() -> None:
    cnn = VGGM("B", width=0.25)
    assert cnn.get_layer("conv1").output_shape[-1] == 24
    assert cnn.get_layer("conv5").output_shape[-1] == 128
    assert cnn.output_shape == (None, 512)


def test_gray_values_are_normalised_once() -> None:
    cnn = VGGM("B", width=0.0625)
    kernel = np.zeros([7, 7, 5, 6], np.float32)
    kernel[3, 3, 2] = 1
    cnn.get_layer("conv1").set_weights([kernel])
    windows = np.zeros([3, 112, 112, 5], np.uint8)
    windows += np.uint8([0, 51, 255])[:, None, None, None]
    seen = cnn.get_layer("conv1")(cnn.layers[0](windows))
    np.testing.assert_allclose(seen[:, 20, 30, 4], [-2, -1.2, 2], atol=1e-6)


def test_every_convolution_and_fc6_is_normalised_and_has_no_bias() -> None:
    cnn = VGGM("B", width=0.0625)
    names = [layer.name for layer in cnn.layers]
    for row in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6"):
        after = [f"{row}/norm", *[f"pool{row[-1]}"] * (f"pool{row[-1]}" in names), f"{row}/relu"]
        place = names.index(row) + 1
        assert names[place : place + len(after)] == after
        assert len(cnn.get_layer(row).weights) == 1
        assert cnn.get_layer(f"{row}/norm").momentum == 0.9


def _seen(cnn: tf_keras.Sequential, windows: np.ndarray, training: bool) -> tuple[np.ndarray, list, list]:
    """Features, gradients and, after it, the statistics."""
    with tf.GradientTape() as tape:
        features = cnn(windows, training=training)
    upstream = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    return features.numpy(), tape.gradient(features, cnn.trainable_variables, upstream), cnn.non_trainable_variables


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("table", "width"), [("B", 0.125), ("A", 0.03125), ("C", 0.125)])
def test_it_is_the_plain_layers(table: str, width: float, training: bool) -> None:
    """Beside VGG-M as one would write it down: the same weights, the same results.

    Features and statistics to float32's rounding. Gradients jump where two pixels of a maximum, or 0 and a ReLU's
    input, come within that rounding; so these are compared as vectors, by the length of their difference.
    """
    cnn, layers = VGGM(table, width=width, features=16), plain(table, width, features=16)
    rng = np.random.default_rng(1)
    weights = [weight + 0.1 * np.abs(rng.normal(size=weight.shape)) for weight in cnn.get_weights()]
    gammas = [place for place, weight in enumerate(cnn.weights) if "gamma" in weight.name]
    for place in gammas:
        weights[place] *= rng.choice([1, -1], weights[place].shape)
    for each in (cnn, layers):
        each.set_weights(weights)
    windows = _windows(8)
    (features, gradients, moved), (want, want_gradients, want_moved) = (
        _seen(each, windows, training) for each in (cnn, layers)
    )
    np.testing.assert_allclose(features, want, atol=1e-4 * want.std())
    for one, other in zip(moved, want_moved, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)
    for one, other in zip(gradients, want_gradients, strict=True):
        assert np.linalg.norm(one - other) <= 1e-2 * np.linalg.norm(other)


def test_the_seed_fixes_the_weights() -> None:
    first, again, other = (VGGM("B", width=0.0625, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_layer("conv1").get_weights()[0], other.get_layer("conv1").get_weights()[0])
    # Equal shapes in one network must not start equal.
    conv4, conv5 = (first.get_layer(name).get_weights()[0] for name in ("conv4", "conv5"))
    assert not np.array_equal(conv4, conv5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": "D"}, "table: want one of A, B, C, got 'D'"),
        ({"width": 0}, "width and features: want more than 0, got 0 and 512"),
        ({"features": -1}, "width and features: want more than 0, got 1.0 and -1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VGGM(**arguments)
