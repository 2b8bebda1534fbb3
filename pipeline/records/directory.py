"""Opens and verifies a dataset directory: shards, an index, and a manifest that describes both."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.records import checks
from pipeline.records.codecs import Encoding
from pipeline.records.example import from_example
from pipeline.records.index import Index, Row
from pipeline.records.storage import replacing, sha256
from pipeline.records.tfrecord import FOOTER_BYTES, GZIP_MAGIC, GZIPPED, payload
from pipeline.schema import SCHEMA_VERSION, Clip, DataError

MANIFEST = "manifest.json"
INDEX = "index.npz"
REJECTED = "rejected.csv"


def shard_name(name: str, split: str, shard: int, shards: int) -> str:
    """The file name of a shard, by the convention of tensorflow-datasets."""
    return f"{name}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def last_crc(path: Path) -> str:
    """The last four bytes of a shard, the CRC of its last record, in hexadecimal; empty for an empty shard."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - FOOTER_BYTES))
        return file.read().hex()


def save_index(path: Path, index: Index) -> None:
    """Writes the columns of an index as an npz file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **index.columns())


def load_index(path: Path, manifest: dict[str, Any]) -> Index:
    """Reads an index that `save_index` wrote.

    Raises:
      DataError: the file is no index, or breaks a rule of `checks`.
    """
    columns = checks.load_columns(path, Index.names())
    checks.check_index(path, columns, manifest)
    return Index.of_columns(columns)


@dataclasses.dataclass(frozen=True, eq=False)
class DatasetDir:
    """An opened dataset directory.

    Attributes:
      root: the directory.
      manifest: the content of `manifest.json`.
      index: every record.
      shards: paths; `index.shard` is a position in them.
    """

    root: Path
    manifest: dict[str, Any]
    index: Index
    shards: tuple[Path, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.manifest["splits"])

    @property
    def encoding(self) -> Encoding:
        return Encoding(**self.manifest["conversion"]["encoding"])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, which holds that of every shard and of the index."""
        return fingerprint(self.manifest)

    def records(self, split: str) -> np.ndarray:
        """int64 [n]: the index rows of a split.

        Raises:
          DataError: there is no such split; the message lists the splits.
        """
        if split not in self.splits:
            raise DataError(f"{self.root}: no split {split!r}; it has {', '.join(self.splits)}")
        return np.flatnonzero(self.index.split == self.splits.index(split))


