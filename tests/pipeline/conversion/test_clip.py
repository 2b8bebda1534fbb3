"""Clips that become several: stretches with a face, each with its own words."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.conversion.clip import Converted, convert_clip
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import convert
from pipeline.corpora import lrw
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign
from pipeline.inspection import statistics
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory
from pipeline.schema import ClipError, DataError, Reason, Word
from scripts.reports import dataset_page
from tests import videos
from tests.scripts import pages

pytestmark = pytest.mark.usefixtures("forked_workers")

SPLIT = ConvertConfig(name="tiny", on_gap="split")
WORDS = (
    *(SpokenWord("bin", 0.2, 0.6), SpokenWord("at", 0.6, 0.76)),
    SpokenWord("by", 0.76, 1.04),  # over the cut at 0.8 s
    *(SpokenWord("two", 1.2, 1.6), SpokenWord("now", 1.64, 1.9)),
)


@pytest.fixture(scope="module")
def cut(talkers: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of one, 10 without a face, and 25 of the other, moved aside."""
    one, other = talkers
    aside = np.roll(other, 60, axis=2)
    nobody = [np.full_like(one[0], 128)] * 10
    return videos.write(tmp_path_factory.mktemp("cut") / "cut.mp4", [*one[:20], *nobody, *aside[:25]])


def converted(video: Path, words: tuple[SpokenWord, ...], config: ConvertConfig = SPLIT) -> Converted:
    text = " ".join(word.text for word in words) or "bin at by two now"
    source = ClipSource("talk", video, None, text, words, "")
    return convert_clip(source, video.parent, config, MouthCropper(config.crop, config.on_gap))


def test_each_stretch_with_a_face_keeps_the_words_that_lie_in_it(cut: Path) -> None:
    found = converted(cut, WORDS)
    assert [(clip.id, clip.text, len(clip.frames)) for clip in found.clips] == [
        ("talk@0", "bin at", 19),  # without the first frame of "by"
        ("talk@30", "two now", 25),
    ]
    assert found.clips[0].words == (Word("bin", 5, 15), Word("at", 15, 19))
    assert found.clips[1].words == (Word("two", 0, 10), Word("now", 11, 18))
    ((frame, error),) = found.left_out
    assert (frame, error.reason) == (19, Reason.FACE_LOST)
    where = "in frames 19 to 29 of 55, in which 'by' is said"
    assert error.detail == f"no stretch of 5 frames with a face and whole words {where}"


def test_crops_of_a_stretch_are_nearly_those_of_its_frames_alone(cut: Path) -> None:
    luma = videos.read(cut).luma
    for clip, frames in zip(converted(cut, WORDS).clips, (luma[:20], luma[30:]), strict=True):
        (alone,) = MouthCropper(SPLIT.crop)(frames)
        off = np.abs(clip.frames.astype(int) - alone.frames[: len(clip.frames)])
        assert off.mean() < 2  # near its ends other frames are looked at


def test_a_word_over_a_cut_is_in_neither_stretch(talkers: list[np.ndarray], tmp_path: Path) -> None:
    one, other = talkers
    video = videos.write(tmp_path / "cut.mp4", [*one[:20], *np.roll(other, 60, axis=2)[:25]])
    words = (SpokenWord("bin", 0.2, 0.6), SpokenWord("by", 0.72, 0.96), SpokenWord("two", 1.2, 1.6))
    found = converted(video, words)
    assert [(clip.id, clip.text, len(clip.frames)) for clip in found.clips] == [
        ("talk@0", "bin", 18),
        ("talk@24", "two", 21),
    ]
    ((frame, error),) = found.left_out
    assert (frame, error.detail.partition(" in ")[2]) == (18, "frames 18 to 23 of 45, in which 'by' is said")


def test_a_clip_without_a_gap_keeps_its_name_and_text(talkers: list[np.ndarray], tmp_path: Path) -> None:
    video = videos.write(tmp_path / "whole.mp4", list(talkers[0]))
    found = converted(video, WORDS[:2])
    assert [(clip.id, clip.text, len(clip.frames)) for clip in found.clips] == [("talk", "bin at", 25)]
    assert found.left_out == ()


def test_without_word_times_a_split_clip_is_rejected(cut: Path) -> None:
    with pytest.raises(ClipError, match="bad_transcript: without word times, nobody knows what is said in frames") as e:
        converted(cut, ())
    assert e.value.reason is Reason.BAD_TRANSCRIPT


def test_the_default_rejects_and_names_the_frames(cut: Path) -> None:
    with pytest.raises(ClipError, match=r"face_lost: .* frames 20 to 29 of 55, .* --on_gap=split keeps the stretches"):
        converted(cut, WORDS, ConvertConfig(name="tiny"))


