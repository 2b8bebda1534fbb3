import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import lrw
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.schema import DataError
from tests.layouts import write_clip

LABEL = """Disk reference: 5951278982299085225
Channel: bbcnewshd
Program start: 2016-01-05 19:00:00 +0000
Clip start: 11014.53 seconds
Duration: 0.47 seconds
"""


def test_the_word_is_in_the_middle_of_the_clip(tmp_path: Path) -> None:
    write_clip(tmp_path, "ABOUT/train/ABOUT_00001", LABEL)
    (clip,) = lrw.clips(tmp_path)
    (word,) = clip.words
    assert (word.text, word.start, word.stop) == ("about", pytest.approx(0.345), pytest.approx(0.815))
    assert clip == ClipSource(
        id="ABOUT/train/ABOUT_00001",
        video=tmp_path / "ABOUT/train/ABOUT_00001.mp4",
        span=None,
        text="about",
        words=(SpokenWord("about", word.start, word.stop),),
        speaker="",
        split="train",
        times_from_first_frame=True,
    )


def test_the_published_split_word_by_word(tmp_path: Path) -> None:
    for name in ("B/val/B_2", "B/train/B_10", "B/train/B_1", "A/test/A_1", ".git/train/x", "notes/x"):
        write_clip(tmp_path, name, LABEL)
    assert [(clip.id, clip.split) for clip in lrw.clips(tmp_path)] == [
        ("A/test/A_1", "test"),
        ("B/train/B_1", "train"),
        ("B/train/B_10", "train"),
        ("B/val/B_2", "val"),
    ]


def test_a_clip_without_a_label_has_no_word_time(tmp_path: Path) -> None:
    write_clip(tmp_path, "ABOUT/test/ABOUT_00001", None)
    (clip,) = lrw.clips(tmp_path)
    assert (clip.text, clip.words, clip.problem) == ("about", (), "")


@pytest.mark.parametrize(
    ("label", "got"),
    [
        (LABEL.replace("Duration", "Length"), "none"),
        ("Duration: 0.4 seconds\nDuration: 0.5 seconds", "'Duration: 0.4 seconds', 'Duration: 0.5 seconds'"),
        ("Duration: 0 seconds", "'Duration: 0 seconds'"),
        ("Duration: 1.17 seconds", "'Duration: 1.17 seconds'"),
        ("Duration: -1 seconds", "'Duration: -1 seconds'"),
        ("Duration: nan seconds", "'Duration: nan seconds'"),
        ("Duration: 0.4", "'Duration: 0.4'"),
    ],
)
def test_a_label_without_one_duration_is_the_clips_problem(tmp_path: Path, label: str, got: str) -> None:
    write_clip(tmp_path, "ABOUT/test/ABOUT_00001", label)
    (clip,) = lrw.clips(tmp_path)
    assert re.fullmatch(rf"ABOUT_00001\.txt: .*`Duration: 0.47 seconds`.* 1\.16, got {re.escape(got)}", clip.problem)


@pytest.mark.parametrize("label", ["\ufeffDuration: 1.16 seconds\r\n", "Duration:\t1.16   seconds  "])
def test_a_word_may_fill_the_clip(tmp_path: Path, label: str) -> None:
    write_clip(tmp_path, "A/val/A_1", label)
    (clip,) = lrw.clips(tmp_path)
    assert clip.words == (SpokenWord("a", 0.0, 1.16),)


def test_a_label_outside_the_corpus_is_the_clips_problem(tmp_path: Path) -> None:
    write_clip(tmp_path, "corpus/A/val/A_1", None)
    (tmp_path / "secret.txt").write_text(LABEL)
    (tmp_path / "corpus/A/val/A_1.txt").symlink_to(tmp_path / "secret.txt")
    (clip,) = lrw.clips(tmp_path / "corpus")
    assert clip.problem.startswith("A_1.txt: a symbolic link out of the corpus")


@pytest.mark.parametrize(
    "word", ["NEW\nLINE", "A,B", '"Q"', "*?[A]", "-RF", " A  B ", b"CAF\xc9".decode(errors="surrogateescape")]
)
def test_odd_names(tmp_path: Path, word: str) -> None:
    write_clip(tmp_path, f"{word}/test/{word}_1", LABEL)
    (clip,) = lrw.clips(tmp_path)
    assert (clip.video, clip.problem) == (tmp_path / f"{word}/test/{word}_1.mp4", "")
    assert clip.id.encode().decode() == clip.id  # UTF-8 can hold it


def test_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such directory.*--source.* ABOUT"):
        list(lrw.clips(tmp_path / "none"))
    (tmp_path / "lipread_mp4/ABOUT/train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no LRW words.* ABOUT/train, ABOUT/val, ABOUT/test"):
        list(lrw.clips(tmp_path))


@given(
    label=st.binary(max_size=80)
    | st.lists(st.sampled_from(["Duration:", " 0.4", " seconds", "\n", "9" * 400, "é"])).map(
        lambda t: "".join(t).encode()
    )
)
def test_any_label_is_read_or_refused(scratch: Path, label: bytes) -> None:
    (scratch / "a.txt").write_bytes(label)
    with contextlib.suppress(ValueError):
        assert 0 < lrw.read_duration(scratch / "a.txt", scratch) <= 1.16
