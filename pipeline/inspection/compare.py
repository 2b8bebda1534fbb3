"""What differs between two datasets: settings, which clips they hold, and what of a clip.

Index columns and checksums are compared as whole arrays, so that hundreds of thousands of clips take seconds; records
are opened only for the few clips that are looked into.
"""

import dataclasses
import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.records import directory, identity, tfrecord
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index

COLUMNS = ("speaker", "text", "frames", "tracked")
SPLIT, WORDS, BYTES = "split", "words", "bytes"
NOT_SETTINGS = ("version", "clips_sha256")  # of a conversion: clips and their places are compared one by one
CRC_BYTES = 4  # behind a record's payload
UNITS = {"pixels": "levels of 255", "tracked": "frames", "source": ""}  # what records alone tell
Track = Callable[[list[Any]], Iterable[Any]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How dataset B differs from dataset A.

    Attributes:
      settings: key, value in A, value in B, of every setting and number of rejects that differs; None where it lacks.
      only: int64 index rows, sorted by clip id: the clips that only A has, and those that only B has.
      both: int64 [n, 2], sorted by clip id: the rows in A and in B of the clips that both have.
      changed: what differs -> int64 [m], the places in `both` of the clips that differ in it. `bytes` are the
        record's: the pixels, too, and fields that the index lacks; not looked at where one is raw, say, and one jpeg.
    """

    settings: list[tuple[str, Any, Any]]
    only: tuple[np.ndarray, np.ndarray]
    both: np.ndarray
    changed: dict[str, np.ndarray]

    def __bool__(self) -> bool:
        return bool(self.settings or self.changed or any(map(len, self.only)))


def difference(a: DatasetDir, b: DatasetDir, track: Track = iter) -> Difference:
    """Compares two datasets as they were written; damage since then is what `shards.verify` finds.

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
    differing[WORDS] = _words_differ(a.index, b.index, both)
    if a.encoding.name == b.encoding.name:
        differing[BYTES] = _records_differ(a, b, both, track)
    changed = {name: np.flatnonzero(flags) for name, flags in differing.items() if flags.any()}
    settings = identity.changes(_settings(a), _settings(b))
    return Difference(settings, (_lacking(rows_a, rows_b), _lacking(rows_b, rows_a)), both, changed)


def _lacking(rows: dict[str, int], others: dict[str, int]) -> np.ndarray:
    """int64: the rows of the ids that others lack, sorted by id."""
    return np.array([rows[name] for name in sorted(rows.keys() - others.keys())], np.int64)


def _settings(dataset: DatasetDir) -> dict[str, Any]:
    """The conversion's settings, and beside them the number of rejected clips per reason."""
    conversion = {key: value for key, value in dataset.manifest["conversion"].items() if key not in NOT_SETTINGS}
    return {**conversion, "rejected": dataset.manifest["rejected"]}


def _split_names(dataset: DatasetDir, rows: np.ndarray) -> np.ndarray:
    return np.array(dataset.splits, str)[dataset.index.split[rows]]


def _words_differ(a: Index, b: Index, both: np.ndarray) -> np.ndarray:
    """Bool [n]: whether the aligned words differ in number, text or frames."""
    first_a, first_b = a.word_rows[both[:, 0]], b.word_rows[both[:, 1]]
    count = a.word_rows[both[:, 0] + 1] - first_a
    differ = count != b.word_rows[both[:, 1] + 1] - first_b
    owner = np.repeat(np.flatnonzero(~differ), count[~differ])
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)  # of a word in its clip
    words_a, words_b = first_a[owner] + place, first_b[owner] + place
    for name in ("word_text", "word_start", "word_stop"):
        differ[owner[getattr(a, name)[words_a] != getattr(b, name)[words_b]]] = True
    return differ


def _records_differ(a: DatasetDir, b: DatasetDir, both: np.ndarray, track: Track) -> np.ndarray:
    """Bool [n]: by length and CRC-32C; clips at the same place of shards of one SHA-256 are the same, unread."""
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
    """Uint32 [n]: the masked CRC-32C that a TFRecord keeps behind its payload; four bytes a record are read."""
    index, found = dataset.index, np.zeros(len(rows), np.uint32)
    order = np.argsort(index.shard[rows], kind="stable")
    numbers, starts = np.unique(index.shard[rows[order]], return_index=True)
    own_rows = np.split(order, starts)[1:]  # what stands before the first start is empty
    for number, own in track(list(zip(numbers, own_rows, strict=True))):
        ends = index.offset[rows[own]] + tfrecord.HEADER_BYTES + index.length[rows[own]]
        with dataset.shards[number].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            content.madvise(mmap.MADV_RANDOM)  # otherwise much is read ahead for nothing
            sums = np.frombuffer(content, np.uint8)[ends[:, None] + np.arange(CRC_BYTES)]
            found[own] = sums.view("<u4")[:, 0]  # uint8 [n, 4] -> uint32 [n]
    return found


def change(a: DatasetDir, b: DatasetDir, what: str, row_a: int, row_b: int) -> str:
    """A clip's id and what it has in A and in B, in words."""
    name = a.index.id[row_a]
    return name if what == BYTES else f"{name}: {_told(a, what, row_a)} -> {_told(b, what, row_b)}"


def _told(dataset: DatasetDir, what: str, row: int) -> str:
    if what == SPLIT:
        return dataset.splits[dataset.index.split[row]]
    if what == WORDS:
        return ", ".join(f"{word.text} {word.start}:{word.stop}" for word in dataset.index.row(row).words) or "none"
    return repr(getattr(dataset.index.row(row), what))


def worth_opening(a: DatasetDir, b: DatasetDir, found: Difference, most: int) -> np.ndarray:
    """Int64 [m, 2]: up to `most` pairs of index rows, evenly spread, of clips whose pixels may differ.

    They have as many frames in A as in B, and either other bytes or another encoding.
    """
    same_encoding = a.encoding.name == b.encoding.name
    chosen = found.changed.get(BYTES, np.array([], int)) if same_encoding else np.arange(len(found.both))
    chosen = np.setdiff1d(chosen, found.changed.get("frames", []))
    return found.both[chosen[np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(int)]]


def look_into(a: DatasetDir, b: DatasetDir, rows: Iterable[tuple[int, int]]) -> Iterator[dict[str, float]]:
    """What differs in the records of each pair of index rows, and by how much.

    Args:
      a: an opened dataset directory.
      b: another.
      rows: pairs of rows, in A and in B, of clips with equally many frames.

    Yields:
      `pixels`: mean absolute difference, in levels of 255; `tracked`: frames that are tracked in one alone;
      `source`: 1 where the videos' paths differ; each only where it is not 0.

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
