"""Reads the frames of batches from shards in a store: many records at once, each by one request.

A shard is read as the version that was opened, so one that is replaced meanwhile is an error, never other frames.
"""

import weakref

import numpy as np
import tensorflow as tf

from pipeline.loading import buffers, calls, graph_reader
from pipeline.loading.graph_reader import Columns, Reader
from pipeline.records import directory, fetch, storage
from pipeline.records.bucket import Url
from pipeline.records.checks import FRAMING_BYTES
from pipeline.records.directory import DatasetDir
from pipeline.records.tfrecord import HEADER_BYTES
from pipeline.schema import CROP, DataError


def reader(dataset: DatasetDir) -> Reader:
    """The function that reads the frames of a batch, as `graph_reader.reader` does."""
    records, decode = _Records(dataset), graph_reader.decoder(dataset.encoding.name)
    kept = weakref.ref(records)  # TensorFlow never frees the function of a `numpy_function`

    def take(record: np.ndarray, skip: np.ndarray, size: np.ndarray) -> np.ndarray:
        if (records := kept()) is None:
            raise RuntimeError("the dataset of this stream is gone; keep it while it is read")
        return records.bytes(record, skip, size)

    def fill(record: np.ndarray, skip: np.ndarray, size: np.ndarray, frames: np.int64) -> np.ndarray:
        batch = buffers.FRAMES.take((len(record), int(frames), CROP, CROP), np.uint8)
        for row, pixels in zip(batch.reshape(len(record), -1), take(record, skip, size), strict=True):
            row[: len(pixels)] = np.frombuffer(pixels, np.uint8)
            row[len(pixels) :] = 0
        return batch

    def read(batch: Columns) -> tf.Tensor:
        where = [batch[key] for key in ("record", "skip", "size")]
        total = batch["read_frames"]
        if records.raw:
            frames = calls.numpy_function(fill, [*where, total], tf.uint8)
            return tf.ensure_shape(frames, [None, None, CROP, CROP])
        found = tf.ensure_shape(calls.numpy_function(take, where, tf.string), [None])
        rows = graph_reader.looped(lambda *row: decode(*row, total), (found, batch["start"], batch["stop"]))
        return tf.reshape(rows, [-1, total, CROP, CROP])  # [B, F*112*112] -> [B, F, 112, 112]

    return read


class _Records:
    """Parts of records, fetched in threads."""

    def __init__(self, dataset: DatasetDir) -> None:
        self.dataset, self.raw = dataset, dataset.encoding.name == "raw"

    def bytes(self, record: np.ndarray, skip: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Object [B]: `size` bytes of the payload of each record behind its first `skip`.

        Raises:
          DataError: a shard was cut since it was opened.
          OSError: a shard cannot be read.
        """
        found = np.empty(len(record), object)
        found[:] = list(fetch.POOL.map(self._part, record.tolist(), skip.tolist(), size.tolist()))
        return found

    def _part(self, record: int, skip: int, size: int) -> bytes:
        index = self.dataset.index
        shard, offset, length = self.dataset.shards[index.shard[record]], index.offset[record], index.length[record]
        if not size:  # left out
            return b""
        try:
            if isinstance(shard, Url):
                framed = int(offset), int(length) + FRAMING_BYTES
                return self.dataset.fetcher.span(shard, *framed, HEADER_BYTES + skip, size)
            part = bytearray(size)
            storage.fill(shard, [part], int(offset) + HEADER_BYTES + skip)
            return bytes(part)
        except ValueError as error:
            where = directory.location(self.dataset, record)
            raise DataError(f"{where}: {error}, while it was read") from error
