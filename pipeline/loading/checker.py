"""Checks records before the graph reads them: the first time in this process, and where their shard has changed."""

import dataclasses
import functools
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from pipeline.loading import graph_reader, mixture
from pipeline.records import directory, fetch, storage, tfrecord
from pipeline.records.bucket import Url
from pipeline.records.directory import DatasetDir
from pipeline.records.example import parse
from pipeline.records.storage import Place
from pipeline.records.tfrecord import FOOTER_BYTES, HEADER_BYTES
from pipeline.schema import FRAME_BYTES, DataError, Key

THREADS = len(os.sched_getaffinity(0))


class Checker:
    """Checks the CRC of records, that they are those of the index, and that their frames lie where it says.

    Reading at byte offsets takes no CRC. So each record is read whole once, in threads, before a span of it is read
    from the memory of the operating system or, of a shard in a store, from that of `DatasetDir.fetcher`.
    """

    def __init__(self, dataset: DatasetDir) -> None:
        index = dataclasses.replace(dataset.index, id=mixture.own_ids(dataset))
        self._dataset = dataclasses.replace(dataset, index=index)  # as the records themselves say
        self._sound = np.zeros(len(index), np.int64)  # the stamp of the shard when the record was found sound
        own = functools.partial(ThreadPoolExecutor, THREADS, thread_name_prefix="check")
        self._threads = fetch.POOL if dataset.is_remote else own()
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
        problem = None
        try:
            if not self._is_as_usual(record):
                problem = directory.record_problem(self._dataset, record)
        except (ValueError, DataError) as error:
            found = directory.record_problem(self._dataset, record)
            problem = found or f"{directory.location(self._dataset, record)}: {error}"
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
            record_bytes = bytes(payload)
            features = parse(record_bytes).features.feature
            images = list(features[str(Key.FRAMES)].bytes_list.value)
            if images != _parsed_by_tensorflow(record_bytes):
                raise ValueError("its images are others to TensorFlow than to protobuf")
            return self._dataset.encoding.count(images) == frames and self._is_of_the_index(record, features)
        head = _frames_head(frames)
        before, after = bytes(payload[:pixels]), bytes(payload[pixels + frames * FRAME_BYTES :])
        start = _features_start(before, length)
        if start is None or not before.endswith(head):
            return False
        features = _parsed(before[start : -len(head)] + after).feature  # all but the frames
        return str(Key.FRAMES) not in features and self._is_of_the_index(record, features)

    def _is_of_the_index(self, record: int, features: Any) -> bool:
        index = self._dataset.index
        strings = [*features[str(Key.ID)].bytes_list.value, *features[str(Key.TEXT)].bytes_list.value]
        same = strings == [index.id[record].encode(), index.text[record].encode()]
        return same and list(features[str(Key.FRAME_COUNT)].int64_list.value) == [index.frames[record]]

    def _payload(self, record: int, length: int) -> memoryview:
        """The payload of a record, whose header and CRC are right, in memory that the thread's next record takes."""
        index = self._dataset.index
        shard, offset = self._dataset.shards[index.shard[record]], int(index.offset[record])
        if isinstance(shard, Url):
            return self._fetched_payload(shard, offset, length)
        memory = getattr(self._memory, "bytes", b"")
        if len(memory) < length:
            memory = self._memory.bytes = bytearray(length)
        payload, header, footer = memoryview(memory)[:length], bytearray(HEADER_BYTES), bytearray(FOOTER_BYTES)
        storage.fill(shard, [header, payload, footer], offset)
        tfrecord.check_header(header, length)
        tfrecord.check_crc([payload], footer)
        return payload

    def _fetched_payload(self, shard: Url, offset: int, length: int) -> memoryview:
        """The same from a store."""
        framed = offset, length + HEADER_BYTES + FOOTER_BYTES
        record = self._dataset.fetcher.checked(shard, *framed, lambda record: tfrecord.check(record, length))
        return memoryview(record)[HEADER_BYTES:-FOOTER_BYTES]


_CHECKERS: "weakref.WeakKeyDictionary[DatasetDir, Checker]" = weakref.WeakKeyDictionary()


def of(dataset: DatasetDir) -> Checker:
    """The checker of a dataset, the same for all its streams, so that each record is checked once."""
    if dataset not in _CHECKERS:
        _CHECKERS[dataset] = Checker(dataset)
    return _CHECKERS[dataset]


def _stamp(shard: Place) -> int:
    """Not 0, and another one when the file has been written to or replaced; an object is opened as one version."""
    if isinstance(shard, Url):
        return hash(shard.version) or 1
    status = shard.stat()
    return hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)) or 1


def _parsed_by_tensorflow(record: bytes) -> list[bytes] | None:
    """The images of a record as the graph will parse them; None if it refuses."""
    try:
        return graph_reader.parse_images(record).numpy().tolist()
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError):  # the message quotes the bytes
        return None


def _features_start(record: bytes, length: int) -> int | None:
    """Where the features of a serialized Example of this length begin, if nothing else stands before or behind them."""
    for start in range(2, 12):  # a tag, and a varint of one to ten bytes
        if record[start - 1 : start] < b"\x80":
            varint = sum((byte & 127) << 7 * place for place, byte in enumerate(record[1:start]))
            return start if record.startswith(b"\n") and start + varint == length else None
    return None


def _parsed(features: bytes) -> tf.train.Features:
    try:
        return tf.train.Features.FromString(features)
    except DecodeError as error:
        raise ValueError(str(error)) from error


@functools.lru_cache(maxsize=1024)
def _frames_head(frames: int) -> bytes:
    """How protobuf writes what precedes the pixels of a raw record: key and lengths."""
    pixels = bytes(frames * FRAME_BYTES)
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
    return tf.train.Features(feature={str(Key.FRAMES): value}).SerializeToString()[: -len(pixels)]
