import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.mouth import landmarks, tracking
from pipeline.mouth.crop import CropSettings, MouthCropper, crop_affines
from pipeline.schema import ClipError, Reason
from pipeline.synthetic import corpus
from pipeline.video import images
from tests import videos

NAN = complex(np.nan, np.nan)


def face(similarity: complex, origin: complex, mouth_at: complex = 1.1j) -> np.ndarray:
    """Landmarks [468, 2] whose eyes and nose are the template, rotated, scaled and moved."""
    points = np.full(468, origin)
    right_eye, left_eye, nose = tracking.TEMPLATE
    for index, at in (
        *((i, right_eye + d) for i, d in zip(landmarks.RIGHT_EYE, (-0.15, 0.15), strict=True)),
        *((i, left_eye + d) for i, d in zip(landmarks.LEFT_EYE, (-0.15, 0.15), strict=True)),
        (landmarks.NOSE, nose),
        *((i, mouth_at + d) for i, d in zip(landmarks.MOUTH, (-0.4, 0.4), strict=True)),
    ):
        points[index] = origin + similarity * at
    return np.stack([points.real, points.imag], axis=1)


@pytest.mark.parametrize("roll", [0.0, 0.3, -1.2, 3.0])
@pytest.mark.parametrize("size", [20.0, 75.0])
def test_the_similarity_is_recovered(roll: float, size: float) -> None:
    similarity = size * np.exp(1j * roll)
    path = tracking.poses(face(similarity, 120 + 80j)[None])
    assert path.shape == (1, 2)
    np.testing.assert_allclose(path[0], [120 + 80j + 1.1j * similarity, similarity])


def test_the_mouth_moves_the_centre_but_not_the_scale() -> None:
    path = tracking.poses(np.stack([face(50, 0j), face(50, 0j, mouth_at=1.3j)]))
    np.testing.assert_allclose(path, [[55j, 50], [65j, 50]])


def test_yaw_shrinks_the_crop_less_than_the_eyes() -> None:
    turned = face(50, 0j)
    turned[:, 0] *= np.cos(np.pi / 4)
    assert 0.71 < abs(tracking.poses(turned[None])[0, 1]) / 50 < 1


def test_gaps_are_interpolated_and_ends_repeated() -> None:
    path = np.array([[NAN, NAN], [10, 2], [NAN, NAN], [NAN, NAN], [16 + 3j, 8], [NAN, NAN]])
    filled, tracked = tracking.interpolate(path, np.arange(6), 6)
    assert tracked.tolist() == [False, True, False, False, True, False]
    np.testing.assert_allclose(filled[:, 0], [10, 10, 12 + 1j, 14 + 2j, 16 + 3j, 16 + 3j])
    np.testing.assert_allclose(filled[:, 1], [2, 2, 4, 6, 8, 8])


def test_frames_between_keys_are_tracked_where_both_keys_are() -> None:
    path = np.array([[0, 1], [3, 1], [NAN, NAN], [8, 1]])
    filled, tracked = tracking.interpolate(path, np.array([0, 3, 6, 8]), 9)
    assert tracked.tolist() == [True] * 4 + [False] * 4 + [True]
    np.testing.assert_allclose(filled[:, 0], np.arange(9))


def test_no_pose_is_no_face() -> None:
    with pytest.raises(ClipError, match="any of 3 frames") as error:
        tracking.interpolate(np.full((2, 2), NAN), np.array([0, 2]), 3)
    assert error.value.reason is Reason.NO_FACE


@pytest.mark.parametrize(
    ("tracked", "gap"), [("0001111", "0 to 2"), ("1110001", "3 to 5"), ("1111000", "4 to 6"), ("0010000011", "3 to 7")]
)
def test_a_gap_longer_than_the_limit_is_named(tracked: str, gap: str) -> None:
    flags = np.array([c == "1" for c in tracked])
    with pytest.raises(ClipError, match=f"frames {gap} of {len(flags)}, at most 2 ") as error:
        tracking.check_gaps(flags, 2)
    assert error.value.reason is Reason.FACE_LOST


@pytest.mark.parametrize("tracked", ["1111", "0110", "0011", "10100101"])
def test_gaps_up_to_the_limit_pass(tracked: str) -> None:
    tracking.check_gaps(np.array([c == "1" for c in tracked]), 2)


def test_a_jump_of_one_frame_is_an_outlier_and_a_steady_movement_is_not() -> None:
    steady = np.stack([np.arange(12) * (10 + 4j), np.full(12, 50 + 0j)], axis=1)  # a fifth of 50 px a frame
    np.testing.assert_array_equal(tracking.mask_outliers(steady), steady)
    for index, column, jump in ((5, 0, 40), (0, 0, -60j), (11, 0, 60), (6, 1, 30), (6, 1, 40j)):
        jumping = steady.copy()
        jumping[index, column] += jump
        assert np.flatnonzero(np.isnan(tracking.mask_outliers(jumping)[:, 0])).tolist() == [index]


