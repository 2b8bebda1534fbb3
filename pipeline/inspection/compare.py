"""Compares two datasets: their settings, their clips, and the content of the clips of both.

Index columns and checksums are compared as whole arrays, so hundreds of thousands of clips take seconds. Records are
opened only for a sample of clips.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.records import directory, identity, storage, tfrecord
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index

COLUMNS = ("speaker", "text", "frames", "tracked", "doubt", "doubt_cause")
SPLIT, WORDS, KEPT, BYTES = "split", "words", "columns", "bytes"
LISTS = {
    WORDS: ("word_rows", ("word_text", "word_start", "word_stop")),
    KEPT: ("column_rows", ("column_name", "column_value")),
}  # of a clip: where they begin, and what they are made of
NOT_SETTINGS = ("version", "clips_sha256")  # of a conversion: clips and their places are compared one by one
CRC_BYTES = 4  # behind a record's payload
UNITS = {"pixels": "levels of 255", "tracked": "frames", "source": ""}  # compared only in opened records
Track = Callable[[list[Any]], Iterable[Any]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How dataset B differs from dataset A.

    Attributes:
      settings: (name, value in A, value in B) of each setting and reject count that differs; None for no value.
      only: int64 index rows of the clips that only A has, and of those that only B has, sorted by clip id.
      both: int64 [n, 2], the rows in A and in B of the clips that both have, sorted by clip id.
      changed: field -> int64 [m], the positions in `both` of the clips that differ in it. `bytes` compares records,
        pixels included, if both datasets have the same encoding.
    """

    settings: list[tuple[str, Any, Any]]
    only: tuple[np.ndarray, np.ndarray]
    both: np.ndarray
    changed: dict[str, np.ndarray]

    def __bool__(self) -> bool:
        return bool(self.settings or self.changed or any(map(len, self.only)))


def difference(a: DatasetDir, b: DatasetDir, track: Track = iter) -> Difference:
    """Compares two datasets as they were written; `directory.verify` finds later damage.

    Args:
      a: an opened dataset directory.
      b: another.
      track: wraps the list of shards whose checksums are read, such as a progress bar.
    """
    rows_a, rows_b = ({name: row for row, name in enumerate(dataset.index.id)} for dataset in (a, b))
    pairs = [(rows_a[name], rows_b[name]) for name in sorted(rows_a.keys() & rows_b.keys())]
    both = np.array(pairs, np.int64).reshape(-1, 2)
    differing = {SPLIT: _split_names(a, both[:, 0]) != _split_names(b, both[:, 1])}
    for name in COLUMNS:
        differing[name] = getattr(a.index, name)[both[:, 0]] != getattr(b.index, name)[both[:, 1]]
    for name, (rows, parts) in LISTS.items():
        differing[name] = _lists_differ(a.index, b.index, both, rows, parts)
    if a.encoding.name == b.encoding.name:
        differing[BYTES] = _records_differ(a, b, both, track)
    changed = {name: np.flatnonzero(flags) for name, flags in differing.items() if flags.any()}
    settings = identity.changes(_settings(a), _settings(b))
    return Difference(settings, (_lacking(rows_a, rows_b), _lacking(rows_b, rows_a)), both, changed)


def _lacking(rows: dict[str, int], others: dict[str, int]) -> np.ndarray:
    """int64 [n]: the rows of the ids that `others` lacks, sorted by id."""
    return np.array([rows[name] for name in sorted(rows.keys() - others.keys())], np.int64)


def _settings(dataset: DatasetDir) -> dict[str, Any]:
    """The conversion's settings, and beside them the number of rejected clips per reason."""
    conversion = {key: value for key, value in dataset.manifest["conversion"].items() if key not in NOT_SETTINGS}
    return {**conversion, "rejected": dataset.manifest["rejected"]}


def _split_names(dataset: DatasetDir, rows: np.ndarray) -> np.ndarray:
    return np.array(dataset.splits, str)[dataset.index.split[rows]]


def _lists_differ(a: Index, b: Index, both: np.ndarray, rows: str, parts: tuple[str, ...]) -> np.ndarray:
    """Bool [n]: whether the words of clips, or their columns of the table, differ in number or in one of `parts`."""
    rows_a, rows_b = getattr(a, rows), getattr(b, rows)
    first_a, first_b = rows_a[both[:, 0]], rows_b[both[:, 1]]
    count = rows_a[both[:, 0] + 1] - first_a
    differ = count != rows_b[both[:, 1] + 1] - first_b
    owner = np.repeat(np.flatnonzero(~differ), count[~differ])
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)  # of a word in its clip
    items_a, items_b = first_a[owner] + place, first_b[owner] + place
    for name in parts:
        differ[owner[getattr(a, name)[items_a] != getattr(b, name)[items_b]]] = True
    return differ


