"""Reads tables as people have them: out of spreadsheets and programs, with other separators, columns and blanks.

The header decides whether cells are separated by commas, semicolons or tabs. Names of columns may be in any case, with
blanks around. Blank rows, rows of empty cells and columns at the end without a name are passed by. A row has the number
that a spreadsheet shows, where the first is 1.
"""

import codecs
import contextlib
import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths
from pipeline.schema import DataError

SEPARATORS = (",", ";", "\t")
HEAD = 1_000_000  # bytes, or characters, of a table in which its header is sought


@dataclasses.dataclass(frozen=True)
class Table:
    """A table under way.

    Attributes:
      path: of its file.
      names: of its columns as the header has them, without blanks around; empty where a column has none.
      rows: yields, once, the number of each row and its cells, as they are, by the `key` of their column.
    """

    path: Path
    names: tuple[str, ...]
    rows: Iterator[tuple[int, dict[str, str]]]


def key(name: str) -> str:
    """The name of a column by which it is found, whatever its case and the blanks around it."""
    return name.strip().casefold()


def read(path: Path, root: Path, required: str) -> Table:
    """Reads a table below `root` that has a column `required`.

    Raises:
      DataError: the file cannot be read, is not a table, has no column `required`, or one twice; while its rows are
        read, a row has more or fewer cells than there are columns. The message names the row.
    """
    try:
        text = paths.read_text(path, root, paths.MAX_TABLE_BYTES)
    except ValueError as error:
        raise DataError(f"{root}: {error}") from error
    separator = _separator(text[:HEAD], required)
    file = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")  # StringIO takes four bytes per character
    del text
    rows = _rows(path, csv.reader(file, delimiter=separator, strict=True))
    number, header = next(rows, (1, []))
    names = _names(header)
    _check_columns(f"{path} row {number}", names, required)
    return Table(path, names, _by_column(path, [key(name) for name in names], len(header), rows))


def header(path: Path, required: str) -> tuple[str, ...]:
    """The names of the columns of a table that was read before, by its first bytes alone."""
    with path.open("rb") as file:
        data = file.read(HEAD)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = codecs.getincrementaldecoder("utf-16" if is_utf16 else "utf-8-sig")("replace").decode(data)
    return _names(_first_row(text, _separator(text, required)))


def _separator(head: str, required: str) -> str:
    """The separator by which the header has a column `required`; a comma where none does."""
    found = (mark for mark in SEPARATORS if required in map(key, _first_row(head, mark)))
    return next(found, SEPARATORS[0])


def _first_row(head: str, separator: str) -> list[str]:
    """The first row that is not blank, however its quotes are; none where there is no such row."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    with contextlib.suppress(csv.Error):  # which reading the rows names
        return next((cells for cells in reader if _is_filled(cells) and not _names_separator(cells)), [])
    return []


def _names_separator(cells: list[str]) -> bool:
    """Whether a row is `sep=;`, which Excel writes first."""
    return cells[0].lower().startswith("sep=") and not _is_filled(cells[1:])


def _is_filled(cells: list[str]) -> bool:
    return any(map(str.strip, cells))


def _names(cells: list[str]) -> tuple[str, ...]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        del names[-1]
    return tuple(names)


def _check_columns(where: str, names: tuple[str, ...], required: str) -> None:
    keys = [key(name) for name in names if name]
    if twice := next((name for name in names if keys.count(key(name)) > 1), None):
        raise DataError(f"{where}: two columns {twice!r}; rename or remove one")
    if required not in keys:
        got = ", ".join(names)
        rule = f"want the names of the columns, one of them {required}, separated by commas, semicolons or tabs"
        raise DataError(f"{where}: {rule}; got {got[:200]!r}")


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with a filled cell, and its number."""
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if any("\0" in cell for cell in cells):
                raise DataError(f"{path} row {number}: contains a NUL; save the table as UTF-8")
            if _is_filled(cells) and not (number == 1 and _names_separator(cells)):
                yield number, cells
    except csv.Error as error:
        raise DataError(f"{path} row {number + 1}: not CSV ({error}); correct its quotes") from error


def _by_column(
    path: Path, keys: list[str], width: int, rows: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the cells of each row by column; empty ones may follow up to the `width` of the header.

    More of them are refused, since a separator within a text, without quotes, shifts empty cells there.
    """
    for number, cells in rows:
        if not len(keys) <= len(cells) <= width or _is_filled(cells[len(keys) :]):
            got = f"{len(cells)} cells for {len(keys)} columns"
            raise DataError(f"{path} row {number}: {got}; put text that contains a separator in quotes")
        yield number, dict(zip(keys, cells, strict=False))
