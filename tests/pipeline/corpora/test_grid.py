import contextlib
import itertools
import os
import re
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
    words = (SpokenWord("bin", 0.95, 1.18), SpokenWord("blue", 1.2, 1.36))
    assert grid.read_alignment(tmp_path / "a.align", tmp_path) == (words, 2.98)


GOOD = """0 23750 sil
23750 29500 bin
29500 34000 blue
34000 35500 at
35500 41000 f
41000 47250 two
47250 53000 now
53000 74500 sil
"""
LINES = GOOD.splitlines(keepends=True)


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "\n",
        "\n \t\n" + GOOD.replace("\n", "\n\n"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD.replace(" ", "\t"),
        *(GOOD.replace("sil", mark) for mark in ("SIL", "sp", "spn", "<eps>", "")),
        GOOD.replace("34000 35500 at", "34000 34000 sp\n34000 35500 AT"),
        LINES[0] + LINES[3] + "".join(LINES[1:3] + LINES[4:]),
        "".join(reversed(LINES)),
        GOOD.replace("29500 34000 blue", "28500 34000 blue"),  # a frame of overlap
    ],
)
def test_alignments_of_the_same_words(tmp_path: Path, text: str) -> None:
    align(tmp_path, "bbaf2n.align", text)
    words, end = grid.read_alignment(tmp_path / "bbaf2n.align", tmp_path)
    assert [word.text for word in words] == ["bin", "blue", "at", "f", "two", "now"]
    assert [word.stop for word in words] == [1.18, 1.36, 1.42, 1.64, 1.89, 2.12]
    assert end == 2.98


def in_unit(per_second: float, form: str = "{:.0f}") -> str:
    """The same alignment in another unit."""
    rows = [line.split() for line in LINES]
    times = [[form.format(int(time) / 25_000 * per_second) for time in row[:2]] for row in rows]
    return "".join(f"{start} {stop} {row[2]}\n" for (start, stop), row in zip(times, rows, strict=True))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            in_unit(1000),
            "words last 0.0078 s on average, and the last one ends at 0.0848 s; "
            "want units of 1/25000 s; these look like milliseconds",
        ),
        (in_unit(25), "these look like frames"),
        (in_unit(100), "these look like hundredths of a second"),
        (in_unit(1e6), "these look like microseconds"),
        (in_unit(1e7), "words last 78 s on average, .*; these look like units of 100 ns"),
        (in_unit(1, "{:.2f}"), r"line 1: want .*units of 1/25000 s .*'0\.00 0\.95 sil'; decimals look like seconds"),
        (GOOD.replace("29500 34000 blue", "25000 34000 blue"), r"'bin' \(0\.95 to 1\.18 s\) and 'blue' .* by 0\.18 s"),
        (
            GOOD.replace("29500 34000 blue", "0 60000 blue"),
            "'blue' .* and 'bin' .* overlap by 1.45 s; want 0.04 at most",
        ),
    ],
)
def test_implausible_times_are_the_problem_of_their_clip(tmp_path: Path, text: str, problem: str) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg")
    align(tmp_path, "alignments/s1/bbaf2n.align", text)
    (clip,) = grid.clips(tmp_path)
    assert re.match(rf"bbaf2n\.align:? .*{problem}", clip.problem)
    assert clip.words == ()


def test_samples_of_grids_own_sound_are_its_units(tmp_path: Path) -> None:
    align(tmp_path, "a.align", in_unit(25_000))  # samples a second
    assert grid.read_alignment(tmp_path / "a.align", tmp_path)[1] == 2.98


@pytest.mark.parametrize("unit", [8_000, 16_000, 44_100, 48_000, 50_000])
def test_samples_of_another_rate_show_in_the_end_of_the_labels(tmp_path: Path, unit: int) -> None:
    align(tmp_path, "a.align", in_unit(unit))
    end = grid.read_alignment(tmp_path / "a.align", tmp_path)[1]
    assert abs(end - 3) > 1  # of a clip of 3 s, which conversion compares


