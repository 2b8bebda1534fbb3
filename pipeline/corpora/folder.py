"""Any videos in a directory, with label files beside them or a table `clips.csv`.

    talks/one.mp4 talks/one.TextGrid        talks/two.mp4 talks/two.srt

A label file has the name of its video and a suffix of `labels.KINDS`; where several lie beside a video, the first of
these kinds is read. A video, or a directory of images, without one is no clip. Labels with the times of phrases make a
clip of each phrase; others make one clip of the video. Links to directories are not followed.

    video,text,labels,speaker,split,start,end
    talks/one.mp4,good morning,,ann,train,0.5,2.25
    talks/two.mp4,,labels/two.vtt,ann,train,,

With a table there are the clips of its rows alone. `video` (a path below the directory: a video, or a directory of
images) is required; other columns may be empty or missing, and further ones are ignored. The words of a row are its
`text`, or the labels in the file `labels`, or those beside the video. `start` and `end` are seconds of the video, which
may have several rows; of labels they keep what lies between them. `table` says what a table may look like.

A clip's id is the path of its video, followed by `@start-end` where it is a part of it.

Where no file has the very name of a cell, blanks around the name are left out, backslashes stand for slashes, and
another Unicode normal form is the same name.
"""

import dataclasses
import functools
import math
import shlex
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.corpora import cutting, paths, table
from pipeline.corpora.files import KINDS, Files
from pipeline.corpora.source import ClipSource, printable
from pipeline.corpora.splits import SPLITS
from pipeline.records import storage
from pipeline.schema import DataError
from pipeline.vocab import normalise

TABLE = "clips.csv"
REQUIRED = "video"
COLUMNS = (REQUIRED, "text", "labels", "speaker", "split", "start", "end")
MAX_END = 1_000_000.0  # seconds
SHOWN = 20  # ignored columns that a line names


def clips(root: str | Path, pad_s: float = cutting.PAD_S, keep_columns: Sequence[str] = ()) -> Iterator[ClipSource]:
    """Yields the clips of each row of `clips.csv` in `root`, or of each video below it with a label file beside it.

    Args:
      root: of the corpus.
      pad_s: seconds that a phrase of labels is shown for before and after its time, as `cutting.cut`.
      keep_columns: further columns of the table that are kept as `ClipSource.columns`.

    Raises:
      DataError: there is neither a table nor a video with labels; the table or a row of it is invalid, which the
        message names; or the table has no such column to keep.
    """
    root = storage.local(root)
    files = Files(root)
    if paths.exists(root / TABLE):
        yield from _of_table(files, root, pad_s, keep_columns)
        return
    if keep_columns:
        raise DataError(f"--keep_columns: {root / TABLE}: no such file; leave the flag out, or write the table")
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory of the videos")
    found = False
    for video, label in files.labelled():
        name = printable(video.relative_to(root).as_posix())
        yield from _of_labels(files, label, ClipSource(name, video, None, "", (), ""), name, pad_s)
        found = True
    if not found:
        want = f"want videos beside label files of their names ({KINDS}), or a table {TABLE} that names the videos"
        raise DataError(f"{root}: no clips; {want} (see pipeline/corpora/README.md)")


def notes(root: Path, pad_s: float = cutting.PAD_S, keep_columns: Sequence[str] = ()) -> list[str]:
    """Describes the columns of the table that are ignored, in one line at most; arguments as of `clips`."""
    del pad_s  # which ignores nothing
    if not paths.exists(root / TABLE):
        return []
    known = {*COLUMNS, *map(table.key, keep_columns)}
    ignored = [name for name in table.header(root / TABLE, REQUIRED) if name and table.key(name) not in known]
    if not ignored:
        return []
    shown = ", ".join(ignored[:SHOWN]) + (f" and {len(ignored) - SHOWN} more" if len(ignored) > SHOWN else "")
    advice = f"--keep_columns={shlex.quote(','.join([*keep_columns, ignored[0]]))} keeps the first with its clips"
    return [f"columns of {TABLE} that are ignored ({len(ignored)}): {shown}; {advice}"]


def _of_table(files: Files, root: Path, pad_s: float, keep_columns: Sequence[str]) -> Iterator[ClipSource]:
    read = functools.partial(_rows, files, root, pad_s, keep_columns)
    numbers, hashes = array("q"), array("q")  # row numbers and hashes of ids, in less memory than the ids
    for number, clip in read():
        numbers.append(number)
        hashes.append(hash(clip.id))
        yield clip
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    again = np.isin(np.frombuffer(hashes, np.int64), values[counts > 1])
    if suspects := set(np.frombuffer(numbers, np.int64)[again].tolist()):
        _check_unique(root / TABLE, ((number, clip.id) for number, clip in read() if number in suspects))


