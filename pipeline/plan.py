"""An epoch as a plan: which examples, in which order, in which batch, on which worker. Pure NumPy.

A plan is a function of (examples, settings, epoch) alone, so the order is reproducible, any step of it can be reached
at once, and the position in the data is two integers.
"""

import dataclasses
from typing import Literal

import numpy as np

from pipeline.schema import CONTEXT, DataError
from pipeline.shards import DatasetDir

POOL_BATCHES = 32  # batches that are sorted by length together


@dataclasses.dataclass(frozen=True)
class Examples:
    """What is to be read: N spans of records, as columns.

    Attributes:
      record: int64 [N], index row.
      start, stop: int64 [N], the frames to read, `[start, stop)`.
      inside_start, inside_stop: int64 [N], the frames of the unit itself, without its margin.
      word: int64 [N], which word of the record; -1 for the whole clip.
    """

    record: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    inside_start: np.ndarray
    inside_stop: np.ndarray
    word: np.ndarray

    def __len__(self) -> int:
        return len(self.record)

    @property
    def frames(self) -> np.ndarray:
        return self.stop - self.start


def sentences(dataset: DatasetDir, split: str) -> Examples:
    """Every clip of a split, whole."""
    records = dataset.records(split)
    frames = dataset.index.frames[records]
    zero = np.zeros_like(frames)
    return Examples(records, zero, frames, zero, frames, zero - 1)


def words(dataset: DatasetDir, split: str, margin: int, edge: str) -> Examples:
    """Every aligned word of a split with `margin` frames before and after, as far as the clip reaches.

    A word with its margin that is too short for one window gets the frames around it that it lacks.

    Raises:
      DataError: no clip of the split has word times.
    """
    index, records = dataset.index, dataset.records(split)
    counts = index.word_rows[records + 1] - index.word_rows[records]
    record = np.repeat(records, counts)
    if len(records) and not len(record):
        raise DataError(
            f"{dataset.root}: no word times in split {split!r}: its words cannot be cut; use another split, "
            "whole sentences (--unit=sentence), or give the clips alignments"
        )
    word = np.concatenate([np.arange(n) for n in counts]) if len(counts) else counts
    row = index.word_rows[record] + word
    first, last, total = index.word_start[row], index.word_stop[row], index.frames[record]
    start, stop = np.maximum(first - margin, 0), np.minimum(last + margin, total)
    start, stop = _widen(start, stop, total, CONTEXT if edge == "valid" else 1)
    return Examples(record, start, stop, first, last, word)


def _widen(start: np.ndarray, stop: np.ndarray, total: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Spans of at least `least` frames: what a span lacks is taken on both sides, as far as the clip reaches."""
    lacking = np.maximum(least - (stop - start), 0)
    start = np.clip(start - (lacking + 1) // 2, 0, total - least)
    return start, np.maximum(stop, start + least)


@dataclasses.dataclass(frozen=True)
class PlanConfig:
    """How an epoch is laid out.

    Attributes:
      batch_size: examples of a global batch, over all workers.
      seed: of the permutations.
      shuffle: a new global permutation each epoch; else the order of the index.
      remainder: `drop` the examples that fill no batch, or `pad` the last batch with rows of weight 0.
      worker, workers: this reader's place among those that share each batch.
    """

    batch_size: int = 8
    seed: int = 0
    shuffle: bool = True
    remainder: Literal["drop", "pad"] = "drop"
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: want 0 or more, got {self.seed}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: want at least 1, got {self.batch_size}")
        if self.remainder not in ("drop", "pad"):
            raise ValueError(f"remainder: want drop or pad, got {self.remainder!r}")
        if self.workers < 1 or self.batch_size % self.workers:
            choices = [n for n in range(1, self.batch_size + 1) if self.batch_size % n == 0]
            raise ValueError(f"workers: {self.workers} do not divide batch_size {self.batch_size}; choose of {choices}")
        if not 0 <= self.worker < self.workers:
            raise ValueError(f"worker: want 0 to {self.workers - 1}, got {self.worker}")


def steps_per_epoch(examples: int, config: PlanConfig) -> int:
    """How many batches an epoch has."""
    full, rest = divmod(examples, config.batch_size)
    return full + (rest > 0 and config.remainder == "pad")


def batches(frames: np.ndarray, config: PlanConfig, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The batches of an epoch.

    Examples are permuted over the whole split; within each run of 32 batches they are sorted by length, so that a
    batch pads little, and the batches are then permuted again.

    Args:
      frames: int64 [N], the length of each example.
      config: the layout.
      epoch: from 0.

    Returns:
      examples: int64 [steps, batch_size / workers], rows of `Examples`.
      weights: float32 of the same shape: 0 where a row repeats an example only to fill the last batch, else 1.
    """
    steps, size = steps_per_epoch(len(frames), config), config.batch_size
    random = np.random.default_rng((config.seed, epoch))
    order = random.permutation(len(frames)) if config.shuffle else np.arange(len(frames))
    order = order[: steps * size]
    weights = np.ones(len(order), np.float32)
    missing = steps * size - len(order)
    if config.shuffle:
        pooled = np.arange(len(order)) // (POOL_BATCHES * size)
        order = order[np.lexsort((np.arange(len(order)), frames[order], pooled))]
    order = np.concatenate([order, np.repeat(order[-1:], missing)]).reshape(steps, size)
    weights = np.concatenate([weights, np.zeros(missing, np.float32)]).reshape(steps, size)
    if config.shuffle:
        turn = random.permutation(steps)
        order, weights = order[turn], weights[turn]
    mine = slice(config.worker, None, config.workers)
    return order[:, mine], weights[:, mine]
