"""Figures for the report of a dataset: its splits, the tracking of mouths, rejects and conversion runs."""

import csv
import dataclasses
import io
import json
from collections import Counter
from typing import Any

import numpy as np

from pipeline.conversion.progress import Rejected
from pipeline.conversion.run_log import CONVERSION
from pipeline.inspection import statistics
from pipeline.records import identity, storage
from pipeline.records.directory import REJECTED, DatasetDir
from pipeline.records.index import Index
from pipeline.records.strings import StringArray
from pipeline.schema import DataError


@dataclasses.dataclass(frozen=True)
class Split:
    """The size of a split.

    Attributes:
      words: the number of spoken words; `distinct`: of different ones.
      bytes: of the payloads of all records.
    """

    name: str
    clips: int
    speakers: int
    hours: float
    words: int
    distinct: int
    bytes: int


def splits(dataset: DatasetDir) -> list[Split]:
    """The size of every split, in the order of the manifest."""
    return [_split(dataset, number, name) for number, name in enumerate(dataset.splits)]


def _split(dataset: DatasetDir, number: int, name: str) -> Split:
    index, own = dataset.index, np.flatnonzero(dataset.index.split == number)
    said = words(index.text[own])
    return Split(
        name=name,
        clips=len(own),
        speakers=len(set(index.speaker[own]) - {""}),
        hours=float(index.frames[own].sum() / dataset.manifest["conversion"]["fps"] / 3600),
        words=len(said),
        distinct=len(set(said)),
        bytes=int(index.length[own].sum()),
    )


def words(texts: StringArray) -> list[str]:
    """Every word of every text, in order."""
    return " ".join(texts).split()


def tracked(index: Index) -> np.ndarray:
    """float64 [N], 0 to 1: the fraction of tracked frames of each clip; the others were interpolated."""
    return index.tracked / np.maximum(index.frames, 1)


def worst_tracked(index: Index, max_clips: int) -> np.ndarray:
    """int64 [n]: the rows of up to `max_clips` clips with interpolated frames, the worst first, ties sorted by id."""
    share = tracked(index)
    lossy = np.flatnonzero(share < 1).tolist()
    return np.array(sorted(lossy, key=lambda row: (share[row], index.id[row]))[:max_clips], np.int64)


def doubtful(index: Index, max_clips: int) -> np.ndarray:
    """int64 [n]: the rows of up to `max_clips` doubtful clips, the most doubtful first, ties sorted by id."""
    found = statistics.in_doubt(index).tolist()
    return np.array(sorted(found, key=lambda row: (-index.doubt[row], index.id[row]))[:max_clips], np.int64)


def rejects(dataset: DatasetDir, max_per_reason: int) -> list[Rejected]:
    """Reads up to `max_per_reason` rows of `rejected.csv` per reason, in their order; none if the file is missing.

    Raises:
      DataError: a row is not as a conversion writes it; its line is named.
    """
    path = dataset.root / REJECTED
    if not storage.exists(path):
        return []
    header = [field.name for field in dataclasses.fields(Rejected)]
    shown: Counter[str] = Counter()
    found = []
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(storage.read(path)), "utf-8", newline=""), strict=True)
    try:
        if next(rows, None) != header:
            raise ValueError("another header")
        for row in rows:
            reject = Rejected(*row)
            shown[reject.reason] += 1
            if shown[reject.reason] <= max_per_reason:
                found.append(reject)
    except (TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} line {rows.line_num}: want {','.join(header)} ({error}); restore it") from error
    return found


def runs(dataset: DatasetDir) -> list[dict[str, Any]]:
    """Reads the flattened entries of `conversion.json`, one per run of the conversion; none if the file is missing.

    Raises:
      DataError: the file is not as a conversion writes it.
    """
    path = dataset.root / CONVERSION
    if not storage.exists(path):
        return []
    try:
        found = json.loads(storage.read(path).decode())["runs"]
        return [identity.flatten(dict(run)) for run in found]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not as a conversion writes it ({error}); restore or remove it") from error