def test_smoothing_keeps_constants_and_steady_movements() -> None:
    constant = np.full((7, 2), 3 + 4j)
    np.testing.assert_allclose(tracking.smooth(constant, 2.0), constant)
    line = np.stack([np.arange(40) * (1 + 2j), np.arange(40) * 1j], axis=1)
    np.testing.assert_allclose(tracking.smooth(line, 2.0)[6:-6], line[6:-6])
    np.testing.assert_array_equal(tracking.smooth(line, 0), line)


def test_smoothing_is_a_gaussian() -> None:
    impulse = np.zeros((21, 1))
    impulse[10] = 1
    got = tracking.smooth(impulse, 1.0)[:, 0]
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    np.testing.assert_allclose(got[7:14], weights / weights.sum())
    assert got[:7].max() == got[14:].max() == 0


def test_a_tilted_pattern_comes_out_upright_and_centred() -> None:
    """A dot at the mouth and a dot above it, in a rotated picture, are upright in the crop."""
    y, x = np.mgrid[:200, :240] + 0.5
    for roll in (0.0, 0.5, -0.7):
        similarity = 60 * np.exp(1j * roll)
        centre = 130 + 90j
        above = centre - 0.4j * similarity
        dots = sum(np.exp(-((x - p.real) ** 2 + (y - p.imag) ** 2) / 20) for p in (centre, above))
        affine = crop_affines(np.array([[centre, similarity]]), 2.0)[0]
        crop = images.warp((250 * dots).astype(np.uint8), affine, 112)
        scale = 112 / 120  # crop pixels a picture pixel: a side of 2 x 60
        for row in (56.0, 56 - 0.4 * 60 * scale):
            near = crop[int(row) - 6 : int(row) + 6, 50:62].astype(float)
            rows, columns = np.mgrid[int(row) - 6 : int(row) + 6, 50:62] + 0.5
            assert np.average(rows, weights=near) == pytest.approx(row, abs=0.4)
            assert np.average(columns, weights=near) == pytest.approx(56, abs=0.4)


def test_box_and_resize() -> None:
    luma = np.zeros((3, 90, 160), np.uint8)
    luma[1, :45, :80] = 200
    whole = MouthCropper(CropSettings(mode="resize"))(luma)[0]
    assert whole.frames.shape == (3, 112, 112)
    assert whole.frames.dtype == np.uint8
    assert whole.frames[1, 20, 20] == 200
    assert whole.frames[1, 20, 90] == whole.frames[1, 90, 20] == whole.frames[0, 20, 20] == 0
    assert whole.tracked.tolist() == [True] * 3
    assert whole.corners[2].tolist() == [[0, 0], [160, 0], [160, 90], [0, 90]]
    box = MouthCropper(CropSettings(mode="box", box=(0.25, 0.5, 0.75, 1.0)))(luma)[0]
    assert box.corners[0].tolist() == [[40, 45], [120, 45], [120, 90], [40, 90]]
    assert box.frames[1, 4:].max() == 0
    upper = MouthCropper(CropSettings(mode="box", box=(0.25, 0.0, 0.75, 0.5)))(luma)[0]
    assert upper.frames[1, 50, 20] == 200
    assert upper.frames[1, 50, 90] == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"mode": "lips"}, "mode: want face, box or resize, got 'lips'"),
        ({"margin": 0.1}, "margin: want 0.5 to 8"),
        ({"margin": float("nan")}, "margin"),
        ({"mode": "box"}, "box: .*--crop=box.*got None"),
        ({"box": (0, 0, 1, 1)}, "box: .*--crop=box.* with --crop=face"),
        ({"mode": "box", "box": (0.5, 0, 0.5, 1)}, "box: want 0 <= x0 < x1 <= 1"),
        ({"mode": "box", "box": (0, 0, 1)}, "box: want 0 <= x0 < x1 <= 1"),
        ({"smoothing": -1.0}, "smoothing: want 0 to 50"),
        ({"max_gap": -1}, "max_gap: want 0 frames or more"),
        ({"stride": 0}, "stride: want 1 or more"),
        ({"on_gap": "cut"}, "on_gap: want reject or split, got .cut."),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        CropSettings(**settings)


def test_settings_go_through_json() -> None:
    settings = CropSettings(mode="box", box=(0.1, 0.2, 0.3, 0.4))
    assert CropSettings(**json.loads(json.dumps(dataclasses.asdict(settings)))) == dataclasses.replace(
        settings, box=[0.1, 0.2, 0.3, 0.4]
    )


