"""Describes a dataset in numbers, from its manifest and index alone."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline import vocab
from pipeline.records import table_columns
from pipeline.records.directory import DatasetDir
from pipeline.records.index import NOT_SCORED, Index
from pipeline.schema import DOUBTFUL

MAX_VALUES = 5  # of a column, shown
MAX_SHOWN = 30  # characters of each


def summary(dataset: DatasetDir) -> list[tuple[str, str]]:
    """Summarizes a dataset as rows `(name, value)`; no shard is read."""
    index, conversion = dataset.index, dataset.manifest["conversion"]
    rows = [("records", f"{len(index)} in {len(dataset.shards)} shards")]
    for number, split in enumerate(dataset.splits):
        chosen = np.flatnonzero(index.split == number)
        speakers = len(set(index.speaker[chosen].tolist()) - {""})
        named = f"{speakers} speakers" if speakers or not len(chosen) else "speakers not named"
        rows.append((f"  {split}", f"{len(chosen)} records, {named}"))
    rows.append(("frames", lengths(index.frames, conversion["fps"])))
    rows.append(("tracked", f"{index.tracked.sum() / max(index.frames.sum(), 1):.2%} of {index.frames.sum()} frames"))
    rows.append(("doubtful", _doubtful(index)))
    rows.append(
        (
            "bytes a record",
            f"{index.length.mean() if len(index) else 0:,.0f} ({conversion['encoding']['name']})",
        )
    )
    rows.append(("speakers", _most_common(name or "not named" for name in index.speaker.tolist()) or "none"))
    rows.append(("words", f"{len(index.word_text)} aligned, {len(dataset.manifest['vocabulary']['words'])} distinct"))
    rows.append(("  of them", _most_common(index.word_text.tolist()) or "none aligned"))
    rows.append(("word frames", lengths(index.word_stop - index.word_start, conversion["fps"])))
    for name, clips, values, commonest in columns(index):
        rows.append((f"column {name}", f"{clips} clips, {values} values: {commonest}"))
    rejected = dataset.manifest["rejected"]
    rows.append(("rejected", ", ".join(f"{n} {reason}" for reason, n in rejected.items()) or "none"))
    if parts := dataset.manifest.get("left_out"):
        rows.append(("left out", ", ".join(f"{n} {reason}" for reason, n in parts.items()) + ", parts of split clips"))
    return rows + _changed_clips(dataset)


def _doubtful(index: Index) -> str:
    """Counts the clips whose crops may not show the talker's lips, by cause."""
    if not (scored := np.count_nonzero(index.doubt != NOT_SCORED)):
        return "not scored"
    causes = causes_of_doubt(index)
    shown = "; ".join(f"{cause}: {clips}" for cause, clips in causes)
    of = "" if scored == len(index) else f" of the {scored} scored"
    return f"{len(in_doubt(index))} clips{of}" + (f" ({shown})" if causes else "")


def in_doubt(index: Index) -> np.ndarray:
    """int64 [n]: the rows of the clips whose crops are doubtful."""
    return np.flatnonzero(index.doubt >= 100 * DOUBTFUL)


def causes_of_doubt(index: Index) -> list[tuple[str, int]]:
    """The causes of doubtful crops with their numbers of clips, the most frequent first."""
    return counted(index.doubt_cause[in_doubt(index)].tolist())


def columns(index: Index) -> list[tuple[str, int, int, str]]:
    """Describes each column that clips keep of their table: `(name, clips, distinct values, the commonest values)`."""
    described = []
    for name in table_columns.names(index):
        column = table_columns.column(index, name)
        pairs = zip(column.values[:MAX_VALUES], column.clips[:MAX_VALUES].tolist(), strict=True)
        shown = ", ".join(f"{_shortened(value)} {clips}" for value, clips in pairs)
        more = len(column.values) - MAX_VALUES
        commonest = shown + (f", and {more} more" if more > 0 else "")
        described.append((name, int(column.clips.sum()), len(column.values), commonest))
    return described


def _shortened(value: str) -> str:
    """A value of a column, in one line."""
    value = " ".join(value.split()) or "empty"
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def _changed_clips(dataset: DatasetDir) -> list[tuple[str, str]]:
    """Counts the clips that the conversion truncated or respelled, if it was asked to; old manifests do not say."""
    index, conversion, rows = dataset.index, dataset.manifest["conversion"], []
    if conversion.get("overlong") == "truncate":
        limit = conversion["max_frames"]
        rows.append(("cut", f"at most {np.count_nonzero(index.frames == limit)} clips: those of {limit} frames"))
    if conversion.get("unknown") == "unk":
        clips = sum(vocab.UNKNOWN in text for text in index.text)
        rows.append(("spelled with", f"{vocab.UNKNOWN}, for characters outside the alphabet: {clips} clips"))
    return rows


def best_guess(truths: Sequence[str]) -> float:
    """The word accuracy, 0 to 1, of a constant answer: the most frequent word at each position.

    Args:
      truths: references, words separated by one space; at least one.
    """
    said = [truth.split() for truth in truths]
    places = itertools.zip_longest(*said)
    right = sum(Counter(word for word in place if word is not None).most_common(1)[0][1] for place in places)
    return right / sum(len(words) for words in said)


def counted(names: Iterable[str]) -> list[tuple[str, int]]:
    """Each name and its count, the most frequent first, ties sorted by name."""
    return sorted(Counter(names).items(), key=lambda entry: (-entry[1], entry[0]))


def lengths(frames: np.ndarray, fps: float) -> str:
    """Describes the range and the median of lengths in frames."""
    if not len(frames):
        return "none"
    median = int(np.median(frames))
    return f"{frames.min()} to {frames.max()}, median {median} ({median / fps:.2f} s at {fps:g} fps)"


def _most_common(names: Iterable[str], max_shown: int = 10) -> str:
    counts = counted(names)
    shown = ", ".join(f"{name} {n}" for name, n in counts[:max_shown])
    return shown + (f", and {len(counts) - max_shown} more" if len(counts) > max_shown else "")
