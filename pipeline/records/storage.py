"""Files on local disks and objects in stores, behind one interface; the only module that touches either.

A place is a `Path`, or a `bucket.Url` such as `s3://bucket/data/grid`. What is written gets its name only when it is
whole. Objects are never renamed or appended to: they are made in a local file and put whole.
"""

import collections
import contextlib
import hashlib
import json
import mmap
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.records import bucket
from pipeline.records.bucket import Url
from pipeline.schema import DataError, StorageError

Place = Path | Url
REQUESTS = 32  # at once
Item = TypeVar("Item")
Result = TypeVar("Result")


def place(name: str | Place) -> Place:
    """The place of a path or URL as a user writes it, `~/` for the home directory; a place itself as it is.

    Raises:
      DataError: a URL of another scheme than `bucket.SCHEMES`, or without a bucket; `~/` where no home is known.
    """
    if not isinstance(name, str):
        return name
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", name, re.DOTALL)
    if match is None:
        return _expanded(name)
    want = f"want a path, or {', '.join(f'{scheme}://BUCKET/…' for scheme in bucket.SCHEMES)}"
    if match[1] not in bucket.SCHEMES or not match[2] or match[2].startswith("/"):
        raise DataError(f"{name}: {want}")
    return Url(f"{match[1]}://{match[2].rstrip('/')}")


def local(name: str | Path) -> Path:
    """The place of a path on this machine, `~/` in a string for the home directory.

    Raises:
      DataError: it is a URL; or as `place`.
    """
    if isinstance(name, Path):
        return name
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name):
        raise DataError(f"{name}: only datasets and corpora may lie in a store; want a path on this machine")
    return _expanded(name)


def _expanded(name: str) -> Path:
    """`~` and `~/a` alone: `~a` is the name of a file, as editors make them."""
    if name != "~" and not name.startswith("~/"):
        return Path(name)
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise DataError(f"{name}: no home directory is known for ~; write the path in full") from error


def same(where: Place, other: Place) -> bool:
    """Whether two places are one, links resolved."""
    return _resolved(where) == _resolved(other)


def _resolved(where: Place) -> str:
    return str(where) if isinstance(where, Url) else os.path.realpath(where)


def exists(where: Place) -> bool:
    """Whether there is a file or object."""
    return where.is_file() if isinstance(where, Path) else bool(where.key) and bucket.head(where) is not None


def is_no_directory(where: Place) -> bool:
    """Whether something else than a directory is there."""
    return where.exists() and not where.is_dir() if isinstance(where, Path) else exists(where)


def is_dir(where: Place) -> bool:
    """Whether there is a directory, or an object below a URL."""
    return where.is_dir() if isinstance(where, Path) else next(bucket.below(where), None) is not None


def names(where: Place) -> list[str]:
    """The names of the files directly in a directory, sorted; none if there is no directory."""
    if isinstance(where, Url):
        return bucket.names(where)
    if not where.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(where) if entry.is_file())


def entries(where: Place) -> set[str]:
    """The names of the files and directories directly in a directory; none if there is no directory."""
    if isinstance(where, Url):
        return {*bucket.names(where), *bucket.folders(where)}
    return {path.name for path in where.iterdir()} if where.is_dir() else set()


def opened(where: Place, count: int) -> tuple[Place, int, bytes]:
    """Opens a file that must not change while it is read.

    Returns:
      The place, as that version of the object alone; the size; and the last `count` bytes.

    Raises:
      FileNotFoundError: there is no such file.
    """
    if isinstance(where, Url):
        found = bucket.head(where) or bucket.missing(where)
        total, pinned = found["size"], Url(where.text, found["e_tag"] or "")
        return pinned, total, bucket.get(pinned, max(0, total - count), count)[0] if total else b""
    file = os.open(where, os.O_RDONLY)  # a dataset may have a hundred thousand of them
    try:
        total = os.fstat(file).st_size
        return where, total, os.pread(file, count, max(0, total - count))
    finally:
        os.close(file)


def size(where: Place) -> int:
    """The size of a file, in bytes.

    Raises:
      FileNotFoundError: there is none.
    """
    return where.stat().st_size if isinstance(where, Path) else (bucket.head(where) or bucket.missing(where))["size"]


def read(where: Place) -> bytes:
    """Reads a file whole.

    Raises:
      FileNotFoundError: there is none.
    """
    return where.read_bytes() if isinstance(where, Path) else bucket.read(where)


def sha256(where: Place) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    if isinstance(where, Path):
        with where.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for piece in bucket.pieces(where):
        digest.update(piece)
    return digest.hexdigest()