def test_noise_has_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 144, 180), np.uint8)
    with pytest.raises(ClipError, match="any of 6 frames") as error:
        MouthCropper(CropSettings())(noise)
    assert error.value.reason is Reason.NO_FACE


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    root = tmp_path_factory.mktemp("synthetic")
    (path,) = (p for p in corpus.render(root, corpus.SyntheticConfig(clips=1, speakers=1)) if p.suffix)
    return videos.read(path).luma[:30]


def test_a_drawn_face_is_tracked_the_same_every_time(drawn: np.ndarray) -> None:
    cropper = MouthCropper(CropSettings())
    first = cropper(drawn)[0]
    assert first.frames.shape == (30, 112, 112)
    assert first.tracked.all()
    sides = np.linalg.norm(first.corners[:, 1] - first.corners[:, 0], axis=1)
    assert np.ptp(sides) < 0.08 * sides.mean()
    assert np.linalg.norm(np.diff(first.corners.mean(axis=1), axis=0), axis=1).max() < 3
    cropper(np.ascontiguousarray(drawn[::-1, :, ::-1]))
    second = cropper(drawn)[0]
    np.testing.assert_array_equal(first.frames, second.frames)
    np.testing.assert_array_equal(first.corners, second.corners)


def test_a_stride_stays_close_and_bridges_the_same_gaps(drawn: np.ndarray) -> None:
    every = MouthCropper(CropSettings(stride=1))
    fifth = MouthCropper(CropSettings())
    assert fifth.settings.stride == 5
    shift = np.linalg.norm(every(drawn)[0].corners - fifth(drawn)[0].corners, axis=2).max(axis=1)
    assert 0 < np.median(shift) < 1.5
    assert shift.max() < 4
    gap = drawn.copy()
    gap[12:16] = 128
    for cropper in (every, fifth):
        crops = cropper(gap)[0]
        assert np.flatnonzero(~crops.tracked).tolist() == [12, 13, 14, 15]
        assert np.linalg.norm(crops.corners - every(drawn)[0].corners, axis=2).max() < 4


def test_a_gap_between_two_key_frames_has_the_same_limit(drawn: np.ndarray) -> None:
    gap = drawn.copy()
    gap[11:15] = 128
    with pytest.raises(ClipError, match="frames 11 to 14 of 30, at most 3 "):
        MouthCropper(CropSettings(max_gap=3))(gap)


def test_a_face_that_is_on_no_key_frame_is_found(drawn: np.ndarray) -> None:
    faded = drawn[:10].copy()
    faded[[0, 5, 9]] = 128
    crops = MouthCropper(CropSettings(stride=5))(faded)[0]
    assert np.flatnonzero(~crops.tracked).tolist() == [0, 5, 9]


def test_a_rotated_picture_gives_the_same_crops(drawn: np.ndarray) -> None:
    """The crop does not depend on the roll of the head in the picture."""
    upright = MouthCropper(CropSettings())(drawn[:8])[0]
    height, width = drawn.shape[1:]
    size = max(height, width)
    step = np.exp(0.35j)
    corner = (width + height * 1j) / 2 - step * (size + size * 1j) / 2
    affine = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
    turned = MouthCropper(CropSettings())(np.stack([images.warp(f, affine, size) for f in drawn[:8]]))[0]
    difference = np.abs(turned.frames.astype(float) - upright.frames)
    contrast = np.abs(upright.frames - upright.frames.mean())
    assert difference.mean() < 0.25 * contrast.mean()


def test_grid_is_tracked_and_a_blank_middle_is_face_lost(grid_clips: Path) -> None:
    clips = [*sorted((grid_clips / "s1").glob("*.mp4"))[::120], grid_clips / "s2" / "swwp2s.mpg"]
    crops = [MouthCropper(CropSettings())(videos.read(clip).luma)[0] for clip in clips]
    tracked = np.concatenate([c.tracked for c in crops])
    assert tracked.mean() >= 0.99
    luma = videos.read(clips[0]).luma.copy()
    luma[20:50] = 0
    with pytest.raises(ClipError, match="frames 20 to 49 of 75") as error:
        MouthCropper(CropSettings())(luma)
    assert error.value.reason is Reason.FACE_LOST


def test_grid_crops_stay_close_to_those_of_landmarks_on_every_frame(grid_clips: Path) -> None:
    shifts = []
    for clip in sorted((grid_clips / "s1").glob("*.mp4"))[60::240]:
        luma = videos.read(clip).luma
        every, ours = (MouthCropper(CropSettings(stride=n)) for n in (1, CropSettings().stride))
        theirs = every(luma)[0].corners
        side = np.linalg.norm(theirs[:, 1] - theirs[:, 0], axis=1)
        shifts.append(np.linalg.norm((ours(luma)[0].corners - theirs).mean(axis=1), axis=1) * 112 / side)
    assert 0 < np.median(shifts) < 1.5
    assert np.quantile(shifts, 0.99) < 4
