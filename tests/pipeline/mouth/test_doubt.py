from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.mouth import doubt, path
from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.mouth.settings import CropSettings
from tests import videos
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
    nothing, left, both = doubt.lip_contrast(crops)
    assert nothing == pytest.approx(0, abs=1e-4)
    assert left == pytest.approx(0, abs=1e-4)
    assert both == pytest.approx(100 * np.sqrt(4 / 36 * 32 / 36), rel=0.01)


def test_a_trend_of_light_is_no_lip() -> None:
    shaded = np.tile(np.arange(112, dtype=np.uint8)[:, None], (1, 112))
    assert doubt.lip_contrast(shaded[None]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "count", "level"),
    [([5, 1, 1, 1, 5], 3, 1), ([5, 1, 2, 1, 5], 3, 2), ([5, 1, 5, 1, 5], 2, 5), ([3, 4], 4, 4)],
)
def test_the_longest_low(values: list[int], count: int, level: int) -> None:
    assert doubt.longest_low(np.array(values), count) == level


def test_the_lag_of_a_smoothed_crop() -> None:
    """A jump lags by almost half of it, steady motion not at all."""
    at = np.arange(40)
    poses = np.stack([50.0 * (at >= 20), np.full(40, 50)], axis=1).astype(complex)
    assert doubt.lag(poses) == pytest.approx(0.4, abs=0.01)
    poses[:, 0] = 5 * at
    assert doubt.lag(poses[:1]) == pytest.approx(0)
    np.testing.assert_allclose(path.smooth(poses, doubt.LAG_SIGMA)[6:-6], poses[6:-6])


@pytest.mark.parametrize("crf", ["18", "35"])
@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_still_picture_does_not_talk(clip: Clips, tmp_path: Path, noise: float, crf: str) -> None:
    """Compression makes it flicker."""
    noises = np.random.default_rng(0).normal(0, noise, (75, 288, 360))
    still = list(np.clip(clip(TALKERS[0])[0] + noises, 0, 255).astype(np.uint8))
    assert crop(read(videos.write(tmp_path / "still.mp4", still, encoder={"crf": crf}))).doubt.cause == doubt.STILL


def test_a_frozen_picture_does_not_talk(clip: Clips) -> None:
    luma = list(clip(TALKERS[0]))
    assert crop(luma[:1] * 75).doubt.cause == doubt.STILL
    assert crop(luma[:45] + luma[45:46] * 30).doubt.cause == ""  # it talks for more than a second before
    assert crop(luma[:1] * 30).doubt.cause == ""  # a talker may be silent for a second


@pytest.mark.parametrize("frames", [20, 30, 45])
@pytest.mark.parametrize(("one", "other"), [("brbk7n", "pwij3p"), ("lbax4n", "sbia1a"), ("sbia1a", "lbax4n")])
def test_a_slow_dissolve(clip: Clips, one: str, other: str, frames: int) -> None:
    weight = np.clip((np.arange(75) - 37 + frames // 2) / frames, 0, 1)[:, None, None]
    both = (clip(f"{one}.mpg") * (1 - weight) + clip(f"{other}.mpg") * weight).astype(np.uint8)
    assert crop(both).doubt.cause == doubt.CHANGED


def test_a_face_that_is_seldom_seen(clip: Clips) -> None:
    luma = clip(TALKERS[0])
    luma[np.flatnonzero(np.arange(70) % 5)] = 0
    assert crop(luma).doubt == (0.747, doubt.SELDOM)


def test_likeness_over_time_forgives_what_passes() -> None:
    """Looks that are different for a while, and looks that stay different."""
    one, other = np.random.default_rng(0).integers(0, 256, (2, 24, 24), np.uint8)
    assert doubt.likeness_over_time([one] * 6 + [other] * 9 + [one] * 6) == pytest.approx(1)
    assert doubt.likeness_over_time([one] * 6 + [other] * 9) < 0.3
    assert doubt.likeness_over_time([one] * 4 + [other]) == 1
    assert doubt.likeness_over_time([one, other] * 600) == pytest.approx(1)
