import contextlib
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import folder
from pipeline.corpora.source import ClipSource
from pipeline.schema import DataError

HEADER = "video,text,speaker,split,start,end\n"


def clips(root: Path, table: str | bytes) -> list[ClipSource]:
    (root / "clips.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return list(folder.clips(root))


def test_a_row_is_a_clip(tmp_path: Path) -> None:
    table = HEADER + 'talks/one.mp4,"Well,  YES",ann,train,0.5,2.25\ntalks/one.mp4,no,ann,train,3,4.5\ntwo.mov,so,,,,\n'
    one = tmp_path / "talks/one.mp4"
    assert clips(tmp_path, table) == [
        ClipSource("talks/one.mp4@0.5-2.25", one, (0.5, 2.25), "well, yes", (), "ann", "train"),
        ClipSource("talks/one.mp4@3.0-4.5", one, (3.0, 4.5), "no", (), "ann", "train"),
        ClipSource("two.mov", tmp_path / "two.mov", None, "so", (), "", None),
    ]


@pytest.mark.parametrize(
    "table",
    [
        b"video,text\na.mp4,so\n",
        b"\xef\xbb\xbfvideo,text\r\na.mp4,so\r\n",
        b"text, video \nso,a.mp4",
        b"\n\nvideo,text\n\na.mp4,so\n\n",
        b'"video","text"\n"a.mp4","so"\n',
        b"video,text,split\n./a.mp4,So ,\n",
        b"video;text\na.mp4;so\n",
        b"video\ttext\na.mp4\tso\n",
        b" Video ,TEXT,,\n a.mp4 , so ,,\n,,,\n\n",
        b"text,note,VIDEO\nso,as is,a.mp4\n",
    ],
)
def test_equivalent_tables(tmp_path: Path, table: bytes) -> None:
    assert clips(tmp_path, table) == [ClipSource("a.mp4", tmp_path / "a.mp4", None, "so", (), "", None)]


@pytest.mark.parametrize(
    "name", ["new\nline.mp4", "a,b.mp4", 'say "x".mp4', "*?[x].mp4", "-rf.mp4", " a  b .mp4", "été.mp4"]
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    quoted = '"' + name.replace('"', '""') + '"'
    (clip,) = clips(tmp_path, f"video,text\n{quoted},so\n")
    assert (clip.id, clip.video) == (name, tmp_path / name)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (r"clips\a.mp4", "clips/a.mp4"),
        (r".\clips\a.mp4", "clips/a.mp4"),
        (" clips/a.mp4\t", "clips/a.mp4"),
        ("caf\u00e9s/caf\u00e9.mp4", "cafe\u0301s/cafe\u0301.mp4"),
        ("cafe\u0301s/cafe\u0301.mp4", "caf\u00e9s/caf\u00e9.mp4"),
        (" caf\u00e9s\\caf\u00e9.mp4 ", "cafe\u0301s/cafe\u0301.mp4"),
    ],
)
def test_a_cell_names_the_file_that_is_there(tmp_path: Path, cell: str, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    (clip,) = clips(tmp_path, f'video,text\n"{cell}",so\n')
    assert (clip.id, clip.video) == (name, tmp_path / name)


def test_a_cell_of_no_file_is_listed_without_blanks_and_backslashes(tmp_path: Path) -> None:
    table = "video,text\nclips\\a.mp4,so\n b.mp4 ,so\ncaf\u00e9/c.mp4,so\n"
    assert [clip.id for clip in clips(tmp_path, table)] == ["clips/a.mp4", "b.mp4", "caf\u00e9/c.mp4"]


def test_the_very_name_goes_before_others(tmp_path: Path) -> None:
    for name in ("clips\\a.mp4", "clips/a.mp4", "caf\u00e9.mp4", "cafe\u0301.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cells = ["clips\\a.mp4", "clips/a.mp4", "caf\u00e9.mp4", "cafe\u0301.mp4"]
    assert [clip.id for clip in clips(tmp_path, "video,text\n" + "".join(f"{cell},so\n" for cell in cells))] == cells


def test_a_curly_apostrophe_is_a_straight_one(tmp_path: Path) -> None:
    (clip,) = clips(tmp_path, "video,text\na.mp4,Don\u2019t worry\n")
    assert clip.text == "don't worry"


BACKSLASHED = [r"C:\videos\a.mp4", r"..\a.mp4", r"\\server\share\a.mp4", " /etc/passwd"]


@pytest.mark.parametrize("cell", [*BACKSLASHED, "../a.mp4", "/etc/passwd", "https://x/a.mp4", "", "a/../../b.mp4"])
def test_paths_outside_the_root_are_refused_with_their_row(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match=r"clips\.csv row 3: .*path below the corpus"):
        clips(tmp_path, f"video,text\na.mp4,so\n{cell},so\n")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("a.mp4,so,ann,dev,,", "row 2: split: .*train, val, test.* got 'dev'"),
        ("a.mp4,so,ann,,1,", "row 2: start, end: .*0 <= start < end <= 1000000.* got '1', ''"),
        ("a.mp4,so,ann,,2,1", "row 2: start, end"),
        ("a.mp4,so,ann,,1,1", "row 2: start, end"),
        ("a.mp4,so,ann,,-1,1", "row 2: start, end"),
        ("a.mp4,so,ann,,0,inf", "row 2: start, end"),
        ("a.mp4,so,ann,,nan,1", "row 2: start, end"),
        ("a.mp4,so,ann,,0,1e300", "row 2: start, end"),
        ('a.mp4,so,ann,,"0,5,5",1', "row 2: start, end: .* got '0,5,5', '1'"),
        ('a.mp4,so,ann,,"1,000.5",2000', "row 2: start, end: .* got '1,000.5', '2000'"),
        ("a.mp4,well, yes,ann,,,", "row 2: 7 cells for 6 columns.*separator in quotes"),
        ("a.mp4,well, yes,,,,", "row 2: 7 cells for 6 columns"),  # which would be a talker 'yes'
        ("a.mp4,so", "row 2: 2 cells for 6 columns"),
        ("a\0.mp4,so,ann,,,", "row 2: .*NUL.*UTF-8"),
        ("a.mp4,s\0o,ann,,,", "row 2: .*NUL"),
        ('a.mp4,"so" no,ann,,,', "row 2: not CSV .*quotes"),
        ('a.mp4,"so,ann,,,\nb.mp4,so,ann,,,\n', r"row 2: not CSV \(unexpected end of data\)"),
        (f"a.mp4,{'x' * 200_000},ann,,,", r"row 2: not CSV \(field larger than field limit"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: str, match: str) -> None:
    with pytest.raises(DataError, match=rf"clips\.csv {match}"):
        clips(tmp_path, f"{HEADER}{row}\n")


def test_a_clip_in_two_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clips\.csv rows 2 and 4: .*'a\.mp4'"):
        clips(tmp_path, "video,text\na.mp4,so\nb.mp4,so\n./a.mp4,no\n")
    rows = "a.mp4,so,,,1,2\na.mp4,so,,,1,2.5\na.mp4,so,,,1.0,2.50\n"
    with pytest.raises(DataError, match=r"rows 3 and 4: .*'a\.mp4@1\.0-2\.5'"):
        clips(tmp_path, HEADER + rows)


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 4: split"):
        clips(tmp_path, HEADER + 'a.mp4,"two\nlines",,,,\n\nb.mp4,so,,dev,,\n')


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clips\.csv row 1: contains a NUL; save the table as UTF-8"):
        clips(tmp_path, "video,text\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"clips\.csv: not UTF-8 at byte 11"):
        clips(tmp_path, "video,text\nété.mp4,so\n".encode("latin-1"))
    (tmp_path / "clips.csv").unlink()
    os.mkfifo(tmp_path / "clips.csv")  # opening it would hang
    with pytest.raises(DataError, match=r"clips\.csv: not a regular file"):
        list(folder.clips(tmp_path))


PIECES = [*'/,;\t\n"\0-1é²', "a.mp4", "../b", ",,", "\r\n", '""', "0.5", "0,5", "1e400", "nan", "train", "a.srt"]


@given(
    table=st.binary(max_size=60)
    | st.tuples(
        st.sampled_from(["", HEADER, "video;LABELS;x\n", "video\t start\tend\n"]), st.lists(st.sampled_from(PIECES))
    ).map(lambda t: (t[0] + "".join(t[1])).encode())
)
def test_any_table_is_read_or_refused(scratch: Path, table: bytes) -> None:
    (scratch / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nso\n\n2\n00:00:03,000 --> 00:00:04,000\nno\n")
    with contextlib.suppress(DataError):
        found = clips(scratch, table)
        assert len({clip.id for clip in found}) == len(found)
        assert all(scratch in clip.video.parents and ".." not in clip.video.parts for clip in found)
        assert all(clip.span is None or 0 <= clip.span[0] < clip.span[1] < math.inf for clip in found)
