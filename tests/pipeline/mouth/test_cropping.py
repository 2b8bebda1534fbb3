import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import mouth
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.mouth.warp import warp
from pipeline.schema import ClipError, Reason
from pipeline.synthetic import corpus
from pipeline.video import decode
from tests.datasets import pixels, write_video
from tests.pipeline.mouth.conftest import read


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


def test_noise_has_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 144, 180), np.uint8)
    match = r"no face in any of 6 frames, or its mouth is outside the picture; .*mouth crops already: --crop=resize"
    with pytest.raises(ClipError, match=match) as error:
        MouthCropper(CropSettings())(noise)
    assert error.value.reason is Reason.NO_FACE


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
    with pytest.raises(ClipError, match=r"frames 11 to 14 of 30, .*; at most 3 "):
        MouthCropper(CropSettings(max_gap=3))(gap)


def test_a_face_that_is_on_no_key_frame_is_found(drawn: np.ndarray) -> None:
    faded = drawn[:10].copy()
    faded[[0, 5, 9]] = 128
    crops = MouthCropper(CropSettings(stride=5))(faded)[0]
    assert np.flatnonzero(~crops.tracked).tolist() == [0, 5, 9]


@pytest.mark.parametrize("on_gap", ["reject", "split"])
def test_a_clip_shorter_than_a_window_is_cropped_whole(drawn: np.ndarray, on_gap: str) -> None:
    for frames in (1, 4):
        [crops] = MouthCropper(CropSettings(), on_gap)(drawn[:frames])
        assert (crops.start, crops.tracked.tolist()) == (0, [True] * frames)


def test_a_rotated_picture_gives_the_same_crops(drawn: np.ndarray) -> None:
    """The crop does not depend on the roll of the head in the picture."""
    upright = MouthCropper(CropSettings())(drawn[:8])[0]
    height, width = drawn.shape[1:]
    size = max(height, width)
    step = np.exp(0.35j)
    corner = (width + height * 1j) / 2 - step * (size + size * 1j) / 2
    affine = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
    turned = MouthCropper(CropSettings())(np.stack([warp(f, affine, size) for f in drawn[:8]]))[0]
    difference = np.abs(turned.frames.astype(float) - upright.frames)
    contrast = np.abs(upright.frames - upright.frames.mean())
    assert difference.mean() < 0.25 * contrast.mean()


def test_grid_is_tracked_and_a_blank_middle_is_face_lost(grid_clips: Path) -> None:
    clips = [*sorted((grid_clips / "s1").glob("*.mp4"))[::120], grid_clips / "s2" / "swwp2s.mpg"]
    crops = [MouthCropper(CropSettings())(read(clip))[0] for clip in clips]
    tracked = np.concatenate([c.tracked for c in crops])
    assert tracked.mean() >= 0.99
    luma = read(clips[0])
    luma[20:50] = 0
    with pytest.raises(ClipError, match="frames 20 to 49 of 75") as error:
        MouthCropper(CropSettings())(luma)
    assert error.value.reason is Reason.FACE_LOST


def test_grid_crops_stay_close_to_those_of_landmarks_on_every_frame(grid_clips: Path) -> None:
    shifts = []
    for clip in sorted((grid_clips / "s1").glob("*.mp4"))[60::240]:
        luma = read(clip)
        every, ours = (MouthCropper(CropSettings(stride=n)) for n in (1, CropSettings().stride))
        theirs = every(luma)[0].corners
        side = np.linalg.norm(theirs[:, 1] - theirs[:, 0], axis=1)
        shifts.append(np.linalg.norm((ours(luma)[0].corners - theirs).mean(axis=1), axis=1) * 112 / side)
    assert 0 < np.median(shifts) < 1.5
    assert np.quantile(shifts, 0.99) < 4


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn face that talks: 30 frames of a video, and the same as images."""
    root = tmp_path_factory.mktemp("rendered")
    config = corpus.SyntheticConfig(clips=1, speakers=1)
    (clip,) = corpus.utterances(config)
    frames = list(itertools.islice(corpus.render_frames(corpus.make_scene(config, clip), config), 30))
    corpus.write_video(root / "a.mp4", frames, config)
    (root / "images").mkdir()
    for number, frame in enumerate(decode.read_color(root / "a.mp4")):
        Image.fromarray(frame).save(root / "images" / f"{number}.png")
    return root


def test_a_video_is_cropped_in_one_call(rendered: Path) -> None:
    crops = mouth.crop(rendered / "a.mp4")
    with decode.opened(rendered / "a.mp4") as video:
        (want,) = MouthCropper(CropSettings())(video)
    assert (crops.frames.shape, crops.frames.dtype) == ((30, 112, 112), np.uint8)
    np.testing.assert_array_equal(crops.frames, want.frames)
    np.testing.assert_array_equal(crops.corners, want.corners)
    assert (crops.tracked.all(), crops.start, crops.doubt) == (True, 0, want.doubt)
    assert len(mouth.crop(rendered / "a.mp4", fps=12.5).frames) == 15
    assert mouth.crop(rendered / "a.mp4", CropSettings(mode="resize")).corners[0, 2].tolist() == [360, 288]
    of_images = mouth.crop(rendered / "images").frames.astype(int)
    assert np.abs(of_images - crops.frames).mean() < 3


def test_a_video_that_cannot_be_cropped_has_its_reason(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    write_video(tmp_path / "slopes.mp4", pixels(9, seed=1, side=96))
    (tmp_path / "empty").mkdir()
    for path, more, reason in (
        (tmp_path / "missing.mp4", {}, Reason.UNREADABLE),
        (tmp_path / "text.mp4", {}, Reason.UNREADABLE),
        (tmp_path / "empty", {}, Reason.NO_VIDEO),
        (tmp_path / "slopes.mp4", {}, Reason.NO_FACE),
        (rendered / "a.mp4", {"max_frames": 29}, Reason.TOO_LONG),
    ):
        with pytest.raises(ClipError) as error:
            mouth.crop(path, **more)
        assert error.value.reason == reason