def _records_differ(a: DatasetDir, b: DatasetDir, both: np.ndarray, track: Track) -> np.ndarray:
    """Bool [n]: whether records differ in length or CRC-32C; equal offsets in shards of equal SHA-256 are not read."""
    rows_a, rows_b = both.T
    same_shard = _digests(a)[a.index.shard[rows_a]] == _digests(b)[b.index.shard[rows_b]]
    same_place = same_shard & (a.index.offset[rows_a] == b.index.offset[rows_b])
    differ = a.index.length[rows_a] != b.index.length[rows_b]
    unsure = np.flatnonzero(~same_place & ~differ)
    differ[unsure] = _checksums(a, rows_a[unsure], track) != _checksums(b, rows_b[unsure], track)
    return differ


def _digests(dataset: DatasetDir) -> np.ndarray:
    described = [shard for split in dataset.manifest["splits"].values() for shard in split["shards"]]
    return np.array([shard["sha256"] for shard in described], str)


def _checksums(dataset: DatasetDir, rows: np.ndarray, track: Track) -> np.ndarray:
    """Uint32 [n]: the masked CRC-32C after the payload of each record; four bytes per record are read."""
    index, found = dataset.index, np.zeros(len(rows), np.uint32)
    order = np.argsort(index.shard[rows], kind="stable")
    numbers, starts = np.unique(index.shard[rows[order]], return_index=True)
    own_rows = np.split(order, starts)[1:]  # the part before the first start is empty
    for number, own in track(list(zip(numbers, own_rows, strict=True))):
        ends = index.offset[rows[own]] + tfrecord.HEADER_BYTES + index.length[rows[own]]
        sums = storage.pick(dataset.shards[number], ends, CRC_BYTES)
        found[own] = sums.view("<u4")[:, 0]  # uint8 [n, 4] -> uint32 [n]
    return found


def change(a: DatasetDir, b: DatasetDir, what: str, row_a: int, row_b: int) -> str:
    """Describes a change of a clip: its id, and the values in A and in B."""
    name = a.index.id[row_a]
    return name if what == BYTES else f"{name}: {_describe(a, what, row_a)} -> {_describe(b, what, row_b)}"


def _describe(dataset: DatasetDir, what: str, row: int) -> str:
    if what == SPLIT:
        return dataset.splits[dataset.index.split[row]]
    if what == WORDS:
        return ", ".join(f"{word.text} {word.start}:{word.stop}" for word in dataset.index.row(row).words) or "none"
    if what == KEPT:
        return ", ".join(f"{name}={value}" for name, value in dataset.index.row(row).columns) or "none"
    return repr(getattr(dataset.index.row(row), what))


def worth_opening(a: DatasetDir, b: DatasetDir, found: Difference, max_clips: int) -> np.ndarray:
    """Int64 [m, 2]: up to `max_clips` pairs of index rows, evenly spread, of clips whose pixels may differ.

    Their frame counts are equal, and their bytes or the encodings differ.
    """
    same_encoding = a.encoding.name == b.encoding.name
    chosen = found.changed.get(BYTES, np.array([], int)) if same_encoding else np.arange(len(found.both))
    chosen = np.setdiff1d(chosen, found.changed.get("frames", []))
    return found.both[chosen[np.linspace(0, len(chosen) - 1, min(max_clips, len(chosen))).astype(int)]]


def look_into(a: DatasetDir, b: DatasetDir, rows: Iterable[tuple[int, int]]) -> Iterator[dict[str, float]]:
    """Opens the records of each pair of index rows and yields by how much they differ.

    Args:
      a: an opened dataset directory.
      b: another.
      rows: pairs of rows, in A and in B, of clips with equal frame counts.

    Yields:
      `pixels`: mean absolute difference, in levels of 255; `tracked`: frames that are tracked in one dataset only;
      `source`: 1 if the paths of the videos differ. Entries of 0 are left out.

    Raises:
      DataError: a record is damaged.
    """
    for row_a, row_b in rows:
        one, other = directory.read_record(a, row_a), directory.read_record(b, row_b)
        amounts = (
            np.abs(one.frames.astype(np.int16) - other.frames).mean(),
            (one.tracked != other.tracked).sum(),
            one.source != other.source,
        )
        yield {name: float(amount) for name, amount in zip(UNITS, amounts, strict=True) if amount}
