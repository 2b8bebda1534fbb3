"""Writes files atomically, reads them at byte offsets, locks and hashes them; the only module that touches a disk."""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.schema import DataError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, and renames it to `path` if the block ends without an error.

    Raises:
      OSError: it names `path`, which users know, in place of the temporary path.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Locks a file, which is created if missing, against other processes until the block ends.

    Raises:
      DataError: another process holds the lock; `refusal` is the message.
      OSError: the file cannot be opened.
    """
    with path.open("a") as file:  # some file systems lock only what is open for writing
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(refusal) from error
        yield


def sync(path: Path) -> None:
    """Waits until `path`, a file or directory, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)  # piece by piece
        file.write("\n")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yields the descriptor of a file opened for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fill(descriptor: int, buffers: list[bytearray | np.ndarray], offset: int) -> None:
    """Reads a file from byte `offset` on into buffers, one after the other.

    Raises:
      ValueError: the file ends before the buffers are full.
      OSError: the file cannot be read.
    """
    left = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    while left:  # one call reads at most 2 GiB
        read = os.preadv(descriptor, left, offset)
        if not read:
            raise ValueError("the record is damaged, the shard ends within it")
        offset += read
        while left and read >= len(left[0]):
            read -= len(left.pop(0))
        left[:1] = [view[read:] for view in left[:1]]