def _check_unique(path: Path, ids: Iterator[tuple[int, str]]) -> None:
    """Checks that no clip is in two rows, of which two had ids of one hash."""
    seen = {}
    for number, name in ids:
        if seen.setdefault(name, number) != number:
            both = f"rows {seen[name]} and {number}"
            raise DataError(f"{path} {both}: the same clip, {name!r}; remove one row or change its times")


def _rows(files: Files, root: Path, pad_s: float, keep_columns: Sequence[str]) -> Iterator[tuple[int, ClipSource]]:
    """Yields each clip and the number of its row."""
    opened = table.read(root / TABLE, root, REQUIRED)
    _check_kept(opened, keep_columns)
    spelled = {table.key(name): name for name in opened.names}
    for number, row in opened.rows:
        try:
            clip = _clip(root, files, row)
            kept = tuple((spelled[name], row[name].strip()) for name in map(table.key, keep_columns))
            for each in _with_words(files, dataclasses.replace(clip, columns=kept) if kept else clip, row, root, pad_s):
                yield number, each
        except ValueError as error:
            raise DataError(f"{opened.path} row {number}: {error}") from error


def _check_kept(opened: table.Table, keep_columns: Sequence[str]) -> None:
    keys = [table.key(name) for name in keep_columns]
    for name in keep_columns:
        if table.key(name) in COLUMNS:
            others = f"name others than {', '.join(COLUMNS)}"
            raise DataError(f"--keep_columns: {name!r} has a meaning of its own; {others}")
        if table.key(name) not in map(table.key, filter(None, opened.names)):
            has = ", ".join(filter(None, opened.names))
            raise DataError(f"--keep_columns: {opened.path} has no column {name!r}; it has {has}")
        if keys.count(table.key(name)) > 1:
            raise DataError(f"--keep_columns: {name!r} is given twice; leave one out")


def _clip(root: Path, files: Files, row: dict[str, str]) -> ClipSource:
    """The clip of a row, with the row's text."""
    video = _find(files, row, REQUIRED)
    span = _span(row.get("start", "").strip(), row.get("end", "").strip())
    split = row.get("split", "").strip()
    if split not in ("", *SPLITS):
        raise ValueError(f"split: want {', '.join(SPLITS)} or nothing, got {split[:80]!r}")
    name = video.relative_to(root).as_posix()
    return ClipSource(
        id=f"{name}@{span[0]}-{span[1]}" if span else name,
        video=video,
        span=span,
        text=normalise(row.get("text", "")),
        words=(),
        speaker=row.get("speaker", "").strip(),
        split=split or None,
    )


def _with_words(files: Files, clip: ClipSource, row: dict[str, str], root: Path, pad_s: float) -> Iterator[ClipSource]:
    """Yields the clips of a row: one with its text, or those of its labels."""
    is_named = bool(row.get("labels", "").strip())
    if clip.text and is_named:
        raise ValueError("text, labels: want one of them, got both; leave one empty")
    if clip.text:
        yield clip
        return
    label = _find(files, row, "labels") if is_named else files.beside(clip.video)
    if label is None:
        problem = (
            f"its row has neither text nor labels, and beside {clip.video.name} is no file of its name with {KINDS}"
        )
        yield dataclasses.replace(clip, problem=problem)
        return
    yield from _of_labels(files, label, clip, clip.video.relative_to(root).as_posix(), pad_s)


def _of_labels(files: Files, label: Path, clip: ClipSource, name: str, pad_s: float) -> Iterator[ClipSource]:
    """Yields the clips that a label file makes of a video `name`, or a part of it."""
    read = files.labels(label, clip.video)
    if isinstance(read, str):
        yield dataclasses.replace(clip, problem=read)
    else:
        yield from cutting.cut(read, clip, name, label.name, pad_s)


def _find(files: Files, row: dict[str, str], column: str) -> Path:
    try:
        return files.find(row[column])
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from error


def _span(start: str, end: str) -> tuple[float, float] | None:
    if not start and not end:
        return None
    try:
        span = _seconds(start or "0"), _seconds(end)
    except ValueError:
        span = math.nan, math.nan
    if not 0 <= span[0] < span[1] <= MAX_END:
        want = f"want seconds, 0 <= start < end <= {MAX_END:.0f}, or neither"
        raise ValueError(f"start, end: {want}, got {start[:40]!r}, {end[:40]!r}")
    return span


def _seconds(cell: str) -> float:
    """The number in a cell, whose decimals may stand behind a comma."""
    return float(cell if "." in cell else cell.replace(",", ".", 1))
