"""Any videos in a directory, with a table `clips.csv` beside them that says what is said in them.

    video,text,speaker,split,start,end
    talks/one.mp4,good morning,ann,train,0.5,2.25
    talks/one.mp4,"well, yes",ann,train,3,4.5

`video` (a path below the directory: a video, or a directory of images) and `text` are needed; the others may be empty
or missing. `start` and `end` are seconds of the video: one video may hold many clips. The file is UTF-8, with or
without a byte order mark. A clip's id is its path, with `@start-end` where it has them. There are no word times.
"""

import csv
import io
import math
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
COLUMNS = ("video", "text", "speaker", "split", "start", "end")
NEEDED = ("video", "text")
LATEST = 1_000_000.0  # seconds into a video


def clips(root: Path) -> Iterator[ClipSource]:
    """The clip of every row of `clips.csv` in `root`.

    Raises:
      DataError: the table is missing, or not as described; the row is named.
    """
    table = root / TABLE
    rows = _rows(table, _read(table, root))
    columns = _columns(table, next(rows, (1, []))[1])
    numbers, hashes = array("q"), array("q")  # of each clip: a table's ids may be too many to be kept
    for number, cells in rows:
        try:
            clip = _clip(root, _named(columns, cells))
        except ValueError as error:
            raise DataError(f"{table} row {number}: {error}") from error
        numbers.append(number)
        hashes.append(hash(clip.id))
        yield clip
    _check_once(root, np.frombuffer(numbers, np.int64), np.frombuffer(hashes, np.int64))


def _check_once(root: Path, numbers: np.ndarray, hashes: np.ndarray) -> None:
    """Refuses a clip in two rows; the table is read again where that may be."""
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(numbers[np.isin(hashes, values[counts > 1])].tolist())
    if not suspects:
        return
    table, seen = root / TABLE, {}
    rows = _rows(table, _read(table, root))
    columns = _columns(table, next(rows)[1])
    for number, cells in rows:
        if number in suspects and seen.setdefault(name := _clip(root, _named(columns, cells)).id, number) != number:
            both = f"rows {seen[name]} and {number}"
            raise DataError(f"{table} {both}: the same clip, {name!r}; remove one row, or change its times")


def _read(table: Path, root: Path) -> str:
    if not paths.exists(table):
        raise DataError(f"{table}: no such file; want one with the columns {','.join(COLUMNS)}, a row a clip")
    try:
        return paths.read_text(table, root, paths.TABLE_BYTES)
    except ValueError as error:
        raise DataError(f"{root}: {error}") from error


def _rows(table: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its number as spreadsheets count: the header is 1."""
    file = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")  # io.StringIO takes four bytes a character
    del text
    reader = csv.reader(file, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if cells:
                yield number, cells
    except csv.Error as error:
        raise DataError(f"{table} row {number + 1}: not CSV ({error}); mend its quotes") from error


def _columns(table: Path, cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if not set(NEEDED) <= set(columns) <= set(COLUMNS) or len(set(columns)) != len(columns):
        want = f"want {' and '.join(NEEDED)}, and no others than {','.join(COLUMNS)}, each once, with commas between"
        raise DataError(f"{table} row 1: names the columns: {want}; got {','.join(columns)[:200]!r}")
    return columns


def _named(columns: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} cells for {len(columns)} columns; put a text that has a comma in quotes")
    if any("\0" in cell for cell in cells):
        raise ValueError("a NUL in it; save the table as UTF-8")
    return dict(zip(columns, cells, strict=True))


def _clip(root: Path, row: dict[str, str]) -> ClipSource:
    video = paths.below(root, row["video"])
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
    if not 0 <= span[0] < span[1] <= LATEST:
        raise ValueError(
            f"start, end: want seconds, 0 <= start < end <= {LATEST:.0f}, or neither, got {start[:40]!r}, {end[:40]!r}"
        )
    return span
