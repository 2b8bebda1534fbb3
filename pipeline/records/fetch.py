"""Fetches records of shards in a store: whole ones, to check them, and spans of those that were checked."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pipeline.records import bucket, storage
from pipeline.records.bucket import Url
from pipeline.records.cache import Cache, Key

MEMORY = 256_000_000  # bytes of records that were checked and wait to be read
POOL = ThreadPoolExecutor(storage.REQUESTS, thread_name_prefix="fetch")  # of all datasets of this process


class Fetcher:
    """Takes a record from memory, from the cache directory, or from the store by one request.

    A record that was checked waits in memory for its first span, as far as there is room.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache
        self._waiting: dict[Key, bytes] = {}
        self._size, self._lock = 0, threading.Lock()

    def checked(self, shard: Url, offset: int, length: int, check: Callable[[bytes], None]) -> bytes:
        """The `length` bytes of a framed record at `offset`. One that is kept, but does not pass, is fetched anew.

        Raises:
          ValueError: the record does not pass `check`, which raises it, or the shard ends within it.
          OSError: the shard cannot be read.
        """
        key = Key(shard, offset, length)
        record = self._kept(key, check)
        if record is None:
            record = self._fetch(shard, offset, length)
            check(record)
            if self._cache:
                self._cache.keep(key, record)
        with self._lock:
            if key not in self._waiting and self._size + length <= MEMORY:
                self._waiting[key] = record
                self._size += length
        return record

    def _kept(self, key: Key, check: Callable[[bytes], None]) -> bytes | None:
        record = self._cache.read(key, 0, key.length) if self._cache else None
        if record is None:
            return None
        try:
            check(record)
        except ValueError:
            self._cache.forget(key)
            return None
        return record

    def span(self, shard: Url, offset: int, length: int, begin: int, count: int) -> bytes:
        """Bytes `[begin, begin + count)` of the framed record of `length` bytes at `offset`, which was checked.

        Raises:
          ValueError: the shard ends within the record.
          OSError: the shard cannot be read.
        """
        key = Key(shard, offset, length)
        with self._lock:
            record = self._waiting.pop(key, None)
            self._size -= len(record or b"")
        if record is not None:
            return record[begin : begin + count]
        found = self._cache.read(key, begin, count) if self._cache else None
        return found if found is not None else self._fetch(shard, offset + begin, count)

    @staticmethod
    def _fetch(shard: Url, offset: int, length: int) -> bytes:
        found = bucket.read_range(shard, offset, length)
        if len(found) < length:
            raise ValueError(bucket.CUT)
        return found
