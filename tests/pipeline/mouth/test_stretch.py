import numpy as np
import pytest

from pipeline.mouth.path import crop_affines, crop_corners, steady
from pipeline.mouth.stretch import Stretch
from pipeline.mouth.warp import warp


def pictures(count: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth pictures, uint8 [F, H, W]."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(x / 9 + k / 3) + np.cos(y / 7 - k / 5) + np.sin((x + y) / 31) for k in range(count)]
    return (127 + 40 * np.array(waves)).astype(np.uint8)


def cut(luma: np.ndarray, poses: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    stretch = Stretch(0, 1.6, sigma)
    for frame, pose in zip(luma, poses, strict=True):
        stretch.add(frame, pose, True)
    stretch.finish()
    return np.stack(stretch.crops), np.concatenate(stretch.corners)


@pytest.mark.parametrize("sigma", [0.0, 2.0, 9.0])
@pytest.mark.parametrize("frames", [1, 7, 60])
def test_crops_cut_as_they_come_are_those_of_the_whole_path(frames: int, sigma: float) -> None:
    luma = pictures(frames, (200, 240))
    rng = np.random.default_rng(frames)
    poses = np.stack([120 + 100j + rng.normal(0, 3, frames), 45 * np.exp(1j * rng.normal(0, 0.1, frames))], axis=1)
    affines = crop_affines(steady(poses, sigma), 1.6)
    crops, corners = cut(luma, poses, sigma)
    np.testing.assert_allclose(corners, crop_corners(affines), atol=1e-3)
    whole = [warp(f, a, 112) for f, a in zip(luma, affines, strict=True)]
    assert np.abs(crops.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("sigma", [2.0, 10.0, 50.0])
def test_a_head_that_moves_far_stays_in_its_crop(sigma: float) -> None:
    """To and fro by four inter-ocular distances, and nearer and farther, in pictures of fine detail."""
    rng, at = np.random.default_rng(0), np.arange(80)
    luma = rng.integers(0, 256, (80, 270, 480), np.uint8)
    poses = np.stack([240 + 90 * np.sin(at / 6) + 135j, 45 * (1 + 0.5 * np.sin(at / 9) + 0j)], axis=1)
    path = steady(poses, sigma)
    assert (np.abs(path - poses) / np.abs(poses[:, 1:]) <= (0.4 + 1e-9, 0.2 + 1e-9)).all()
    whole = [warp(f, a, 112) for f, a in zip(luma, crop_affines(path, 1.6), strict=True)]
    assert np.abs(cut(luma, poses, sigma)[0].astype(int) - whole).max() <= 4


def test_a_crop_at_the_edge_repeats_the_border() -> None:
    luma = pictures(8, (200, 240))
    poses = np.tile([10 + 190j, 45], (8, 1))
    whole = [warp(f, a, 112) for f, a in zip(luma, crop_affines(poses, 1.6), strict=True)]
    assert np.abs(cut(luma, poses, 2.0)[0].astype(int) - whole).max() <= 1


def test_a_large_picture_is_held_reduced() -> None:
    """Eyes 300 pixels apart: the crop's square is 480 pixels wide, of which 4 become one."""
    luma = pictures(3, (1080, 1920))
    poses = np.tile([900 + 500j, 300], (3, 1))
    stretch = Stretch(0, 1.6, 2.0)
    for frame, pose in zip(luma, poses, strict=True):
        stretch.add(frame, pose, True)
    assert sum(part.luma.nbytes for part in stretch._parts) < luma.nbytes / 16
    stretch.finish()
    whole = [warp(f, a, 112) for f, a in zip(luma, crop_affines(poses, 1.6), strict=True)]
    assert np.abs(np.stack(stretch.crops).astype(int) - whole).max() <= 2


def test_start_and_stop() -> None:
    stretch = Stretch(40, 1.6, 0.0)
    stretch.add(pictures(1, (100, 100))[0], np.array([50 + 50j, 30]), False)
    assert (stretch.start, stretch.stop, len(stretch), stretch.tracked) == (40, 41, 1, [False])
