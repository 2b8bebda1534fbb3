import numpy as np

from pipeline.mouth.warp import warp


def test_warp_identity_and_shift() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    np.testing.assert_array_equal(warp(luma, identity, 20), luma[:20, :20])
    shifted = np.array([[1.0, 0, 7], [0, 1.0, 11]])
    np.testing.assert_array_equal(warp(luma, shifted, 20), luma[11:31, 7:27])


def test_warp_repeats_the_border() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    outside = np.array([[1.0, 0, -30], [0, 1.0, -25]])
    padded = np.pad(luma, ((25, 0), (30, 0)), mode="edge")
    np.testing.assert_array_equal(warp(luma, outside, 60), padded[:60, :60])


def test_warp_rotates() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    quarter = np.array([[0.0, -1, 32], [1, 0.0, 0]])  # the result's right is the picture's down
    np.testing.assert_array_equal(warp(luma, quarter, 32), np.rot90(luma))


def test_warp_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (400, 200))  # one pixel wide
    got = warp(stripes, np.array([[4.0, 0, 0.5], [0, 4.0, 0.3]]), 90)
    np.testing.assert_allclose(got[:, 2:-2], 127.5, atol=2)
