"""Progress of a conversion: a note for each finished shard, the outcome of a clip, and counts."""

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from pipeline.records import storage, tfrecord
from pipeline.records.example import parse, pixels_offset
from pipeline.records.index import Row
from pipeline.records.provenance import Provenance
from pipeline.records.storage import Place
from pipeline.schema import DataError, Key, StorageError, Word

PROGRESS = ".progress"  # below the output, until the dataset is finished
JOB = "job.json"  # in it: the settings of the conversion


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A row of `rejected.csv`."""

    id: str
    source: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class StageSeconds:
    """Seconds that workers spent: reading and decoding, tracking and cropping, encoding and writing."""

    reading: float = 0.0
    cropping: float = 0.0
    writing: float = 0.0

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return StageSeconds(self.reading + other.reading, self.cropping + other.cropping, self.writing + other.writing)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a clip; it became a record, or several, if `rejected` is None.

    Attributes:
      reused: whether its crops are those of an earlier dataset.
    """

    rejected: Rejected | None
    stage_seconds: StageSeconds
    reused: bool = False


@dataclasses.dataclass(frozen=True)
class FinishedShard:
    """A finished shard.

    Attributes:
      file: its name.
      records, bytes, sha256: as in the manifest.
      rejected: the clips that are not in it.
      rows: its rows of the index.
      left_out: the parts, `id@frame`, that are not in it of clips that are.
      provenance: what each row was made from.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    rejected: tuple[Rejected, ...]
    rows: tuple[Row, ...]
    left_out: tuple[Rejected, ...] = ()
    provenance: tuple[Provenance, ...] = ()


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a conversion is.

    Attributes:
      clips: all clips of the job.
      resumed: clips of shards that an earlier run has finished; `resumed_rejected` of them were rejected.
      converted, rejected: clips of this run; `reused` of those converted took the crops of an earlier dataset.
      stage_seconds: of this run's workers.
    """

    clips: int
    resumed: int
    converted: int = 0
    rejected: int = 0
    resumed_rejected: int = 0
    reused: int = 0
    stage_seconds: StageSeconds = dataclasses.field(default=StageSeconds(), compare=False)

    @property
    def left(self) -> int:
        """The number of clips that are not done."""
        return self.clips - self.resumed - self.converted - self.rejected


def note_path(output: Place, shard: str) -> Place:
    """Returns the path of the note that a shard is finished."""
    return output / PROGRESS / f"{shard}.json"


def retry_path(output: Place, shard: str) -> Place:
    """Returns the path of the mark that a finished shard is to be made again."""
    return output / PROGRESS / f"{shard}.again"


def marked(output: Place) -> set[str]:
    """Returns the shards that are marked to be made again."""
    suffix = retry_path(output, "").name
    return {name.removesuffix(suffix) for name in storage.names(output / PROGRESS) if name.endswith(suffix)}


def write_note(output: Place, shard: FinishedShard) -> None:
    """Notes that a shard is finished."""
    finished = dataclasses.asdict(shard)
    storage.write_json(note_path(output, shard.file), {"done": finished, "sha256": _digest(finished)})
    storage.remove(retry_path(output, shard.file))


def read_note(output: Place, shard: str) -> FinishedShard | None:
    """Reads the note of a shard; None if the shard is not finished or has another size, or the note is damaged."""
    path = output / shard
    try:
        note = json.loads(storage.read(note_path(output, shard)).decode())
        if note["sha256"] != _digest(note["done"]):
            return None
        finished = _parsed(note["done"], path)
        return finished if finished.bytes == storage.size(path) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError, DataError):
        return None


def finished_note(output: Place, shard: str) -> FinishedShard:
    """Reads the note of a shard that has to be finished.

    Raises:
      DataError: it is not.
    """
    found = read_note(output, shard)
    if found is None:
        raise DataError(f"{output / shard}: gone or changed since it was written; run the same command again")
    return found


def void_note(output: Place, shard: str) -> None:
    """Removes the note, if any, of a shard that is about to be written.

    A shard that is made again keeps its note, so that a stop before the new one is written leaves the old one finished.
    """
    if not storage.exists(retry_path(output, shard)):  # else the note is of the same bytes
        storage.remove(note_path(output, shard))


def read_notes(output: Place, shards: Iterable[str]) -> Iterator[FinishedShard | None]:
    """Reads the notes of shards in order, as `read_note` does."""
    return storage.each(functools.partial(read_note, output), shards, output)


def _digest(finished: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(finished).encode()).hexdigest()


def _parsed(finished: dict[str, Any], shard: Place) -> FinishedShard:
    rows = (Row(**{**_with_pixels(row, shard), **_pairs(row)}) for row in finished["rows"])
    rejects = {key: tuple(Rejected(**each) for each in finished.get(key, ())) for key in ("rejected", "left_out")}
    made_from = tuple(map(_provenance, finished.get("provenance", ()))) or _unknown(finished["rows"])
    return FinishedShard(**{**finished, **rejects, "rows": tuple(rows), "provenance": made_from})


def _provenance(row: dict[str, Any]) -> Provenance:
    return Provenance(**{**row, "span": row["span"] and tuple(row["span"])})


def _unknown(rows: list[dict[str, Any]]) -> tuple[Provenance, ...]:
    """What an older version, which noted nothing of it, has made rows from."""
    return tuple(Provenance("") for _ in rows)


def _pairs(row: dict[str, Any]) -> dict[str, tuple]:
    """The words and the columns of a row; notes of older versions hold no columns."""
    columns = tuple((name, value) for name, value in row.get("columns", ()))
    return {"words": tuple(Word(**word) for word in row["words"]), "columns": columns}


def _with_pixels(row: dict[str, Any], shard: Place) -> dict[str, Any]:
    """A row with the place of its pixels, which notes of schema version 2 do not hold.

    Raises:
      ValueError: the record holds an image a frame, as in that version.
    """
    if "pixels" in row:
        return row
    record = tfrecord.payload(shard, row["offset"], row["length"])
    if len(parse(record).features.feature[str(Key.FRAMES)].bytes_list.value) != 1:
        raise ValueError("one image a frame")
    return {**row, "pixels": pixels_offset(record)}


@contextlib.contextmanager
def writing(path: Place) -> Iterator[None]:
    """Turns an error of writing into one that names the file.

    Raises:
      DataError: `path`, or another file that the error names, cannot be written.
    """
    try:
        yield
    except StorageError as error:
        raise DataError(f"{error}; then run the same command again to continue") from error
    except (OSError, tf.errors.OpError) as error:
        name = getattr(error, "filename", None) or path
        rule = getattr(error, "strerror", None) or getattr(error, "message", None) or error
        ways = "make room, or make it writable; then run the same command again to continue"
        raise DataError(f"{name}: {rule}; {ways}") from error
