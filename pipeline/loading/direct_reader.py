"""Reads frames of records from a shard directly into their batch.

TensorFlow's reader hands out a record whole and as a string: the pixels are copied three times on their way into a
batch, and a word costs what its sentence does. Here the system puts raw frames in their place, the CRC is taken there,
and of a record once found sound only the wanted frames are read, without it.
"""

import dataclasses
import functools
import itertools
import os
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from pipeline.loading import mixture
from pipeline.records import directory, storage, tfrecord
from pipeline.records.directory import DatasetDir
from pipeline.records.tfrecord import FOOTER_BYTES, HEADER_BYTES
from pipeline.schema import CROP, FRAME_BYTES, DataError, Key

FPS_BYTES = 17  # of the key fps, the first in a record


class Reader:
    """Reads spans of a dataset's records; several threads may share one.

    Args:
      dataset: where they lie.
      cache_bytes: decoded frames are kept in memory up to so many bytes, clip by clip as they come, and are not read
        again; 12,544 bytes a frame.

    Attributes:
      dataset: as given.
    """

    def __init__(self, dataset: DatasetDir, cache_bytes: int = 0) -> None:
        self.dataset = dataset
        index = dataclasses.replace(dataset.index, id=mixture.own_ids(dataset))
        self._dataset = dataclasses.replace(dataset, index=index)  # as the records themselves say
        self._sound = np.zeros(len(index), np.int64)  # raw records: the stamp of the shard that was read whole
        self._pixels = np.zeros(len(index), np.int64)  # of those that were: where in the shard they begin
        self._room = cache_bytes
        self._kept: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()  # of the two above

    def read(self, record: int, start: int, stop: int, out: np.ndarray) -> None:
        """Puts the frames `[start, stop)` of a record into `out`, uint8 [stop - start, 112, 112], contiguous.

        The CRC of a jpeg or png record is checked each time; that of a raw one the first time, and where its shard has
        been written to since.

        Raises:
          DataError: the record is damaged or not as the index says; shard, offset and reason are named.
          OSError: the shard cannot be read, which is no damage to a record.
        """
        if record in self._kept:
            out[:] = self._kept[record][start:stop]
            return
        frames = int(self._dataset.index.frames[record])
        if frames * FRAME_BYTES > self._room:
            self._read(record, start, stop, out)
            return
        whole = np.empty([frames, CROP, CROP], np.uint8)
        self._read(record, 0, frames, whole)
        out[:] = whole[start:stop]
        with self._lock:
            if record not in self._kept and whole.nbytes <= self._room:
                self._room -= whole.nbytes
                self._kept[record] = whole

    def _read(self, record: int, start: int, stop: int, out: np.ndarray) -> None:
        raw = self._dataset.encoding.name == "raw"
        try:
            (self._read_raw if raw else self._read_images)(record, start, stop, out)
        except ValueError as error:
            problem = directory.record_problem(self._dataset, record)
            raise DataError(problem or f"{directory.location(self._dataset, record)}: {error}") from error

    def _read_raw(self, record: int, start: int, stop: int, out: np.ndarray) -> None:
        index = self._dataset.index
        with storage.opened(self._dataset.shards[index.shard[record]]) as descriptor:
            stamp = _stamp(descriptor)
            if self._sound[record] == stamp:
                storage.fill(descriptor, [out], int(self._pixels[record]) + start * FRAME_BYTES)
                return
            frames, length, offset = (int(column[record]) for column in (index.frames, index.length, index.offset))
            head = raw_head(frames)
            first = HEADER_BYTES + raw_start(length) + len(head)  # from the record's header to its pixels
            last = first + frames * FRAME_BYTES
            front, end = bytearray(first), bytearray(HEADER_BYTES + length + FOOTER_BYTES - last)
            before, after = (bytearray(n * FRAME_BYTES) for n in (start, frames - stop))
            storage.fill(descriptor, [front, before, out, after, end], offset)
        tfrecord.check_header(front[:HEADER_BYTES], length)
        tfrecord.check_crc([front[HEADER_BYTES:], before, out, after, end[:-FOOTER_BYTES]], end[-FOOTER_BYTES:])
        if not front.endswith(head):
            raise ValueError(f"key {Key.FRAMES!s}: not where this program writes it")
        self._check(record, _parsed(tf.train.Features, bytes(end[:-FOOTER_BYTES])))
        self._pixels[record] = offset + first
        self._sound[record] = stamp

    def _read_images(self, record: int, start: int, stop: int, out: np.ndarray) -> None:
        features = _parsed(tf.train.Example, directory.record_bytes(self._dataset, record)).features
        self._check(record, features)
        values = list(features.feature[str(Key.FRAMES)].bytes_list.value)
        counts = {len(values), *features.feature[str(Key.FRAME_COUNT)].int64_list.value}
        if counts != {int(self._dataset.index.frames[record])}:
            raise ValueError(f"key {Key.FRAME_COUNT!s}: not that of the index")
        out[:] = self._dataset.encoding.decode(values[start:stop])

    def _check(self, record: int, features: tf.train.Features) -> None:
        """Refuses the record of another clip."""
        for key, want in ((Key.ID, self._dataset.index.id[record]), (Key.TEXT, self._dataset.index.text[record])):
            if list(features.feature[str(key)].bytes_list.value) != [want.encode()]:
                raise ValueError(f"key {key!s}: not that of the index")


def _stamp(descriptor: int) -> int:
    """Not 0, and another one when the file has been written to or replaced."""
    status = os.fstat(descriptor)
    return hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)) or 1


@functools.cache
def raw_head(frames: int) -> bytes:
    """What a raw record holds between its key fps and its pixels: the frame count, the frames' key and length."""
    pixels = bytes(frames * FRAME_BYTES)
    count = tf.train.Feature(int64_list=tf.train.Int64List(value=[frames]))
    values = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
    features = tf.train.Features(feature={str(Key.FRAME_COUNT): count, str(Key.FRAMES): values})
    return features.SerializeToString(deterministic=True)[: -len(pixels)]


def raw_start(length: int) -> int:
    """Where `raw_head` begins in a record of this length: behind the length of what follows, a varint, and fps."""
    return 1 + next(size for size in itertools.count(1) if length - 1 - size < 1 << 7 * size) + FPS_BYTES


def _parsed(kind: type[Any], data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ValueError(f"not a tf.train.Example: {error}") from error
