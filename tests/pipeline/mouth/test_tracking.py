"""What becomes of gaps, cuts, other people and awkward pictures, on drawn and real faces."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pipeline.mouth import landmarks
from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.mouth.path import smooth
from pipeline.mouth.settings import CropSettings
from pipeline.schema import ClipError, Reason

Clips = Callable[[str], np.ndarray]
BLANK = 128
ANNA, BEN = "brbk7n.mpg", "lbax4n.mpg"


def split(frames: np.ndarray, **settings: int) -> list[Crops]:
    return MouthCropper(CropSettings(**settings), "split")(frames)


def spans(found: list[Crops]) -> list[tuple[int, int]]:
    return [(crops.start, crops.start + len(crops.frames)) for crops in found]


def untracked(crops: Crops) -> list[int]:
    return (crops.start + np.flatnonzero(~crops.tracked)).tolist()


def refused(frames: np.ndarray) -> str:
    with pytest.raises(ClipError) as error:
        MouthCropper(CropSettings())(frames)
    assert error.value.reason is Reason.FACE_LOST
    return error.value.detail


@pytest.mark.parametrize(
    ("blank", "stretches", "gap"),
    [
        (range(12, 17), [(0, 30)], "12 13 14 15 16"),
        (range(12, 18), [(0, 12), (18, 30)], ""),
        (range(5), [(0, 30)], "0 1 2 3 4"),
        (range(6), [(6, 30)], ""),
        (range(25, 30), [(0, 30)], "25 26 27 28 29"),
        (range(24, 30), [(0, 24)], ""),
        ([*range(4), *range(8, 30)], [(0, 8)], "0 1 2 3"),
        ([*range(6), *range(10, 30)], [], ""),
    ],
)
def test_gaps_up_to_the_limit_are_bridged_and_longer_ones_divide(
    drawn: np.ndarray, blank: list[int], stretches: list[tuple[int, int]], gap: str
) -> None:
    drawn[blank] = BLANK
    if stretches:
        found = split(drawn)
        assert spans(found) == stretches
        assert untracked(found[0]) == [int(frame) for frame in gap.split()]
    else:
        with pytest.raises(ClipError, match="in 5 frames in a row, of 30") as error:
            split(drawn)
        assert error.value.reason is Reason.NO_FACE
    if stretches != [(0, 30)]:
        assert "at most 5 are bridged; --on_gap=split keeps the stretches" in refused(drawn)


def test_both_modes_crop_a_sound_clip_alike(drawn: np.ndarray) -> None:
    drawn[:3] = drawn[27:] = drawn[13:16] = BLANK
    [one], [other] = split(drawn), MouthCropper(CropSettings())(drawn)
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.corners, other.corners)
    assert untracked(one) == untracked(other) == [0, 1, 2, 13, 14, 15, 27, 28, 29]


def test_the_longest_gap_is_named(drawn: np.ndarray) -> None:
    drawn[3:10] = drawn[18:26] = BLANK
    assert "frames 18 to 25 of 30" in refused(drawn)


def test_a_repeated_picture_is_tracked_once(drawn: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    fit = landmarks.Mesh.__call__
    monkeypatch.setattr(landmarks.Mesh, "__call__", lambda *given: runs.append(1) or fit(*given))
    [still] = MouthCropper(CropSettings(stride=1))([drawn[0]] * 10 + [drawn[1]] * 10)
    assert len(runs) == 2
    assert still.frames.shape == (20, 112, 112)
    np.testing.assert_array_equal(still.frames[0], still.frames[2])


def test_two_people_cut_together(clip: Clips) -> None:
    """The crop does not glide from one face to the next, and smoothing does not cross the cut."""
    anna, ben = clip(ANNA), clip(BEN)
    for at in (37, 40, 43):
        both = np.concatenate([anna[:at], ben[at:]])
        assert f"another face or place from frame {at} of 75 on" in refused(both)
        first, second = split(both)
        assert spans([first, second]) == [(0, at), (at, 75)]
        for crops, part in ((first, anna[:at]), (second, ben[at:])):  # whose key frames are others
            [alone] = MouthCropper(CropSettings())(part)
            assert np.abs(crops.corners - alone.corners).max() < 3


def test_a_cut_with_black_frames_is_told_as_a_cut(clip: Clips) -> None:
    both = np.concatenate([clip(ANNA)[:40], clip(BEN)[40:]])
    both[39:41] = 0
    assert "another face or place from frame 41 of 75 on" in refused(both)
    assert spans(split(both)) == [(0, 39), (41, 75)]


def test_two_people_at_the_same_place_are_told_apart(clip: Clips) -> None:
    """Ben's eyes and nose lie on Anna's, so that the landmarks hardly jump."""
    anna, ben = clip(ANNA), clip(BEN)
    (one,), (other,) = (MouthCropper(CropSettings(smoothing=0))(frames) for frames in (anna, ben))
    there, here = one.corners[39].astype(np.float32), other.corners[40].astype(np.float32)
    moved = cv2.getAffineTransform(here[:3], there[:3])
    ben = np.stack([cv2.warpAffine(f, moved, (360, 288), borderMode=cv2.BORDER_REPLICATE) for f in ben])
    assert "another face or place from frame 40 of 75 on" in refused(np.concatenate([anna[:40], ben[40:]]))


@pytest.mark.parametrize("start", range(20, 25))
@pytest.mark.parametrize("what", ["another face", "black"])
def test_another_face_for_some_frames_is_a_gap(clip: Clips, what: str, start: int) -> None:
    """Wherever they begin between two key frames."""
    anna, ben = clip(ANNA), clip(BEN)
    flash = slice(start, start + 4)
    anna[flash] = ben[flash] if what == "another face" else 0
    [crops] = MouthCropper(CropSettings())(anna)
    assert untracked(crops) == [*range(start, start + 4)]
    [sound] = MouthCropper(CropSettings())(clip(ANNA))
    assert np.abs(crops.corners - sound.corners).max() < 3


def test_a_single_frame_of_another_face_is_a_gap(clip: Clips) -> None:
    anna = clip(ANNA)
    for at in range(20, 25):
        flash = anna.copy()
        flash[at] = clip(BEN)[at]
        assert untracked(MouthCropper(CropSettings())(flash)[0]) == [at]


def test_a_face_that_most_frames_do_not_show_is_not_tracked(clip: Clips) -> None:
    """All key frames show Anna, all others Ben."""
    anna = clip(ANNA)
    others = np.flatnonzero(np.arange(70) % 5)
    anna[others] = clip(BEN)[others]
    [crops] = MouthCropper(CropSettings())(anna)
    assert untracked(crops) == others.tolist()


@pytest.mark.parametrize("at", [1, 3, 5, 6, 69, 70, 72, 74])
def test_a_cut_near_either_end_is_a_cut(clip: Clips, at: int) -> None:
    both = np.concatenate([clip(ANNA)[:at], clip(BEN)[at:]])
    assert f"another face or place from frame {at} of 75 on" in refused(both)
    assert spans(split(both)) == [span for span in ((0, at), (at, 75)) if span[1] - span[0] >= 5]


def test_a_cut_after_black_frames_at_the_end(clip: Clips) -> None:
    both = np.concatenate([clip(ANNA)[:70], 0 * clip(ANNA)[:2], clip(BEN)[72:]])
    assert "another face or place from frame 72 of 75 on" in refused(both)


def test_the_larger_face_is_kept_after_a_frame_without_it(clip: Clips) -> None:
    anna, ben = clip(ANNA), clip(BEN)
    small = np.stack([cv2.resize(f, (180, 144), interpolation=cv2.INTER_AREA) for f in ben])
    both = np.concatenate([anna, np.pad(small, ((0, 0), (72, 72), (0, 0)), mode="edge")], axis=2)
    [sound] = MouthCropper(CropSettings())(both)
    assert sound.corners[..., 0].max() < 360  # the larger face, on the left
    both[20, :, :360] = BLANK
    [crops] = MouthCropper(CropSettings())(both)
    assert untracked(crops) == [20]
    assert np.abs(crops.corners - sound.corners).max() < 3
    both[20:40, :, :360] = BLANK
    first, second = split(both)
    assert spans([first, second]) == [(0, 20), (20, 75)]
    assert second.corners[..., 0].min() > 360


def moved(luma: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Shifts each frame to the right."""
    shifts = [np.float32([[1, 0, shift], [0, 1, 0]]) for shift in pixels]
    pairs = zip(luma, shifts, strict=True)
    return np.stack([cv2.warpAffine(f, shift, (360, 288), borderMode=cv2.BORDER_REPLICATE) for f, shift in pairs])


