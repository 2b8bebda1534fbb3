"""Reads a planned batch as arrays: spans of records, padded with zeros, and their labels. NumPy."""

import logging
import re
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.loading import augment, windows
from pipeline.loading.buffers import Buffers
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig, Examples, encode_labels
from pipeline.records.directory import DatasetDir
from pipeline.schema import CROP, BatchKey, DataError

ON_BAD_RECORD = ("raise", "skip")
KEYS = {  # what `Batcher` returns, in this order
    BatchKey.FRAMES: tf.uint8,
    BatchKey.LENGTHS: tf.int32,
    BatchKey.IN_WORD: tf.uint8,
    BatchKey.LABELS: tf.int32,
    BatchKey.LABEL_LENGTHS: tf.int32,
    BatchKey.WEIGHTS: tf.float32,
    BatchKey.IDS: tf.string,
}


class Batcher:
    """Reads batches of examples.

    Args:
      dataset: where the records lie.
      examples: what can be read of them.
      config: as the examples were selected with.
      reader: of the dataset.
      on_bad_record: `raise` at a damaged record, or `skip` it: its row keeps its place, id and lengths, with frames and
        weight 0; the other rows stay the same. If no record of a batch is sound, all its weights are 0.
      skipped: receives the error of each skipped record once.

    Raises:
      ValueError: there is no such `on_bad_record`, or the reader is of another dataset.
    """

    def __init__(
        self,
        dataset: DatasetDir,
        examples: Examples,
        config: DataConfig,
        reader: Reader,
        on_bad_record: str,
        skipped: set[str] | None,
    ) -> None:
        if on_bad_record not in ON_BAD_RECORD:
            raise ValueError(f"on_bad_record: want {' or '.join(ON_BAD_RECORD)}, got {on_bad_record!r}")
        if reader.dataset is not dataset:
            raise ValueError("reader: is of another dataset")
        self._examples, self._config, self._reader = examples, config, reader
        self._skips, self._skipped = on_bad_record == "skip", set() if skipped is None else skipped
        self._ids = dataset.index.id
        self._frames = examples.frames
        self._buffers = Buffers()
        self._lock = threading.Lock()  # of `skipped`
        self._symbols, self._begins = encode_labels(dataset, examples, config.vocabulary)

    def __call__(
        self, rows: np.ndarray, weights: np.ndarray, counts: np.ndarray, max_windows: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """The arrays of `KEYS`.

        Args:
          rows: int64 [B], of the examples; -1 where a budget leaves the place empty, which is then left out.
          weights: float32 [B].
          counts: int64 [B], the frames that each is played in.
          max_windows: int64 [], the windows that all are filled up to.

        Raises:
          DataError: a record is damaged, and that is not to be skipped.
          OSError: a shard cannot be read.
        """
        there = rows >= 0
        rows, weights, counts = rows[there], weights[there], counts[there]
        border = windows.frame_count(0, self._config.padding)
        frames = self._buffers.take((len(rows), int(max_windows) + border, CROP, CROP))
        lengths = windows.count(counts, self._config.padding).astype(np.int32)
        shown = augment.resample(self._frames[rows], counts, frames.shape[1])
        for place, (row, count) in enumerate(zip(rows.tolist(), counts.tolist(), strict=True)):
            weights[place] *= self._fill(row, shown[place, :count], frames[place])
        in_word = self._in_word(rows, shown[:, border // 2 :][:, : int(max_windows)], lengths)
        symbols = [self._symbols[self._begins[row] : self._begins[row + 1]] for row in rows.tolist()]
        label_lengths = np.array([len(one) for one in symbols], np.int32)
        return frames, lengths, in_word, _padded(symbols), label_lengths, weights, self._names(rows)

    def _in_word(self, rows: np.ndarray, middle: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """uint8 [B, S]: whether the middle frame of a window, int64 [B, S] in the frames read, is the unit's own."""
        start, own_start, own_stop = (
            column[rows, np.newaxis]
            for column in (self._examples.start, self._examples.unit_start, self._examples.unit_stop)
        )
        frame, valid = start + middle, np.arange(middle.shape[1]) < lengths[:, np.newaxis]
        return ((own_start <= frame) & (frame < own_stop) & valid).view(np.uint8)

    def _fill(self, row: int, shown: np.ndarray, out: np.ndarray) -> bool:
        """Puts a row's frames, as they are shown, at the beginning of `out`, zeros behind; whether they are sound."""
        examples = self._examples
        record, start, stop = (int(column[row]) for column in (examples.record, examples.start, examples.stop))
        out[len(shown) :] = 0
        as_read = len(shown) == stop - start
        frames = out[: len(shown)] if as_read else np.empty([stop - start, CROP, CROP], np.uint8)
        try:
            self._reader.read(record, start, stop, frames)
        except DataError as error:
            if not self._skips:
                raise
            self._note(str(error))
            out[:] = 0
            return False
        if not as_read:
            np.take(frames, shown, axis=0, out=out[: len(shown)], mode="clip")  # others copy twice
        return True

    def _note(self, problem: str) -> None:
        with self._lock:
            new = problem not in self._skipped
            self._skipped.add(problem)
        if new:
            logging.warning("skipped: %s", problem)

    def _names(self, rows: np.ndarray) -> np.ndarray:
        """Clip ids; of words with their number, `clip#word`."""
        clips = self._ids[self._examples.record[rows]].tolist()
        if self._config.unit == "word":
            clips = [f"{clip}#{word}" for clip, word in zip(clips, self._examples.word[rows].tolist(), strict=True)]
        return np.array([clip.encode() for clip in clips], object)


def _padded(labels: Sequence[np.ndarray]) -> np.ndarray:
    """int32 [B, L], zeros behind each."""
    padded = np.zeros((len(labels), max(map(len, labels), default=0)), np.int32)
    for row, label in zip(padded, labels, strict=True):
        row[: len(label)] = label
    return padded


def problem(error: tf.errors.OpError) -> str | None:
    """The message of the `DataError` that caused a dataset's error; None if another error did."""
    found = re.search(r"DataError: (.*)", error.message)
    return found and found[1]