def test_words_are_on_the_clock_of_the_container(talkers: list[np.ndarray], tmp_path: Path) -> None:
    video = videos.write(tmp_path / "late.mp4", list(talkers[0]), begins=0.4, sound=(0.0, 1.6))
    late = tuple(SpokenWord(word.text, word.start + 0.4, word.stop + 0.4) for word in WORDS[:2])
    (clip,) = converted(video, late).clips
    assert clip.words == (Word("bin", 5, 15), Word("at", 15, 19))
    with pytest.raises(ClipError, match=r"'bin' is said .* before it"):
        converted(video, (SpokenWord("bin", 0.1, 0.3),))


@pytest.mark.parametrize("begins", [0.0, 0.04, 0.4])
def test_words_in_the_middle_of_the_frames_are_there_whatever_the_clock(tmp_path: Path, begins: float) -> None:
    clip = tmp_path / "ABOUT/train/ABOUT_00001.mp4"
    clip.parent.mkdir(parents=True)
    videos.write(clip, videos.numbered(29), begins=begins, sound=(0.0, 1.2))
    clip.with_suffix(".txt").write_text("Duration: 0.47 seconds\n")
    (source,) = lrw.clips(tmp_path)
    whole = CropSettings(mode="resize")
    (found,) = convert_clip(source, tmp_path, ConvertConfig(name="tiny", crop=whole), MouthCropper(whole)).clips
    assert found.words == (Word("about", 9, 20),)  # 8.6 to 20.4 of 29 frames


@pytest.mark.parametrize(("labels_end", "is_sound"), [(0.5, True), (1.9, True), (2.1, False), (None, True)])
def test_labels_that_cover_a_clip_end_with_it(
    talkers: list[np.ndarray], tmp_path: Path, labels_end: float | None, is_sound: bool
) -> None:
    video = videos.write(tmp_path / "whole.mp4", list(talkers[0]))
    source = ClipSource("talk", video, None, "bin at", WORDS[:2], "", labels_end=labels_end)
    if is_sound:
        assert convert_clip(source, tmp_path, SPLIT, MouthCropper(SPLIT.crop)).clips[0].text == "bin at"
        return
    with pytest.raises(ClipError, match=r"bad_transcript: the labels end at 2.1 s, the clip at 1 s: another video's"):
        convert_clip(source, tmp_path, SPLIT, MouthCropper(SPLIT.crop))


def test_a_conversion_counts_clips_and_names_what_is_left_out_of_them(cut: Path, tmp_path: Path) -> None:
    sources = [
        ClipSource("talk", cut, None, " ".join(word.text for word in WORDS), WORDS, ""),
        ClipSource("mute", cut, None, "bin", (), ""),
    ]
    *_, last = convert(
        assign(sources, SplitRule(val="0", test="0")), cut.parent, tmp_path / "out", SPLIT, max_reject_fraction=0.5
    )
    assert (last.converted, last.rejected) == (1, 1)
    dataset = directory.open_dataset(tmp_path / "out")
    assert sorted(dataset.index.id) == ["talk@0", "talk@30"]
    assert dataset.manifest["rejected"] == {"bad_transcript": 1}
    assert dataset.manifest["left_out"] == {"face_lost": 1}
    assert dict(statistics.summary(dataset))["left out"] == "1 face_lost, parts of split clips"
    page = pages.check(dataset_page.html(dataset, [], 1, 0, 0))
    assert "Parts of split clips left out, by reason" in page.text
    assert not [text for text in page.text if text.startswith("and ")]
    with (tmp_path / "out" / directory.REJECTED).open(newline="") as file:
        rows = [(row["id"], row["reason"]) for row in csv.DictReader(file)]
    assert rows == [("mute", "bad_transcript"), ("talk@19", "face_lost")]
    assert not any(directory.verify(dataset))
    more = [*sources, ClipSource("more", cut, None, "bin", (), "")]
    with pytest.raises(DataError, match=r"other clips or settings \(1 clips new, such as 'more'\); use another"):
        next(convert(assign(more, SplitRule(val="0", test="0")), cut.parent, tmp_path / "out", SPLIT))


def test_two_real_talkers_cut_together_are_two_clips(grid_clips: Path, tmp_path: Path) -> None:
    recordings = grid_clips.parent / "recordings"
    if not recordings.is_dir():
        pytest.skip("needs a folder `recordings` beside LIPFLOW_GRID")
    one, other = (videos.read(recordings / name).luma for name in ("bbaf2n.mpg", "lbax4n.mpg"))
    video = videos.write(tmp_path / "two.mp4", [*one[:40], *other[30:]])
    words = (SpokenWord("bin", 0.4, 1.0), SpokenWord("now", 2.0, 2.8))
    found = converted(video, words)
    assert [(clip.id, clip.text, len(clip.frames)) for clip in found.clips] == [
        ("talk@0", "bin", 40),
        ("talk@40", "now", 45),
    ]
    with pytest.raises(ClipError, match="another face or place from frame 40 of 85 on"):
        converted(video, words, ConvertConfig(name="tiny"))