def fingerprint(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def open_dataset(root: Path) -> DatasetDir:
    """Opens a finished dataset directory and checks each shard's size and last CRC against the manifest.

    Raises:
      DataError: the directory or its manifest is missing, the schema version is another, the manifest or index breaks a
        rule of `checks`, or shards are missing, truncated, compressed or of another conversion; all are named.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such directory; make one with python -m scripts.convert --output={root}")
    if not (root / MANIFEST).is_file():
        begun = (root / ".progress").is_dir()
        way_out = "run the same scripts.convert again to resume it" if begun else "name the output of scripts.convert"
        if not begun and next(root.glob("*.tfrecord*"), None):
            way_out = f"shards of another program: python -m scripts.records index --data={root}"
        raise DataError(f"{root}: no {MANIFEST}, so not a finished dataset; {way_out}")
    manifest = read_manifest(root)
    if (got := manifest.get("schema_version")) != SCHEMA_VERSION:
        way_out = f"python -m scripts.records upgrade --data={root}" if got == SCHEMA_VERSION - 1 else "convert again"
        raise DataError(f"{root / MANIFEST}: schema_version {got}, this program reads {SCHEMA_VERSION}: {way_out}")
    checks.check_manifest(root / MANIFEST, manifest)
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    _raise_problems(root, [problem for shard in shards if (problem := _shard_problem(root, shard))])
    if not (root / INDEX).is_file():
        raise DataError(f"{root / INDEX}: missing; restore it or convert again")
    if sha256(root / INDEX) != manifest["index"]["sha256"]:
        raise DataError(f"{root / INDEX}: not the index of this manifest (its SHA-256 differs); convert again")
    index = load_index(root / INDEX, manifest)
    dataset = DatasetDir(root, manifest, index, tuple(root / shard["file"] for shard in shards))
    foreign = [number for number, shard in enumerate(shards) if _is_foreign(dataset, number, shard.get("last_crc"))]
    _raise_problems(root, [f"{dataset.shards[number].name} is of another conversion" for number in foreign])
    return dataset


def _raise_problems(root: Path, problems: list[str]) -> None:
    if problems:
        raise DataError(f"{root}: {'; '.join(problems)}; restore the files or convert again")


def read_manifest(root: Path) -> dict[str, Any]:
    """Reads the manifest of a dataset directory.

    Raises:
      DataError: the file is not a manifest that a conversion wrote.
    """
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{root / MANIFEST}: not JSON ({error}); restore it or convert again") from error
    if not isinstance(manifest, dict) or "conversion" not in manifest:
        raise DataError(f"{root / MANIFEST}: not the manifest of a conversion; name another directory")
    return manifest


def _shard_problem(root: Path, shard: dict[str, Any]) -> str | None:
    path = root / shard["file"]
    if not path.is_file():
        return f"{path.name} is missing"
    if (size := path.stat().st_size) != shard["bytes"]:
        with path.open("rb") as file:
            if file.read(len(GZIP_MAGIC)) == GZIP_MAGIC:
                return f"{path.name} is {GZIPPED}"
        return f"{path.name} has {size} bytes, the manifest says {shard['bytes']}"
    return None


def _is_foreign(dataset: DatasetDir, number: int, crc: str | None) -> bool:
    """Whether a shard ends in a sound record of another CRC; a damaged record is reported when it is read."""
    if crc is None or last_crc(dataset.shards[number]) == crc:  # old manifests have no `last_crc`
        return False
    try:
        record_bytes(dataset, int(np.flatnonzero(dataset.index.shard == number)[-1]))
    except ValueError:
        return False
    return True


def changed_shards(dataset: DatasetDir) -> list[str]:
    """What is wrong with shards that are gone, or no longer as long as their records, in one line each."""
    index, problems = dataset.index, []
    for number in np.unique(index.shard).tolist():
        path, last = dataset.shards[number], int(np.flatnonzero(index.shard == number)[-1])
        want = int(index.offset[last] + index.length[last]) + checks.FRAMING_BYTES
        if not path.is_file():
            problems.append(f"{path}: gone")
        elif (size := path.stat().st_size) != want:
            problems.append(f"{path}: has {size} bytes, its records end at {want}")
    return problems


def location(dataset: DatasetDir, record: int) -> str:
    """The shard and byte offset of a record, for messages."""
    return f"{dataset.shards[dataset.index.shard[record]]} offset {dataset.index.offset[record]}"


def record_bytes(dataset: DatasetDir, record: int) -> bytes:
    """Reads the serialized Example of an index row, and checks its header and CRC.

    Raises:
      ValueError: the record is damaged.
      OSError: the shard cannot be read.
    """
    index = dataset.index
    return payload(dataset.shards[index.shard[record]], int(index.offset[record]), int(index.length[record]))


def read_record(dataset: DatasetDir, record: int) -> Clip:
    """Reads the clip of an index row, and checks the record's header and CRC.

    Raises:
      DataError: the record is damaged; shard, offset and reason are named.
      OSError: the shard cannot be read.
    """
    try:
        return from_example(record_bytes(dataset, record), dataset.encoding)
    except (ValueError, DataError) as error:
        raise DataError(f"{location(dataset, record)}: {error}") from error


def verify(dataset: DatasetDir) -> Iterator[str | None]:
    """Checks the SHA-256 of every shard, and every record against the index; yields a problem or None for each."""
    for shard in (shard for split in dataset.manifest["splits"].values() for shard in split["shards"]):
        path = dataset.root / shard["file"]
        same = sha256(path) == shard["sha256"]
        yield None if same else f"{path}: its SHA-256 is not the manifest's; the file has changed since the conversion"
    for record in range(len(dataset.index)):
        yield record_problem(dataset, record)


def record_problem(dataset: DatasetDir, record: int) -> str | None:
    """The problem of a record, in one line; None if it is sound and agrees with the index.

    Raises:
      OSError: the shard cannot be read.
    """
    expected = dataset.index.row(record)
    try:
        data = record_bytes(dataset, record)
        found = Row.of(from_example(data, dataset.encoding), data, expected.offset)
    except (ValueError, DataError) as error:
        return f"{location(dataset, record)}: {error}"
    names = [field.name for field in dataclasses.fields(Row)]
    differing = [name for name in names if getattr(found, name) != getattr(expected, name)]
    return f"{location(dataset, record)}: differs from the index in {', '.join(differing)}" if differing else None