def test_an_alignment_of_another_sentence_is_the_problem_of_its_clip(tmp_path: Path) -> None:
    touch(tmp_path, "s1/lbax4n.mpg", "s1/BBAF2N.MPG", "s1/bbaf2n.mpg", "s1/sentence.mpg")
    for name in ("lbax4n", "BBAF2N", "bbaf2n", "sentence"):
        align(tmp_path, f"alignments/s1/{name}.align", GOOD if name != "bbaf2n" else "0 5000 bin\n5000 9000 now\n")
    shouted, own, other, named = grid.clips(tmp_path)
    assert other.problem == (
        "lbax4n.align: the words are 'bin blue at f two now', but the name says 'lay blue at x four now'; "
        "one of them is another clip's"
    )
    assert (other.text, other.words) == ("lay blue at x four now", ())
    assert (shouted.problem, shouted.text) == ("", "bin blue at f two now")
    assert (own.problem, own.text) == ("", "bin now")  # not of the grammar: the user's own words
    assert (named.problem, named.text) == ("", "bin blue at f two now")


def test_alignments_of_another_speaker_are_the_problem_of_the_clips_they_share(tmp_path: Path) -> None:
    names = ["".join(codes) for codes in itertools.product("b", "b", "a", "abcdefghijklmnopqrstuvxyz", "z1", "a")]
    touch(tmp_path, *(f"s5/{name}.mpg" for name in names[:25]))
    for name in names[24:]:
        align(tmp_path, f"alignments/s5/{name}.align", "0 5000 bin\n")
    clips = list(grid.clips(tmp_path))
    assert [clip.id for clip in clips if clip.problem] == [f"s5/{names[24]}"]
    assert clips[24].problem.startswith(f"{names[24]}.align: most alignments beside it name no clip of s5; they are")
    touch(tmp_path, *(f"s5/{name}.mpg" for name in names[25:30]))  # now 6 of 26 are shared
    assert not any(clip.problem for clip in grid.clips(tmp_path))


def test_names_in_another_case_or_normal_form(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.MPG", "s1/cafe\u0301.mp4", "s1/._bbaf2n.MPG", "alignments/s1/._bbaf2n.align")
    align(tmp_path, "alignments/s1/bbaf2n.ALIGN", GOOD)
    align(tmp_path, "alignments/s1/caf\u00e9.align", GOOD)
    clips = list(grid.clips(tmp_path))
    assert [clip.id for clip in clips] == ["s1/bbaf2n", "s1/cafe\u0301"]
    assert all(len(clip.words) == 6 and clip.labels_end == 2.98 for clip in clips)


@pytest.mark.parametrize(
    "line", ["a b bin", "10 5 bin", "1", "1 2 bin blue", "-1 5 bin", "1.5 2 bin", "nan 2 bin", f"1 {10**400} bin"]
)
def test_a_bad_alignment_names_its_line(tmp_path: Path, line: str) -> None:
    align(tmp_path, "a.align", f"0 10 sil\n{line}\n")
    with pytest.raises(ValueError, match=r"a\.align line 2: .*`start stop word`.* got"):
        grid.read_alignment(tmp_path / "a.align", tmp_path)


@pytest.mark.parametrize("folder", ["s3", "s3/video", "s3/s3", "s3/video/mpg_6000", "s3/mpg_vcd"])
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
        ("alignments/s1", 0, "alignments/s1"),
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


PIECES = ["0 ", "10 ", "9" * 5000 + " ", "2000 ", "bin", "sil", "\t", "\n", "\r", "\x00", "²", "\ufeff", "-"]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map(lambda pieces: "".join(pieces).encode()))
def test_any_alignment_is_read_or_refused(scratch: Path, written: bytes) -> None:
    (scratch / "a.align").write_bytes(written)
    with contextlib.suppress(ValueError):
        words, end = grid.read_alignment(scratch / "a.align", scratch)
        assert all(0 <= word.start <= word.stop <= end for word in words)
        assert all(a.start <= b.start for a, b in itertools.pairwise(words))


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
    assert {clip.labels_end for clip in aligned} == {2.98}
    assert all(clip.text == grid.sentence(clip.video.stem) and len(clip.words) == 6 for clip in aligned)
    assert all(clip.words[0].start >= 0 and clip.words[-1].stop <= 3 for clip in aligned)
