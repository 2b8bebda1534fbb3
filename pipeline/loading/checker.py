"""Checks records before the graph reads them: the first time in this process, and where their shard has changed."""

import dataclasses
import functools
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.loading import mixture
from pipeline.records import directory, storage, tfrecord
from pipeline.records.directory import DatasetDir
from pipeline.records.example import parse
from pipeline.records.tfrecord import FOOTER_BYTES, HEADER_BYTES
from pipeline.schema import FRAME_BYTES, DataError, Key

THREADS = len(os.sched_getaffinity(0))


class Checker:
    """Checks the CRC of records, that they are those of the index, and that their frames lie where it says.

    Reading at byte offsets takes no CRC. So each record is read whole once, in threads, before the graph reads a span
    of it from the memory of the operating system.
    """

    def __init__(self, dataset: DatasetDir) -> None:
        index = dataclasses.replace(dataset.index, id=mixture.own_ids(dataset))
        self._dataset = dataclasses.replace(dataset, index=index)  # as the records themselves say
        self._sound = np.zeros(len(index), np.int64)  # the stamp of the shard when the record was found sound
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="check")
        self._memory = threading.local()  # of each thread: the bytes of the record that it checks

    def problems(self, records: np.ndarray) -> dict[int, str]:
        """The damaged ones of some records, int64 of any shape, and what is wrong with each.

        Raises:
          OSError: a shard cannot be read, which is no damage to a record.
        """
        index, records = self._dataset.index, np.unique(records)
        shard = index.shard[records]
        stamps = {number: _stamp(self._dataset.shards[number]) for number in np.unique(shard).tolist()}
        due = [
            (record, stamps[number])
            for record, number in zip(records.tolist(), shard.tolist(), strict=True)
            if self._sound[record] != stamps[number]
        ]
        found = self._threads.map(self._problem, *zip(*due, strict=True)) if due else ()
        return {record: problem for (record, _), problem in zip(due, found, strict=True) if problem}

    def _problem(self, record: int, stamp: int) -> str | None:
        try:
            sound = self._is_as_usual(record)
        except (ValueError, DataError):
            sound = False
        problem = None if sound else directory.record_problem(self._dataset, record)
        if problem is None:
            self._sound[record] = stamp
        return problem

    def _is_as_usual(self, record: int) -> bool:
        """Whether a record is sound and laid out as usual; one that is not may still be sound.

        Raises:
          ValueError: it is damaged.
        """
        index = self._dataset.index
        pixels, frames, length = (int(column[record]) for column in (index.pixels, index.frames, index.length))
        payload = self._payload(record, length)
        if self._dataset.encoding.name != "raw":
            features = parse(bytes(payload)).features.feature
            strings = [*features[str(Key.ID)].bytes_list.value, *features[str(Key.TEXT)].bytes_list.value]
            same = strings == [index.id[record].encode(), index.text[record].encode()]
            images = list(features[str(Key.FRAMES)].bytes_list.value)
            counts = [self._dataset.encoding.count(images), *features[str(Key.FRAME_COUNT)].int64_list.value]
            return same and counts == [frames, frames]
        before, after = bytes(payload[:pixels]), bytes(payload[pixels + frames * FRAME_BYTES :])
        entries = (
            _entry(Key.ID, bytes_list=tf.train.BytesList(value=[index.id[record].encode()])),
            _entry(Key.TEXT, bytes_list=tf.train.BytesList(value=[index.text[record].encode()])),
            _entry(Key.FRAME_COUNT, int64_list=tf.train.Int64List(value=[frames])),
        )
        return before.endswith(_frames_head(frames)) and all(entry in before + after for entry in entries)

    def _payload(self, record: int, length: int) -> memoryview:
        """The payload of a record, whose header and CRC are right, in memory that the thread's next record takes."""
        memory = getattr(self._memory, "bytes", b"")
        if len(memory) < length:
            memory = self._memory.bytes = bytearray(length)
        payload, header, footer = memoryview(memory)[:length], bytearray(HEADER_BYTES), bytearray(FOOTER_BYTES)
        index = self._dataset.index
        with storage.opened(self._dataset.shards[index.shard[record]]) as descriptor:
            storage.fill(descriptor, [header, payload, footer], int(index.offset[record]))
        tfrecord.check_header(header, length)
        tfrecord.check_crc([payload], footer)
        return payload


_CHECKERS: "weakref.WeakKeyDictionary[DatasetDir, Checker]" = weakref.WeakKeyDictionary()


def of(dataset: DatasetDir) -> Checker:
    """The checker of a dataset, the same for all its streams, so that each record is checked once."""
    if dataset not in _CHECKERS:
        _CHECKERS[dataset] = Checker(dataset)
    return _CHECKERS[dataset]


def _stamp(shard: Path) -> int:
    """Not 0, and another one when the file has been written to or replaced."""
    status = shard.stat()
    return hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)) or 1


def _entry(key: Key, **values: Any) -> bytes:
    """How protobuf writes a key and its values in a record."""
    return tf.train.Features(feature={str(key): tf.train.Feature(**values)}).SerializeToString()


@functools.lru_cache(maxsize=1024)
def _frames_head(frames: int) -> bytes:
    """How protobuf writes what precedes the pixels of a raw record: key and lengths."""
    pixels = bytes(frames * FRAME_BYTES)
    return _entry(Key.FRAMES, bytes_list=tf.train.BytesList(value=[pixels]))[: -len(pixels)]
