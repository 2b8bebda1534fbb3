"""Reads raw frames of local files straight into the memory of their batch: a copy less than the graph makes.

Worth it for long spans in large batches alone; `scripts.benchmark read` compares the two.
"""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.loading import buffers, calls
from pipeline.loading.graph_reader import Columns, Reader
from pipeline.records import storage
from pipeline.records.directory import DatasetDir
from pipeline.records.tfrecord import HEADER_BYTES
from pipeline.schema import CROP, DataError


def reader(dataset: DatasetDir) -> Reader:
    """The function that reads the frames of a batch, as `graph_reader.reader` does, of a dataset of raw frames."""
    paths = [os.fsencode(path) for path in dataset.shards]

    def read(batch: Columns) -> tf.Tensor:
        first = batch["offset"] + HEADER_BYTES + batch["skip"]
        where = tf.gather(paths, batch["shard"]), first, batch["size"], batch["read_frames"]
        return tf.ensure_shape(calls.numpy_function(_read, list(where), tf.uint8), [None, None, CROP, CROP])

    return read


def _read(paths: np.ndarray, first: np.ndarray, size: np.ndarray, frames: np.int64) -> np.ndarray:
    """uint8 [B, frames, 112, 112]: `size` bytes of each file from byte `first` on, and zeros behind.

    Raises:
      DataError: a shard was cut since its record was checked.
      OSError: a shard cannot be read.
    """
    batch = buffers.FRAMES.take((len(paths), int(frames), CROP, CROP), np.uint8)
    rows = batch.reshape(len(paths), -1)  # [B, F, 112, 112] -> [B, F*112*112]
    for row, name, begin, count in zip(rows, paths.tolist(), first.tolist(), size.tolist(), strict=True):
        row[count:], path = 0, Path(os.fsdecode(name))
        try:
            storage.fill(path, [row[:count]], begin)
        except ValueError as error:
            raise DataError(f"{path} at byte {begin}: {error}, while it was read") from error
    return batch
