from pathlib import Path

import pytest

from pipeline.corpora import table
from pipeline.schema import DataError


def rows(root: Path, content: str | bytes) -> list[tuple[int, dict[str, str]]]:
    path = root / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(table.read(path, root, "video").rows)


A, B = {"video": "a.mp4", "text": "so"}, {"video": "b.mp4", "text": "no"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("video,text\na.mp4,so\nb.mp4,no\n", [(2, A), (3, B)]),
        ("video;text\r\na.mp4;so\r\nb.mp4;no", [(2, A), (3, B)]),
        ("video\ttext\ra.mp4\tso\rb.mp4\tno\r", [(2, A), (3, B)]),
        ("\ufeffVIDEO, Text\na.mp4,so\n", [(2, A)]),
        ('"video";"text"\n"a.mp4";"so"\n', [(2, A)]),
        ("\n,,\nvideo,text\n\na.mp4,so\n , \n,\nb.mp4,no\n\n\n", [(5, A), (8, B)]),
        ("\n;;\nvideo;text;;\na.mp4;so;;\nb.mp4;no\n", [(4, A), (5, B)]),
        ("video;text\na.mp4;so, so\tit is\n", [(2, {"video": "a.mp4", "text": "so, so\tit is"})]),
        ("video,text;\na.mp4,so;\n", [(2, {"video": "a.mp4", "text;": "so;"})]),
        ('video,text\na.mp4," two\nlines "\nb.mp4,no\n', [(2, {"video": "a.mp4", "text": " two\nlines "}), (3, B)]),
        (",video,text\n0,a.mp4,so\n", [(2, {"": "0", **A})]),
        ("video\na.mp4\n", [(2, {"video": "a.mp4"})]),
        ("sep=;\r\nvideo;text\r\na.mp4;so\r\n", [(3, A)]),
        ("SEP=,\nvideo,text\na.mp4,so\n", [(3, A)]),
    ],
)
def test_tables_as_people_have_them(tmp_path: Path, content: str, expected: list[tuple[int, dict[str, str]]]) -> None:
    assert rows(tmp_path, content) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_table_of_a_spreadsheet_in_unicode(tmp_path: Path, encoding: str) -> None:
    assert rows(tmp_path, "Video\tText\nä.mp4\tfür\n".encode(encoding)) == [(2, {"video": "ä.mp4", "text": "für"})]
    assert table.header(tmp_path / "t.csv", "video") == ("Video", "Text")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", r"t\.csv row 1: want the names of the columns, one of them video, .*commas, semicolons or tabs; got ''"),
        ("\n\n", "row 1: want the names"),
        ("a.mp4,so\n", "row 1: want the names .*; got 'a.mp4, so'"),
        ("\nvideos|text\n", r"row 2: want the names .*; got 'videos\|text'"),
        ("video,text, TEXT\n", "row 1: two columns 'text'; rename or remove one"),
        ("video,Take,video\n", "row 1: two columns 'video'"),
        ("video,note,Note\n", "row 1: two columns 'note'"),
        ("video,text\n\na.mp4\n", "row 3: 1 cells for 2 columns; .*quotes"),
        ("video,text\na.mp4,well, yes\n", "row 2: 3 cells for 2 columns; .*separator in quotes"),
        ("video,text\na.mp4,so,\n", "row 2: 3 cells for 2 columns"),
        ("video,text,,\na.mp4,well, yes,\n", "row 2: 4 cells for 2 columns"),
        ("video,text\na.mp4,s\0o\n", "row 2: contains a NUL; save the table as UTF-8"),
        ('video,text\na.mp4,"so" no\n', "row 2: not CSV .*; correct its quotes"),
        ('"video"s,text\n', "row 1: not CSV"),
    ],
)
def test_others_are_refused_with_row_and_rule(tmp_path: Path, content: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        rows(tmp_path, content)


def test_a_header_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\n;\n Video;Lärm;;\n".encode() + b"\xff;" * 600_000)
    assert table.header(path, "video") == ("Video", "Lärm")
    path.write_bytes(b"video,text\n" + "é".encode() * 600_000)  # the limit is within a character
    assert table.header(path, "video") == ("video", "text")
