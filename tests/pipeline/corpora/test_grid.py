import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import grid
from pipeline.corpora.source import SpokenWord
from pipeline.schema import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def align(root: Path, name: str, text: str) -> None:
    touch(root, name)
    (root / name).write_bytes(text.encode())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bbaf2n", "bin blue at f two now"),
        ("swwz1a", "set white with z one again"),
        ("lgbvzp", "lay green by v zero please"),
        ("prix9s", "place red in x nine soon"),
        ("bbaw2n", None),  # GRID has no letter w
        ("bbaf0n", None),
        ("bbaf2", None),
        ("bbaf2nn", None),
        ("", None),
    ],
)
def test_sentence_of_a_name(name: str, expected: str | None) -> None:
    assert grid.sentence(name) == expected


def test_alignment_in_seconds_without_silences(tmp_path: Path) -> None:
    align(
        tmp_path,
        "a.align",
        "\ufeff0 23750 sil\r\n23750 29500 BIN\r\n29500 30000 sp\r\n30000 34000 blue\r\n34000 74500 sil",
    )
    assert grid.read_alignment(tmp_path / "a.align", tmp_path) == (
        SpokenWord("bin", 0.95, 1.18),
        SpokenWord("blue", 1.2, 1.36),
    )


@pytest.mark.parametrize(
    "line", ["a b bin", "10 5 bin", "1 2", "1 2 bin blue", "-1 5 bin", "1.5 2 bin", f"1 {10**400} bin"]
)
def test_a_bad_alignment_names_its_line(tmp_path: Path, line: str) -> None:
    align(tmp_path, "a.align", f"0 10 sil\n{line}\n")
    with pytest.raises(ValueError, match=r"a\.align line 2: .*`start stop word`.* got"):
        grid.read_alignment(tmp_path / "a.align", tmp_path)


@pytest.mark.parametrize("folder", ["s3", "s3/video", "s3/s3"])
@pytest.mark.parametrize("aligned", ["alignments/s3", "align/s3", "s3/align"])
def test_layouts(tmp_path: Path, folder: str, aligned: str) -> None:
    touch(tmp_path, f"{folder}/bbaf2n.mpg")
    align(tmp_path, f"{aligned}/bbaf2n.align", "0 1000 sil\n1000 2000 lay\n")
    (clip,) = grid.clips(tmp_path)
    assert (clip.id, clip.speaker, clip.video) == ("s3/bbaf2n", "s3", tmp_path / folder / "bbaf2n.mpg")
    assert (clip.text, clip.words, clip.problem) == ("lay", (SpokenWord("lay", 0.04, 0.08),), "")
    assert clip.span is None


def test_speakers_in_numeric_order_with_the_published_split(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "s10/lgbm2n.mp4",
        "s2/lgbm2n.mpg",
        "s1/lgbm3s.AVI",
        "s1/bbaf2n.mpg",
        "notes/bbaf2n.mpg",
        "s1/readme.txt",
    )
    (tmp_path / "s3/pwix6n").mkdir(parents=True)  # a directory of images, to be rejected for having none
    touch(tmp_path, "s3/hello/1.png", "s3/.hidden.mp4", "s3/empty/notes.txt", "s3/video/set.m4v")
    found = {clip.id: clip.split for clip in grid.clips(tmp_path)}
    assert list(found) == ["s1/bbaf2n", "s1/lgbm3s", "s2/lgbm2n", "s3/hello", "s3/pwix6n", "s3/set", "s10/lgbm2n"]
    assert found == dict(zip(found, ["test"] * 3 + ["train"] * 4, strict=True))


def test_without_an_alignment_the_name_is_the_sentence(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/holiday.mpg")
    named, other = grid.clips(tmp_path)
    assert (named.text, named.words, named.problem) == ("bin blue at f two now", (), "")
    assert "no alignment holiday.align" in other.problem


def test_a_bad_alignment_is_the_problem_of_its_clip(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf3s.mpg")
    align(tmp_path, "alignments/s1/bbaf2n.align", "nonsense\n")
    bad, good = grid.clips(tmp_path)
    assert bad.problem.startswith("bbaf2n.align line 1")
    assert good.problem == ""


def test_an_alignment_that_cannot_be_read_is_the_problem_of_its_clip(tmp_path: Path) -> None:
    root, folder = tmp_path / "corpus", tmp_path / "corpus/alignments/s1"
    touch(root, "s1/bbaf2n.mpg", "s1/bbaf3s.mpg", "s1/bbaf4p.mpg")
    align(tmp_path, "secret.align", "0 10 secret\n")
    folder.mkdir(parents=True)
    os.mkfifo(folder / "bbaf2n.align")  # opening it would hang
    (folder / "bbaf3s.align").symlink_to("../../../secret.align")
    (folder / "bbaf4p.align").symlink_to("gone")
    reasons = ("bbaf2n.align: not a regular file", "bbaf3s.align: a symbolic link", "bbaf4p.align: cannot be read")
    for clip, reason in zip(grid.clips(root), reasons, strict=True):
        assert clip.problem.startswith(reason)


@pytest.mark.usefixtures("mortal")
def test_a_directory_of_images_that_cannot_be_listed_is_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "s1/hello/1.png", "s1/bbaf2n.mpg")
    (tmp_path / "s1/hello").chmod(0)
    assert [clip.id for clip in grid.clips(tmp_path)] == ["s1/bbaf2n", "s1/hello"]
    (tmp_path / "s1/hello").chmod(0o700)


@pytest.mark.usefixtures("mortal")
@pytest.mark.parametrize(
    ("closed", "mode", "named"),
    [
        ("", 0o300, ""),
        ("", 0o600, "alignments"),  # listed, but nothing in it can be looked at
        ("s1", 0o300, "s1"),
        ("s1/video", 0o300, "s1/video"),
        ("alignments/s1", 0, "alignments/s1/bbaf2n.align"),
    ],
)
def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path, closed: str, mode: int, named: str) -> None:
    root = tmp_path / "corpus"
    touch(root, "s1/video/bbaf2n.mpg", "alignments/s1/bbaf2n.align")
    (root / closed).chmod(mode)
    with pytest.raises(DataError) as caught:
        list(grid.clips(root))
    assert str(caught.value).startswith(f"{root / named}: cannot be read (Permission denied)")
    (root / closed).chmod(0o700)


PIECES = ["0 ", "10 ", "9" * 5000 + " ", "bin", "sil", "\n", "\r", "\x00", "²", "\ufeff", "-"]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map(lambda pieces: "".join(pieces).encode()))
def test_any_alignment_is_read_or_refused(scratch: Path, written: bytes) -> None:
    (scratch / "a.align").write_bytes(written)
    with contextlib.suppress(ValueError):
        assert all(0 <= word.start <= word.stop for word in grid.read_alignment(scratch / "a.align", scratch))


def test_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such directory.*--source.* s1"):
        list(grid.clips(tmp_path / "none"))
    with pytest.raises(DataError, match=r"no GRID speakers.* s1, s2"):
        list(grid.clips(tmp_path))


def test_the_real_clips_have_their_six_words(grid_clips: Path) -> None:
    clips = list(grid.clips(grid_clips))
    assert {clip.speaker for clip in clips} == {"s1", "s2"}
    assert all(clip.problem == "" for clip in clips)
    aligned = [clip for clip in clips if clip.words]
    assert len(aligned) > 0
    assert all(clip.text == grid.sentence(clip.video.stem) and len(clip.words) == 6 for clip in aligned)
    assert all(clip.words[0].start >= 0 and clip.words[-1].stop <= 3 for clip in aligned)
