"""Opens and verifies a dataset directory: shards, an index, and a manifest that describes both."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.records import checks, storage
from pipeline.records.bucket import Url
from pipeline.records.cache import Cache
from pipeline.records.codecs import Encoding
from pipeline.records.example import from_example
from pipeline.records.fetch import Fetcher
from pipeline.records.index import Index, Row
from pipeline.records.storage import Place
from pipeline.records.tfrecord import FOOTER_BYTES, GZIP_MAGIC, GZIPPED, payload
from pipeline.schema import SCHEMA_VERSION, Clip, DataError

MANIFEST = "manifest.json"
INDEX = "index.npz"
REJECTED = "rejected.csv"


def shard_name(name: str, split: str, shard: int, shards: int) -> str:
    """The file name of a shard, by the convention of tensorflow-datasets."""
    return f"{name}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def last_crc(path: Place) -> str:
    """The last four bytes of a shard, the CRC of its last record, in hexadecimal; empty for an empty shard."""
    return storage.opened(path, FOOTER_BYTES)[2].hex()


def save_index(path: Place, index: Index) -> None:
    """Writes the columns of an index as an npz file; where no clip keeps columns of a table, it has none for them."""
    columns = index.columns()
    if not index.has_columns:
        columns = {name: column for name, column in columns.items() if not name.startswith("column_")}
    with storage.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **columns)


def load_index(path: Place, content: bytes, manifest: dict[str, Any]) -> Index:
    """Parses an index that `save_index` wrote to `path`.

    Raises:
      DataError: the file is no index, or breaks a rule of `checks`.
    """
    columns = checks.load_columns(path, content, Index.names())
    checks.check_index(path, columns, manifest)
    return Index.of_columns(columns)


@dataclasses.dataclass(frozen=True, eq=False)
class DatasetDir:
    """An opened dataset directory.

    Attributes:
      root: the directory.
      manifest: the content of `manifest.json`.
      index: every record.
      shards: where they lie; `index.shard` is a position in them. Those in a store are read as the versions that
        were opened, and no others.
      fetcher: takes records of shards in a store.
    """

    root: Place
    manifest: dict[str, Any]
    index: Index
    shards: tuple[Place, ...]
    fetcher: Fetcher = dataclasses.field(default_factory=Fetcher)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.manifest["splits"])

    @property
    def encoding(self) -> Encoding:
        return Encoding(**self.manifest["conversion"]["encoding"])

    @property
    def is_remote(self) -> bool:
        """Whether shards lie in a store, where reads wait, so that many have to be under way at once."""
        return any(isinstance(shard, Url) for shard in self.shards)

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

    def shard_records(self, shard: int) -> range:
        """The index rows of a shard."""
        first, stop = np.searchsorted(self.index.shard, [shard, shard + 1]).tolist()
        return range(first, stop)


def fingerprint(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def open_dataset(root: str | Place, cache: Cache | None = None) -> DatasetDir:
    """Opens a finished dataset directory and checks each shard's size and last CRC against the manifest.

    Args:
      root: of the dataset; a string may be a URL.
      cache: keeps the records of shards in a store, so that each is fetched once.

    Raises:
      DataError: the directory or its manifest is missing, the schema version is another, the manifest or index breaks a
        rule of `checks`, or shards are missing, truncated, compressed or of another conversion; all are named.
      OSError: it cannot be read.
    """
    root = storage.place(root)
    manifest = read_manifest(root)
    if (got := manifest.get("schema_version")) != SCHEMA_VERSION:
        way_out = f"python -m scripts.records upgrade --data={root}" if got == SCHEMA_VERSION - 1 else "convert again"
        raise DataError(f"{root / MANIFEST}: schema_version {got}, this program reads {SCHEMA_VERSION}: {way_out}")
    checks.check_manifest(root / MANIFEST, manifest)
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    opened = list(storage.each(functools.partial(_open_shard, root), shards, root))
    _raise_problems(root, [shard for shard in opened if isinstance(shard, str)])
    index = load_index(root / INDEX, _index_content(root / INDEX, manifest), manifest)
    dataset = DatasetDir(root, manifest, index, tuple(place for place, _ in opened), Fetcher(cache))
    last = [
        (number, shard.get("last_crc"), crc)
        for number, (shard, (_, crc)) in enumerate(zip(shards, opened, strict=True))
    ]
    foreign = [number for number, wanted, found in last if wanted not in (None, found) and _is_foreign(dataset, number)]
    _raise_problems(root, [f"{dataset.shards[number].name} is of another conversion" for number in foreign])
    return dataset


def _index_content(path: Place, manifest: dict[str, Any]) -> bytes:
    try:
        content = storage.read(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; restore it or convert again") from error
    if hashlib.sha256(content).hexdigest() != manifest["index"]["sha256"]:
        raise DataError(f"{path}: not the index of this manifest (its SHA-256 differs); convert again")
    return content


def _raise_problems(root: Place, problems: list[str]) -> None:
    if problems:
        raise DataError(f"{root}: {'; '.join(problems)}; restore the files or convert again")


def read_manifest(root: str | Place) -> dict[str, Any]:
    """Reads the manifest of a dataset directory.

    Raises:
      DataError: there is none, or the file is not a manifest that a conversion wrote.
    """
    root = storage.place(root)
    try:
        manifest = json.loads(storage.read(root / MANIFEST).decode())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unfinished(root) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{root / MANIFEST}: not JSON ({error}); restore it or convert again") from error
    if not isinstance(manifest, dict) or "conversion" not in manifest:
        raise DataError(f"{root / MANIFEST}: not the manifest of a conversion; name another directory")
    return manifest


def _unfinished(root: Place) -> DataError:
    """Why there is no manifest."""
    if not storage.is_dir(root):
        return DataError(f"{root}: no such directory; make one with python -m scripts.convert --output={root}")
    begun = storage.is_dir(root / ".progress")
    way_out = "run the same scripts.convert again to resume it" if begun else "name the output of scripts.convert"
    if not begun and any(".tfrecord" in name for name in storage.names(root)):
        way_out = f"shards of another program: python -m scripts.records index --data={root}"
    return DataError(f"{root}: no {MANIFEST}, so not a finished dataset; {way_out}")


def _open_shard(root: Place, shard: dict[str, Any]) -> tuple[Place, str] | str:
    """A shard, and its last four bytes, the CRC of its last record, in hexadecimal; or what is wrong with it."""
    where = root / shard["file"]
    try:
        opened, size, last = storage.opened(where, FOOTER_BYTES)
    except (FileNotFoundError, IsADirectoryError):
        return f"{where.name} is missing"
    if size == shard["bytes"]:
        return opened, last.hex()
    begin = bytearray(min(size, len(GZIP_MAGIC)))
    storage.fill(where, [begin], 0)
    if begin == GZIP_MAGIC:
        return f"{where.name} is {GZIPPED}"
    return f"{where.name} has {size} bytes, the manifest says {shard['bytes']}"


def _is_foreign(dataset: DatasetDir, number: int) -> bool:
    """Whether a shard ends in a sound record of another CRC; a damaged record is reported when it is read."""
    try:
        record_bytes(dataset, dataset.shard_records(number)[-1])
    except ValueError:
        return False
    return True


def changed_shards(dataset: DatasetDir) -> list[str]:
    """What is wrong with shards that are gone, or no longer as long as their records, in one line each."""
    index, problems = dataset.index, []
    for number in np.unique(index.shard).tolist():
        where, last = dataset.shards[number], dataset.shard_records(number)[-1]
        want = int(index.offset[last] + index.length[last]) + checks.FRAMING_BYTES
        try:
            if (size := storage.size(where)) != want:
                problems.append(f"{where}: has {size} bytes, its records end at {want}")
        except FileNotFoundError:
            problems.append(f"{where}: gone")
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
    wanted = [shard["sha256"] for split in dataset.manifest["splits"].values() for shard in split["shards"]]
    for shard, found, want in zip(
        dataset.shards, storage.each(storage.sha256, dataset.shards, dataset.root), wanted, strict=True
    ):
        same = found == want
        yield None if same else f"{shard}: its SHA-256 is not the manifest's; the file has changed since the conversion"
    yield from storage.each(functools.partial(record_problem, dataset), range(len(dataset.index)), dataset.root)


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