def test_light_and_movement_are_no_cuts(clip: Clips) -> None:
    anna = clip(ANNA)
    flash = anna.copy()
    flash[30] = np.clip(flash[30] * 1.8 + 40, 0, 255)
    dim = np.stack([f * (0.3 + 0.7 * k / 74) for k, f in enumerate(anna)]).astype(np.uint8)
    at = np.arange(75)
    panned = moved(anna, 60 * np.sin(2 * np.pi * at / 20))  # up to 0.4 inter-ocular distances a frame
    shaken = moved(anna, np.minimum(at, 20) * np.sin(1.6 * at))  # up to 0.6, to and fro
    for frames in (flash, dim, panned, shaken):
        [crops] = MouthCropper(CropSettings())(frames)
        assert crops.tracked.mean() > 0.9


@pytest.mark.parametrize(("axis", "sign"), [(0, 1), (0, -1), (1, 1), (1, -1)])
def test_a_mouth_outside_or_half_outside_of_the_picture_is_not_tracked(clip: Clips, axis: int, sign: int) -> None:
    """The picture ends within, or just beyond, the mouth."""
    luma = clip(ANNA)[:20]
    [sound] = MouthCropper(CropSettings(smoothing=0))(luma)
    mouth = sound.corners.mean(axis=(0, 1))[::-1]  # y, x
    side = np.linalg.norm(sound.corners[0, 1] - sound.corners[0, 0])

    def cut(beyond: float) -> np.ndarray:
        edge = round(mouth[axis] + sign * beyond * side)
        kept = slice(None, edge) if sign > 0 else slice(edge, None)
        return luma[(slice(None), kept) if axis == 0 else (slice(None), slice(None), kept)]

    for beyond in (-0.1, 0.0):
        with pytest.raises(ClipError) as error:
            MouthCropper(CropSettings())(cut(beyond))
        assert error.value.reason is Reason.NO_FACE
    [crops] = MouthCropper(CropSettings())(cut(0.9 if (axis, sign) == (0, -1) else 0.45))  # it has to show the eyes
    assert crops.tracked.all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_on_its_side_or_head_gives_upright_crops(clip: Clips, quarters: int) -> None:
    for name in (ANNA, BEN):
        luma = clip(name)[:30]
        [upright] = MouthCropper(CropSettings())(luma)
        [turned] = MouthCropper(CropSettings())(np.rot90(luma, quarters, axes=(1, 2)))
        difference = np.abs(turned.frames.astype(float) - upright.frames).mean()
        assert difference < 0.35 * np.abs(upright.frames - upright.frames.mean()).mean()


def test_smoothing_stays_within_a_stretch(drawn: np.ndarray) -> None:
    rough, fine = (MouthCropper(CropSettings(smoothing=sigma))(drawn)[0] for sigma in (0.0, 2.0))
    np.testing.assert_allclose(fine.corners, smooth(rough.corners.astype(float), 2.0), atol=1e-3)
