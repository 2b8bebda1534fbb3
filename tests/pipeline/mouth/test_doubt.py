from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.mouth import doubt
from pipeline.mouth.crop import Crops, CropSettings, MouthCropper
from tests.pipeline.mouth.conftest import read

Clips = Callable[[str], np.ndarray]
TALKERS = ("brbk7n.mpg", "lbax4n.mpg", "lrwp9a.mpg")
SECOND = range(25, 50)  # one of three


def crop(frames: np.ndarray) -> Crops:
    [crops] = MouthCropper(CropSettings())(frames)
    return crops


def covered(luma: np.ndarray, crops: Crops, frames: range, left: float, right: float) -> np.ndarray:
    """The mouth under a gray rectangle from `left` to `right`, in inter-ocular distances from its middle."""
    for frame in frames:
        x, y = crops.corners[frame].mean(axis=0)
        eye = np.linalg.norm(crops.corners[frame, 1] - crops.corners[frame, 0]) / 1.6
        rows = slice(int(y - 0.35 * eye), int(y + 0.45 * eye))
        luma[frame, rows, int(x + left * eye) : int(x + right * eye)] = 160
    return luma


@pytest.mark.parametrize("name", TALKERS)
def test_real_talkers_are_not_doubtful(clip: Clips, name: str) -> None:
    score, cause = crop(clip(name)).doubt
    assert (score < 0.4, cause) == (True, "")


def test_grid_is_not_doubtful(grid_clips: Path) -> None:
    clips = sorted((grid_clips / "s1").glob("*.mp4"))[50::200]
    assert max(crop(read(path)).doubt.score for path in clips) < 0.4


def test_drawn_talkers_are_not_doubtful(talkers: list[np.ndarray]) -> None:
    assert max(crop(frames).doubt.score for frames in talkers) < 0.4


@pytest.mark.parametrize("name", TALKERS)
@pytest.mark.parametrize("frames", [SECOND, range(75)])
@pytest.mark.parametrize("part", [(-0.7, 0.0), (-0.6, 0.6)])
def test_a_hidden_mouth(clip: Clips, name: str, frames: range, part: tuple[float, float]) -> None:
    """The whole mouth, or a half of it, for a second or all the time."""
    luma = clip(name)
    assert crop(covered(luma, crop(luma), frames, *part)).doubt.cause == doubt.HIDDEN


def test_a_hand_over_the_mouth(clip: Clips) -> None:
    luma = clip(TALKERS[0])
    crops = crop(luma)
    for frame in SECOND:
        x, y = crops.corners[frame].mean(axis=0).astype(int)
        brow = cv2.resize(luma[frame, y - 95 : y - 60, x - 30 : x + 30], (70, 44))
        hand = np.zeros(brow.shape, np.float32)
        cv2.ellipse(hand, (35, 22), (33, 20), 0, 0, 360, 1.0, -1)
        hand = cv2.GaussianBlur(hand, (0, 0), 1.5)
        part = luma[frame, y - 17 : y + 27, x - 35 : x + 35]
        part[:] = part * (1 - hand) + 0.92 * brow * hand
    assert crop(luma).doubt.cause == doubt.HIDDEN


def test_a_mouth_hidden_for_a_moment_is_not_doubtful(clip: Clips) -> None:
    luma = clip(TALKERS[0])
    assert crop(covered(luma, crop(luma), range(30, 41), -0.6, 0.6)).doubt.cause == ""


@pytest.mark.parametrize(("share", "cause"), [(0.15, doubt.FLAT), (0.6, "")])
def test_contrast(clip: Clips, share: float, cause: str) -> None:
    luma = clip(TALKERS[0])
    assert crop((40 + share * luma).astype(np.uint8)).doubt.cause == cause


@pytest.mark.parametrize(("pixels", "cause"), [(40.0, doubt.UNSTEADY), (4.0, "")])
def test_motion(clip: Clips, pixels: float, cause: str) -> None:
    """A camera that moves to and fro twice a second."""
    moved = []
    for frame, luma in enumerate(clip(TALKERS[0])):
        shift = np.float32([[1, 0, pixels * np.sin(2 * np.pi * frame / 12)], [0, 1, 0]])
        moved.append(cv2.warpAffine(luma, shift, luma.shape[::-1], borderMode=cv2.BORDER_REPLICATE))
    assert crop(np.stack(moved)).doubt.cause == cause


@pytest.mark.parametrize(("degrees", "cause"), [(180, doubt.TURNED), (90, doubt.TURNED), (35, "")])
def test_roll(clip: Clips, degrees: float, cause: str) -> None:
    turn = cv2.getRotationMatrix2D((180, 144), degrees, 1)
    turned = [cv2.warpAffine(f, turn, (360, 288), borderMode=cv2.BORDER_REPLICATE) for f in clip(TALKERS[0])[:30]]
    assert crop(np.stack(turned)).doubt.cause == cause


def test_a_squeezed_face_is_hardly_a_face(clip: Clips) -> None:
    squeezed = np.stack([cv2.resize(f, (250, 288), interpolation=cv2.INTER_AREA) for f in clip(TALKERS[0])])
    assert crop(squeezed).doubt.cause == doubt.FAINT


def test_lip_contrast_is_that_of_the_weaker_half() -> None:
    crops = np.full((3, 112, 112), 150, np.uint8)
    crops[1:, 56:60, :56] = crops[2, 56:60, 56:] = 50  # a dark line between lips: on the left, on both sides
    nothing, left, both = map(doubt.lip_contrast, crops)
    assert nothing == pytest.approx(0, abs=1e-4)
    assert left == pytest.approx(0, abs=1e-4)
    assert both == pytest.approx(100 * np.sqrt(4 / 36 * 32 / 36), rel=0.01)


def test_a_trend_of_light_is_no_lip() -> None:
    shaded = np.tile(np.arange(112, dtype=np.uint8)[:, None], (1, 112))
    assert doubt.lip_contrast(shaded) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "count", "level"),
    [([5, 1, 1, 1, 5], 3, 1), ([5, 1, 2, 1, 5], 3, 2), ([5, 1, 5, 1, 5], 2, 5), ([3, 4], 4, 4)],
)
def test_the_longest_low(values: list[int], count: int, level: int) -> None:
    assert doubt.longest_low(np.array(values), count) == level


def test_the_largest_jump_is_within_five_frames() -> None:
    poses = np.stack([np.arange(20) * (1 + 0j), np.full(20, 50 + 0j)], axis=1)  # a fiftieth of an eye distance a frame
    assert doubt.max_jump(poses) == pytest.approx(0.1)
    assert doubt.max_jump(poses[:3]) == pytest.approx(0.04)
    assert doubt.max_jump(poses[:1]) == 0
