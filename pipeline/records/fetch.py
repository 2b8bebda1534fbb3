"""Fetches records of shards in a store: whole ones, to check them, and spans of those that were checked."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from pipeline.records import bucket, storage
from pipeline.records.bucket import Url
from pipeline.records.cache import Cache, Key

MEMORY = 256_000_000  # bytes of records that were checked and wait to be read
POOL = ThreadPoolExecutor(storage.REQUESTS, thread_name_prefix="fetch")  # of all datasets of this process


class Fetcher:
    """Takes a record from memory, from the cache directory, or from the store by one request.

    A record that was fetched whole waits in memory for its first span, so that it does not travel twice.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache
        self._waiting: OrderedDict[Key, bytes] = OrderedDict()
        self._size, self._lock = 0, threading.Lock()

    def whole(self, shard: Url, offset: int, length: int, anew: bool = False) -> bytes:
        """The `length` bytes of a framed record at `offset`; `anew` if those that are kept turned out to be damaged.

        Raises:
          ValueError: the shard ends within the record.
          OSError: the shard cannot be read.
        """
        key = Key(shard, offset, length)
        if self._cache and anew:
            self._cache.forget(key)
        record = self._cache.read(key, 0, length) if self._cache and not anew else None
        if record is None:
            record = self._fetch(shard, offset, length)
            if self._cache:
                self._cache.keep(key, record)
        with self._lock:
            self._size += length - len(self._waiting.pop(key, b""))
            self._waiting[key] = record
            while self._size > MEMORY:
                self._size -= len(self._waiting.popitem(last=False)[1])
        return record

    def span(self, shard: Url, offset: int, length: int, begin: int, count: int) -> bytes:
        """Bytes `[begin, begin + count)` of the framed record of `length` bytes at `offset`; errors as of `whole`."""
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
        found = bucket.get(shard, offset, length)[0]
        if len(found) < length:
            raise ValueError(storage.CUT)
        return found
