"""Keeps records of shards in a store on a local disk, so that each is fetched once: bounded, shared between processes.

A record is a file of its own, with its TFRecord framing, so whoever reads it can check it. What does not fit is not
kept: an epoch reads every record once, so records that made room for each other would all be gone when the next begins.
Records that no run has used since this one began make room first.
"""

import contextlib
import dataclasses
import hashlib
import logging
import os
import threading
import time
from pathlib import Path

from pipeline.records import storage
from pipeline.records.bucket import Url
from pipeline.schema import DataError

SHARE = 16  # of the limit may be written before the directory is measured again, since others write there too


@dataclasses.dataclass(frozen=True)
class Key:
    """A record: its shard, as the version that was opened, and its offset and bytes there."""

    shard: Url
    offset: int
    length: int

    @property
    def name(self) -> str:
        text = f"{self.shard.text} {self.shard.version} {self.offset} {self.length}"
        return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """Records in files below a directory.

    Args:
      directory: made if missing; may be that of other runs and datasets.
      limit: bytes of all files in it together, about.

    Raises:
      DataError: the directory cannot be made or written to.
    """

    def __init__(self, directory: str | Path, limit: int) -> None:
        directory = storage.local(directory)
        self._directory, self._limit, self._began = directory, limit, time.time()
        self._broken = False
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._measure()
        except OSError as error:
            raise DataError(f"{directory}: cannot be used ({error.strerror}); name another --cache_dir") from error
        if not os.access(directory, os.W_OK):
            raise DataError(f"{directory}: is not writable; name another --cache_dir")

    def read(self, key: Key, begin: int, count: int) -> bytes | None:
        """Bytes `[begin, begin + count)` of a record; None if it is not kept."""
        try:
            with self._path(key).open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size != key.length:
                    return None
                if status.st_mtime < self._began:
                    with contextlib.suppress(PermissionError):  # it is another user's
                        os.utime(file.fileno())  # used
                file.seek(begin)
                return file.read(count)
        except OSError:
            return None

    def keep(self, key: Key, record: bytes) -> None:
        """Keeps a record if there is room for it; a disk that is full keeps nothing, which is logged once."""
        if self._broken or not self._reserve(len(record)):
            return
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            temporary.write_bytes(record)
            temporary.replace(path)
        except OSError as error:
            self._broken = True
            logging.warning("%s: keeps no more records in this run (%s)", self._directory, error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def forget(self, key: Key) -> None:
        """Removes a record, which is damaged."""
        with contextlib.suppress(OSError), self._lock:
            self._path(key).unlink()
            self._used -= key.length

    def _path(self, key: Key) -> Path:
        return self._directory / key.name[:2] / key.name

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if self._used + size > self._limit or self._added > self._limit // SHARE:
                self._make_room(size)
            if self._used + size > self._limit:
                return False
            self._used += size
            self._added += size
            return True

    def _make_room(self, size: int) -> None:
        """Removes what was not used since this process began, the oldest first; measures only where that can help."""
        if self._full:
            return
        unused = self._measure()
        while self._used + size > self._limit and unused:
            _, length, path = unused.pop()
            with contextlib.suppress(OSError):
                Path(path).unlink()
                self._used -= length
        self._full = self._used + size > self._limit

    def _measure(self) -> list[tuple[float, int, str]]:
        """Adds up the files; returns time, size and path of those not used since this process began, newest first."""
        self._used, self._added, self._full = 0, 0, False
        unused = []
        for folder in os.scandir(self._directory):
            if not folder.is_dir() or len(folder.name) != 2:
                continue  # not ours
            for entry in os.scandir(folder):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    self._used += status.st_size
                    if status.st_mtime < self._began:
                        unused.append((status.st_mtime, status.st_size, entry.path))
        return sorted(unused, reverse=True)
