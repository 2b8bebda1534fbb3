from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.conversion.clip import convert_clip
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora import folder, lrs, lrw
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.synthetic.corpus import SyntheticConfig
from tests import layouts, videos
from tests.face_package import FaceDetection, FaceDetectionModel, FaceLandmark, face_detection_to_roi

CONFIG = SyntheticConfig(clips=4, speakers=2, seed=1, width=240, height=192)
MOUTH_CORNERS = [61, 291]  # of the 468-point mesh


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lrw")
    assert len(list(layouts.render_lrw(root, CONFIG))) == 4
    return root


def test_lrw_is_29_frames_with_a_word_in_the_middle(words: Path) -> None:
    clips = list(lrw.clips(words))
    assert Counter(clip.split for clip in clips) == {"val": 2, "test": 1, "train": 1}
    assert {clip.text for clip in clips} <= {"at", "by", "in", "with"}
    for clip in clips:
        (word,) = clip.words
        assert word.start + word.stop == pytest.approx(1.16)
        assert 0.16 <= word.stop - word.start <= 0.48
        with av.open(str(clip.video)) as container:
            stream = container.streams.video[0]
            shape = (stream.codec_context.name, stream.width, stream.height, stream.average_rate, stream.frames)
            assert shape == ("h264", 256, 256, 25, 29)


def test_the_box_of_lrw_keeps_pixels_and_centres_the_mouth(words: Path) -> None:
    detect, mesh = FaceDetection(FaceDetectionModel.FRONT_CAMERA), FaceLandmark()
    config = ConvertConfig(name="tiny", crop=CropSettings(mode="box", box=lrw.BOX))
    for clip in lrw.clips(words):
        (converted,) = convert_clip(clip, words, config, MouthCropper(config.crop)).clips
        luma = videos.read(clip.video).luma
        np.testing.assert_array_equal(converted.frames, luma[:, 107:219, 71:183])
        picture = np.repeat(luma[14, :, :, None], 3, axis=2)
        marks = mesh(picture, face_detection_to_roi(detect(picture)[0], (256, 256)))
        x, y = np.mean([(marks[k].x * 256, marks[k].y * 256) for k in MOUTH_CORNERS], axis=0)
        assert np.hypot(x - 127, y - 163) < 8


def test_lrs_has_word_times(tmp_path: Path) -> None:
    rendered = list(layouts.render_lrs(tmp_path, CONFIG))
    clips = list(lrs.clips(tmp_path))
    assert sorted(clip.video for clip in clips) == sorted(rendered)
    assert [(clip.speaker, clip.split) for clip in clips] == [("t1", "train")] * 2 + [("t2", "test")] * 2
    for clip in clips:
        assert (clip.problem, len(clip.words)) == ("", 6)
        assert clip.text == " ".join(word.text for word in clip.words)
        with av.open(str(clip.video)) as container:
            assert clip.words[-1].stop < container.streams.video[0].frames / 25


def test_lrs2_has_lists_and_word_times_only_in_pretrain(tmp_path: Path) -> None:
    config = SyntheticConfig(clips=4, speakers=4, seed=1, width=240, height=192)
    rendered = list(layouts.render_lrs2(tmp_path, config))
    clips = list(lrs.clips(tmp_path))
    assert sorted(clip.video for clip in clips) == sorted(rendered)
    assert {clip.id: (clip.split, len(clip.words), clip.problem) for clip in clips} == {
        "pretrain/t1/00001": ("train", 6, ""),
        "main/t2/00002": ("train", 0, ""),
        "main/t3/00003": ("val", 0, ""),
        "main/t4/00004": ("test", 0, ""),
    }
    assert (tmp_path / "test.txt").read_text() == "t4/00004 NF\n"
    assert all(len(clip.text.split()) == 6 for clip in clips)


def test_a_clip_of_lrs_converts(tmp_path: Path) -> None:
    list(layouts.render_lrs(tmp_path, SyntheticConfig(clips=1, speakers=1, width=240, height=192)))
    (source,) = lrs.clips(tmp_path)
    config = ConvertConfig(name="tiny")
    (clip,) = convert_clip(source, tmp_path, config, MouthCropper(config.crop)).clips
    assert (clip.id, clip.text, clip.speaker) == ("test/t1/00001", source.text, "t1")
    spans = [(word.text, word.start / 25, word.stop / 25) for word in clip.words]
    assert spans == [(word.text, word.start, word.stop) for word in source.words]
    assert clip.tracked.all()


def test_a_folder_has_two_clips_per_video(tmp_path: Path) -> None:
    rendered = list(layouts.render_folder(tmp_path, CONFIG))
    clips = list(folder.clips(tmp_path))
    assert [clip.video for clip in clips] == [path for path in rendered for _ in range(2)]
    for first, second in zip(clips[::2], clips[1::2], strict=True):
        assert len(first.text.split()) == len(second.text.split()) == 3
        assert first.span[1] == second.span[0]


def test_clips_of_one_video_are_its_spans(tmp_path: Path) -> None:
    list(layouts.render_folder(tmp_path, SyntheticConfig(clips=1, speakers=1, width=240, height=192)))
    config = ConvertConfig(name="tiny", crop=CropSettings(mode="resize"))
    cropper = MouthCropper(config.crop)
    whole = cropper(videos.read(next(tmp_path.glob("s1/*.mp4"))).luma)[0].frames
    for source in folder.clips(tmp_path):
        (clip,) = convert_clip(source, tmp_path, config, cropper).clips
        first, last = (round(25 * second) for second in source.span)
        np.testing.assert_array_equal(clip.frames, whole[first:last])
        assert (clip.text, clip.words) == (source.text, ())
