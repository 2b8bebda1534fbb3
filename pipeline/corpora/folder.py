"""Any videos in a directory, with their transcripts in a table `clips.csv`.

    video,text,speaker,split,start,end
    talks/one.mp4,good morning,ann,train,0.5,2.25
    talks/one.mp4,"well, yes",ann,train,3,4.5

`video` (a path below the directory: a video, or a directory of images) and `text` are required; the other columns may
be empty or missing. `start` and `end` are seconds of the video, which may have several clips. The file is UTF-8, with
or without a byte order mark. A clip's id is its path, followed by `@start-end` where given. There are no word times.

Where no file has the very name of a cell, blanks around the name are left out, backslashes stand for slashes, and
another Unicode normal form is the same name.
"""

import csv
import functools
import io
import math
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SPLITS
from pipeline.schema import DataError
from pipeline.vocab import normalise

TABLE = "clips.csv"
REQUIRED, OPTIONAL = ("video", "text"), ("speaker", "split", "start", "end")
COLUMNS = REQUIRED + OPTIONAL
MAX_END = 1_000_000.0  # seconds
SEPARATORS = ((";", "semicolons"), ("\t", "tabs"))  # that programs write in place of commas
DIRECTORIES = 256  # whose names are kept while a table is read


def clips(root: Path) -> Iterator[ClipSource]:
    """Yields the clip of each row of `clips.csv` in `root`.

    Raises:
      DataError: the table is missing, or a row of it is invalid; the message names the row.
    """
    table = root / TABLE
    rows = _rows(table, _read(table, root))
    columns = _columns(table, next(rows, (1, []))[1])
    videos = _Videos(root)
    numbers, hashes = array("q"), array("q")  # row numbers and hashes of ids, in less memory than the ids
    for number, cells in rows:
        try:
            clip = _clip(root, videos, _to_dict(columns, cells))
        except ValueError as error:
            raise DataError(f"{table} row {number}: {error}") from error
        numbers.append(number)
        hashes.append(hash(clip.id))
        yield clip
    _check_unique(root, np.frombuffer(numbers, np.int64), np.frombuffer(hashes, np.int64))


def _check_unique(root: Path, numbers: np.ndarray, hashes: np.ndarray) -> None:
    """Checks that no clip is in two rows; the table is read again where two hashes are equal."""
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(numbers[np.isin(hashes, values[counts > 1])].tolist())
    if not suspects:
        return
    table, videos, seen = root / TABLE, _Videos(root), {}
    rows = _rows(table, _read(table, root))
    columns = _columns(table, next(rows)[1])
    for number, cells in rows:
        if number not in suspects:
            continue
        name = _clip(root, videos, _to_dict(columns, cells)).id
        if seen.setdefault(name, number) != number:
            both = f"rows {seen[name]} and {number}"
            raise DataError(f"{table} {both}: the same clip, {name!r}; remove one row or change its times")


def _read(table: Path, root: Path) -> str:
    if not paths.exists(table):
        raise DataError(f"{table}: no such file; want a table with the columns {','.join(COLUMNS)} and a row per clip")
    try:
        return paths.read_text(table, root, paths.MAX_TABLE_BYTES)
    except ValueError as error:
        raise DataError(f"{root}: {error}") from error


def _rows(table: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each row that is not blank, with its number as in a spreadsheet, where the header is row 1."""
    file = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")  # StringIO takes four bytes per character
    del text
    reader = csv.reader(file, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if any("\0" in cell for cell in cells):
                raise DataError(f"{table} row {number}: contains a NUL; save the table as UTF-8")
            if cells:
                yield number, cells
    except csv.Error as error:
        raise DataError(f"{table} row {number + 1}: not CSV ({error}); correct its quotes") from error


def _columns(table: Path, cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if not set(REQUIRED) <= set(columns) <= set(COLUMNS) or len(set(columns)) != len(columns):
        want = f"want {' and '.join(REQUIRED)}, and optionally {','.join(OPTIONAL)}, each once, separated by commas"
        got = ",".join(columns)
        other = next((f"; save it with commas in place of {name}" for mark, name in SEPARATORS if mark in got), "")
        raise DataError(f"{table} row 1: wrong columns; {want}; got {got[:200]!r}{other}")
    return columns


def _to_dict(columns: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} cells for {len(columns)} columns; put text with a comma in quotes")
    return dict(zip(columns, cells, strict=True))


class _Videos:
    """Finds the videos that a table names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names = functools.lru_cache(DIRECTORIES)(lambda folder: paths.Names(paths.entries(folder)))

    def find(self, cell: str) -> Path:
        """The path that a cell stands for, as it is on disk; as in the cell where there is no such file.

        Raises:
          ValueError: as `paths.below`, or it is a path of a Windows drive.
        """
        names = list(dict.fromkeys((cell, cell.strip(), cell.strip().replace("\\", "/"))))
        path = paths.below(self._root, names[0])
        if len(names) == 1 and cell.isascii():
            return path
        if found := next(filter(None, map(self._on_disk, names)), None):
            return found
        if re.match(r"[A-Za-z]:/", names[-1]):
            raise ValueError(f"want a path below the corpus, got {cell[:200]!r}, which names a drive")
        return paths.below(self._root, names[-1])

    def _on_disk(self, name: str) -> Path | None:
        """The path of a name, in the Unicode normal form of the disk; None where there is no such file."""
        path = paths.below(self._root, name)
        if paths.exists(path):
            return path
        if name.isascii():
            return None
        found = self._root
        for part in path.relative_to(self._root).parts:
            found = found and (self._names(found).find(part) if paths.is_folder(found) else None)
        return found


def _clip(root: Path, videos: _Videos, row: dict[str, str]) -> ClipSource:
    video = videos.find(row["video"])
    span = _span(row.get("start", "").strip(), row.get("end", "").strip())
    split = row.get("split", "").strip()
    if split not in ("", *SPLITS):
        raise ValueError(f"split: want {', '.join(SPLITS)} or nothing, got {split[:80]!r}")
    name = video.relative_to(root).as_posix()
    return ClipSource(
        id=f"{name}@{span[0]}-{span[1]}" if span else name,
        video=video,
        span=span,
        text=normalise(row["text"]),
        words=(),
        speaker=row.get("speaker", "").strip(),
        split=split or None,
    )


def _span(start: str, end: str) -> tuple[float, float] | None:
    if not start and not end:
        return None
    try:
        span = float(start), float(end)
    except ValueError:
        span = math.nan, math.nan
    if not 0 <= span[0] < span[1] <= MAX_END:
        want = f"want seconds, 0 <= start < end <= {MAX_END:.0f}, or neither"
        raise ValueError(f"start, end: {want}, got {start[:40]!r}, {end[:40]!r}")
    return span
