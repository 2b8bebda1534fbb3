"""What is done of a conversion: a file for each shard that is whole, and what a clip has come to."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipeline.records import storage
from pipeline.records.index import Row
from pipeline.schema import DataError, Word

PROGRESS = ".progress"  # below the output, until the dataset is finished


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A line of `rejected.csv`."""

    id: str
    source: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class StageSeconds:
    """Seconds of workers on clips: reading and decoding, finding and cutting the mouth, encoding and writing."""

    reading: float = 0.0
    cropping: float = 0.0
    writing: float = 0.0

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return StageSeconds(self.reading + other.reading, self.cropping + other.cropping, self.writing + other.writing)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a clip has come to: a record where `rejected` is None."""

    rejected: Rejected | None
    stage_seconds: StageSeconds


@dataclasses.dataclass(frozen=True)
class ShardDone:
    """A shard that is whole.

    Attributes:
      file: its name.
      records, bytes, sha256: as in the manifest.
      rejected: the clips that are not in it.
      rows: of the index.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    rejected: tuple[Rejected, ...]
    rows: tuple[Row, ...]


def place(output: Path, shard: str) -> Path:
    """Where the file of a finished shard lies."""
    return output / PROGRESS / f"{shard}.json"


def again(output: Path, shard: str) -> Path:
    """The file that says that a finished shard is to be made once more."""
    return output / PROGRESS / f"{shard}.again"


def note(output: Path, shard: str, rows: list[Row], rejected: list[Rejected]) -> None:
    """Says that a shard is whole."""
    path = output / shard
    size, digest = path.stat().st_size, storage.sha256(path)
    done = dataclasses.asdict(ShardDone(shard, len(rows), size, digest, tuple(rejected), tuple(rows)))
    storage.write_json(place(output, shard), {"done": done, "sha256": _digest(done)})
    again(output, shard).unlink(missing_ok=True)


def read(output: Path, shard: str) -> ShardDone | None:
    """What was noted of a shard; None where it is not finished, is not there as it was, or its note is damaged."""
    path, noted = output / shard, place(output, shard)
    if not noted.is_file() or not path.is_file():
        return None
    try:
        note = json.loads(noted.read_text(encoding="utf-8"))
        done, whole = note["done"], note["sha256"] == _digest(note["done"])
    except (ValueError, TypeError, KeyError):
        return None
    return _parsed(done) if whole and done["bytes"] == path.stat().st_size else None


def _digest(done: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(done).encode()).hexdigest()


def _parsed(done: dict[str, Any]) -> ShardDone:
    rows = (Row(**{**row, "words": tuple(Word(**word) for word in row["words"])}) for row in done["rows"])
    rejected = (Rejected(**reject) for reject in done["rejected"])
    return ShardDone(**{**done, "rejected": tuple(rejected), "rows": tuple(rows)})


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses into a line that names the file.

    Raises:
      DataError: `path`, or another file that the error names, cannot be written.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        name = getattr(error, "filename", None) or path
        rule = getattr(error, "strerror", None) or getattr(error, "message", None) or error
        ways = "make room, or make it writable; the same command then goes on with what is done"
        raise DataError(f"{name}: {rule}; {ways}") from error
