"""Checks a manifest and an index before anything relies on them; nothing in them is trusted."""

import functools
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pipeline.records.codecs import Encoding
from pipeline.records.integers import read_exactly, read_narrow
from pipeline.records.storage import Place
from pipeline.records.strings import StringArray, blocks, is_utf8
from pipeline.schema import FRAME_BYTES, DataError

INT_COLUMNS = ("split", "shard", "offset", "length", "pixels", "frames", "tracked", "doubt")
STRING_COLUMNS = ("id", "speaker", "text", "doubt_cause", "word_text", "column_name", "column_value")
# NumPy and zipfile raise these on bytes that are not an npz file.
NOT_NPZ = (
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
LOADERS = min(4, len(os.sched_getaffinity(0)))  # columns that are unpacked at once
FRAMING_BYTES = 16  # of a TFRecord: header and footer around its payload
NUMBER = (int, float)
SHARD = {"file": str, "records": int, "bytes": int, "sha256": str}
MANIFEST = {
    "conversion": {"crop": dict, "fps": NUMBER, "encoding": {"name": str, "quality": int}},
    "vocabulary": {"characters": str, "words": [str]},
    "splits": {str: {"records": int, "shards": [SHARD]}},
    "rejected": {str: int},
    "index": {"sha256": str},
}


def check_manifest(path: Place, manifest: dict[str, Any]) -> None:
    """Checks the keys and types of a manifest, and that its shards lie in its directory.

    Raises:
      DataError: a key is missing or has another type or value; the message names it.
    """
    if problem := next(_type_problems(manifest, MANIFEST, ""), None) or _manifest_problem(manifest):
        raise DataError(f"{path}: {problem}; restore it or convert again")


def _type_problems(value: Any, want: Any, where: str) -> Iterator[str]:
    """Where a JSON value is not of the type `want`: a type, [type], {str: type} or {key: type, …}."""
    kind = want if isinstance(want, type | tuple) else type(want)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = "a number" if kind == NUMBER else f"a {kind.__name__}"
        yield f"{where.lstrip('.') or 'the whole'}: want {wanted}, got {str(value)[:40]!r}"
    elif isinstance(want, list):
        for number, item in enumerate(value):
            yield from _type_problems(item, want[0], f"{where}[{number}]")
    elif isinstance(want, dict):
        keys = value if str in want else want
        for key in keys:
            yield from _type_problems(value.get(key), want.get(key, want.get(str)), f"{where}.{key}")


def _manifest_problem(manifest: dict[str, Any]) -> str | None:
    conversion = manifest["conversion"]
    try:
        Encoding(**conversion["encoding"])
    except (TypeError, ValueError) as error:
        return f"conversion.encoding: {error}"
    if not (math.isfinite(conversion["fps"]) and conversion["fps"] > 0):
        return f"conversion.fps: want a number above 0, got {conversion['fps']}"
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    seen: set[str] = set()
    for name in (shard["file"] for shard in shards):
        if Path(name).name != name or name in ("", "..") or not name.isprintable():
            return f"shard {name[:80]!r}: want the name of a file beside the manifest"
        if name in seen:
            return f"shard {name!r} is listed twice"
        seen.add(name)
    return None


def load_columns(path: Place, content: bytes, names: list[str]) -> dict[str, np.ndarray]:
    """Loads the columns of an index file, named `path` in messages; nothing in it is unpickled.

    Columns of int64 come as int32 where their numbers allow it.

    Raises:
      DataError: it is not an npz file of exactly these columns.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = sorted(file.keys(), key=lambda name: -file.zip.getinfo(f"{name}.npy").file_size)
            # A header is Python, whose parser fails now and then where several threads use it.
            headers = [_header(file, name) for name in found]
            whole = {name: file[name] for name, header in zip(found, headers, strict=True) if header is None}
        with ThreadPoolExecutor(LOADERS) as pool:  # zlib works without Python's lock
            columns = dict(zip(found, pool.map(functools.partial(_load_column, content), found, headers), strict=True))
        columns |= whole
    except NOT_NPZ as error:
        raise DataError(f"{path}: not an index ({error}); restore it or convert again") from error
    columns |= _not_yet_known(columns)
    if sorted(columns) != sorted(names):
        raise DataError(f"{path}: want the columns {', '.join(names)}, got {', '.join(columns)}; convert again")
    return columns


def _not_yet_known(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns that an index has not: of before crops were scored, or of clips that keep nothing of a table."""
    if "tracked" not in columns:
        return {}
    none, text, missing = np.zeros(len(columns["tracked"]) + 1, np.int32), np.zeros(0, np.uint8), {}
    if "doubt" not in columns:
        missing |= {"doubt": none[1:] - 1, "doubt_cause": text, "doubt_cause_ends": none[1:]}
    if "column_rows" not in columns:
        missing |= {"column_rows": none}
        missing |= {"column_name": text, "column_name_ends": none[:0]}
        missing |= {"column_value": text, "column_value_ends": none[:0]}
    return missing


def _header(file: np.lib.npyio.NpzFile, name: str) -> tuple[int, int, np.dtype] | None:
    """Where the numbers of a column begin, how many there are, and of what type; None for what is no such column."""
    with file.zip.open(f"{name}.npy") as member:
        if npy.read_magic(member) != (1, 0):
            return None
        shape, _, dtype = npy.read_array_header_1_0(member)
        return None if len(shape) != 1 or dtype.hasobject else (member.tell(), shape[0], dtype)


def _load_column(content: bytes, name: str, header: tuple[int, int, np.dtype] | None) -> np.ndarray | None:
    if header is None:
        return None
    begin, count, dtype = header
    with zipfile.ZipFile(io.BytesIO(content)) as file, file.open(f"{name}.npy") as member:
        read_exactly(member, begin)
        if dtype == np.int64 and dtype.isnative:
            return read_narrow(member, count)
        return np.frombuffer(read_exactly(member, count * dtype.itemsize), dtype)


def check_index(path: Place, columns: Mapping[str, np.ndarray], manifest: dict[str, Any]) -> None:
    """Checks the columns of an index against each other and against the shards of the manifest.

    Raises:
      DataError: the index breaks a rule, which the message names.
    """
    for rule, holds in _index_rules(columns, manifest):
        if not np.all(holds):
            raise DataError(f"{path}: {rule}; restore it or convert again")


def _index_rules(columns: Mapping[str, np.ndarray], manifest: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields each rule and where it holds; a rule may rely on those before it."""
    yield from _shape_rules(columns)
    splits = manifest["splits"].values()
    shards = [(number, shard) for number, split in enumerate(splits) for shard in split["shards"]]
    offset, length, shard, frames = (columns[name].astype(np.int64) for name in ("offset", "length", "shard", "frames"))
    yield f"want shard numbers 0 to {len(shards) - 1}", (shard >= 0) & (shard < len(shards))
    yield "want the records in the order of their shards", shard[1:] >= shard[:-1]
    counts = np.bincount(shard, minlength=len(shards))
    yield "want as many records per shard as the manifest says", counts == [entry["records"] for _, entry in shards]
    yield "a record is of another split than its shard", columns["split"] == np.array([n for n, _ in shards])[shard]
    size = np.array([min(entry["bytes"], np.iinfo(np.int64).max) for _, entry in shards], np.int64)
    yield "a record is longer than its shard", (length > 0) & (length <= size[shard] - FRAMING_BYTES)
    first = np.concatenate([[True], shard[1:] != shard[:-1]])[: len(shard)]
    end = offset + length + FRAMING_BYTES
    yield "want records end to end", np.where(first, offset == 0, offset == np.roll(end, 1))
    yield "want records up to the end of their shard", (end == size[shard])[np.roll(first, -1)]
    per_frame = FRAME_BYTES if manifest["conversion"]["encoding"]["name"] == "raw" else 1
    yield "a record has more frames than bytes for them", (frames > 0) & (frames <= length // per_frame)
    last = columns["pixels"] + frames * per_frame
    yield "want frames that lie in their record", (columns["pixels"] > 0) & (last <= length)
    yield "want 0 <= tracked <= frames", (columns["tracked"] >= 0) & (columns["tracked"] <= frames)
    yield "want -1 <= doubt <= 100", (columns["doubt"] >= -1) & (columns["doubt"] <= 100)
    yield "a column has no name", np.diff(columns["column_name_ends"], prepend=0) > 0
    yield "want words that begin in their clips", all(_words_begin_in_clips(columns))
    yield "an id comes twice", StringArray(columns["id"], columns["id_ends"]).is_unique()


def _words_begin_in_clips(columns: Mapping[str, np.ndarray]) -> Iterator[bool]:
    rows = columns["word_rows"]
    for block in blocks(len(rows) - 1):
        words = slice(rows[block.start], rows[block.stop])
        start, stop = columns["word_start"][words], columns["word_stop"][words]
        frames = np.repeat(columns["frames"][block], np.diff(rows[block.start : block.stop + 1]))
        yield bool(np.all((start >= 0) & (start < stop) & (start < frames)))


def _shape_rules(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
    for name, column in columns.items():
        kinds = (np.uint8,) if name in STRING_COLUMNS else (np.int64, np.int32)
        yield f"column {name}: want one axis of {np.dtype(kinds[0])}", column.ndim == 1 and column.dtype in kinds
    records, words = len(columns["id_ends"]), len(columns["word_text_ends"])
    for name in (*INT_COLUMNS, "speaker_ends", "text_ends", "doubt_cause_ends"):
        yield f"column {name}: want {records} rows as of id_ends", len(columns[name]) == records
    for name in ("word_start", "word_stop"):
        yield f"column {name}: want {words} rows as of word_text_ends", len(columns[name]) == words
    pairs, values = (len(columns[f"{name}_ends"]) for name in ("column_name", "column_value"))
    yield f"column column_value_ends: want {pairs} rows as of column_name_ends", values == pairs
    for name, last in (("word_rows", words), ("column_rows", pairs)):
        rows = columns[name]
        yield f"column {name}: want a row for each record and one more", len(rows) == records + 1
        yield from _offset_rules(name, rows[:1], rows[1:], last)
    for name in STRING_COLUMNS:
        ends = columns[f"{name}_ends"]
        yield from _offset_rules(f"{name}_ends", np.zeros(1, np.int64), ends, len(columns[name]))
        yield f"column {name}: want UTF-8 in every row", is_utf8(columns[name], ends)


def _offset_rules(name: str, first: np.ndarray, column: np.ndarray, last: int) -> Iterator[tuple[str, Any]]:
    """The rules of numbers that rise from 0 to `last`, of which `first` is the first and `column` the others."""
    rises = (first == 0) & np.all(column[:1] >= 0) & np.all(column[1:] >= column[:-1])
    yield f"column {name}: want it to rise from 0", rises
    yield f"column {name}: want it to end at {last}", (column[-1:] if len(column) else first) == last