def fill(where: Place, buffers: list[bytearray | memoryview | np.ndarray], offset: int) -> None:
    """Reads a file from byte `offset` on into buffers, one after the other.

    Raises:
      ValueError: the file ends before the buffers are full.
      OSError: the file cannot be read.
    """
    left = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    if not left:
        return
    if isinstance(where, Url):
        _fill_from(bucket.read_range(where, offset, sum(map(len, left))), left)
        return
    descriptor = os.open(where, os.O_RDONLY)
    try:
        while left:  # one call reads at most 2 GiB
            count = os.preadv(descriptor, left, offset)
            if not count:
                raise ValueError(bucket.CUT)
            offset += count
            while left and count >= len(left[0]):
                count -= len(left.pop(0))
            left[:1] = [view[count:] for view in left[:1]]
    finally:
        os.close(descriptor)


def _fill_from(found: bytes, buffers: list[memoryview]) -> None:
    if len(found) < sum(map(len, buffers)):
        raise ValueError(bucket.CUT)
    begin = 0
    for buffer in buffers:
        buffer[:] = found[begin : begin + len(buffer)]
        begin += len(buffer)


def pick(where: Place, offsets: np.ndarray, count: int) -> np.ndarray:
    """uint8 [n, count]: the `count` bytes at each of n offsets, int64 [n], of a file."""
    if isinstance(where, Url):
        found = each(lambda offset: bucket.get(where, offset, count)[0], offsets.tolist(), where)
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, count)
    with where.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        content.madvise(mmap.MADV_RANDOM)  # otherwise the system reads ahead
        return np.frombuffer(content, np.uint8)[offsets[:, None] + np.arange(count)]


def each(function: Callable[[Item], Result], items: Iterable[Item], where: Place) -> Iterator[Result]:
    """Calls a function for each item, several at once where each call waits for a store; yields results in order.

    At most twice as many results as calls at once wait to be taken.
    """
    if isinstance(where, Path):
        yield from map(function, items)
        return
    pool, waiting = ThreadPoolExecutor(REQUESTS), collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * REQUESTS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def make_dir(where: Place) -> None:
    """Makes a directory and its parents; stores have none to make."""
    if isinstance(where, Path):
        where.mkdir(parents=True, exist_ok=True)


def remove(where: Place) -> None:
    """Removes a file, if there is one."""
    if isinstance(where, Path):
        where.unlink(missing_ok=True)
    else:
        bucket.remove([where])


def remove_dir(where: Place, lock: str = "") -> None:
    """Removes a directory with all that is in it, but in a store the lock, which its holder removes."""
    if isinstance(where, Path):
        shutil.rmtree(where)
    else:
        bucket.remove([where / key for key, _ in bucket.below(where) if key != lock])
        remove_local(where)


@contextlib.contextmanager
def replacing(where: Place) -> Iterator[Path]:
    """Yields a temporary local path, and makes it the file at `where` if the block ends without an error.

    Raises:
      OSError: it names `where`, which users know, in place of the temporary path.
    """
    temporary = local_dir(where.parent) / f".{where.name}.{_process()}.tmp"
    try:
        yield temporary
        if isinstance(where, Url):
            bucket.put(where, temporary)
        else:
            sync(temporary)
            temporary.replace(where)
            sync(where.parent)
    except StorageError:
        raise
    except OSError as error:
        if isinstance(where, Url):  # the disk of temporary files is full, or cannot be written to
            error.filename = f"{temporary.parent} (TMPDIR)"
        elif error.filename == str(temporary):
            error.filename, error.filename2 = str(where), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _process() -> str:
    """Names this process among those of all machines that may share a directory; without a dot."""
    return f"{socket.gethostname().replace('.', '-')}-{os.getpid()}"


def remove_leftovers(where: Place, files: Container[str] | None = None) -> None:
    """Removes what killed processes have left half-written in a directory; of these `files` alone, if any are given.

    That of a store lies on the machine of the process, and only what this machine has is removed.
    """
    for leftover in (where if isinstance(where, Path) else _spool(where)).glob(".*.tmp"):
        written = leftover.name[1:].rsplit(".", 2)[0]
        if files is None or written in files:
            leftover.unlink(missing_ok=True)


def local_dir(where: Place) -> Path:
    """A directory itself if it is local; else one of temporary files, the same for all processes of this user.

    Raises:
      DataError: the latter is another user's.
    """
    if isinstance(where, Path):
        return where
    local = _spool(where)
    local.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if local.parent.stat().st_uid != os.getuid() or local.parent.is_symlink():
        raise DataError(f"{local.parent}: belongs to another user; remove it, or set TMPDIR to another directory")
    local.mkdir(exist_ok=True)
    return local


def remove_local(where: Place) -> None:
    """Removes the temporary files of a directory in a store."""
    if isinstance(where, Url):
        shutil.rmtree(_spool(where), ignore_errors=True)


def _spool(where: Url) -> Path:
    name = hashlib.sha256(str(where).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lipflow-{os.getuid()}" / name


def sync(path: Path) -> None:
    """Waits until `path`, a local file or directory, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(where: Place, value: Any) -> None:
    """Writes a value as JSON."""
    with replacing(where) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)  # piece by piece
        file.write("\n")
