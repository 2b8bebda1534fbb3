"""Files: written under a temporary name and renamed when whole, read at byte offsets, hashed.

The only module that knows how a file gets its bytes onto a disk.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block ends well and the bytes are on disk.

    Raises:
      OSError: of `path`, which users know, where the temporary one is the matter.
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
def locked(path: Path) -> Iterator[None]:
    """Holds a file, made where it is missing, against other processes until the block ends.

    Raises:
      BlockingIOError: another process holds it.
    """
    with path.open("a") as file:  # some file systems lock only what is open for writing
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def sync(path: Path) -> None:
    """Waits until `path`, a file or a directory, is on disk."""
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
    """The descriptor of a file opened for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fill(descriptor: int, buffers: list[bytearray | np.ndarray], offset: int) -> None:
    """Reads a file from `offset` on into buffers, one after the other.

    Raises:
      ValueError: the file ends before they are full.
      OSError: it cannot be read.
    """
    left = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    while left:  # a bad sector, or 2 GiB, ends a call before its time
        read = os.preadv(descriptor, left, offset)
        if not read:
            raise ValueError("the record is damaged, it is cut")
        offset += read
        while left and read >= len(left[0]):
            read -= len(left.pop(0))
        left[:1] = [view[read:] for view in left[:1]]
