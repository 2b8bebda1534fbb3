"""What tells whether a video is the same as before."""

import functools
import hashlib
from pathlib import Path

from pipeline.schema import ClipError, Reason
from pipeline.video import images

KEPT = 10_000  # files whose fingerprint is kept, some 5 MB: clips of many recordings come in a drawn order


def fingerprint(video: Path) -> tuple[int, str]:
    """The bytes of a video, or of all images of a directory, and the SHA-256, in hexadecimal, of its content.

    That of a directory covers the names of its images too.

    Raises:
      ClipError: UNREADABLE; NO_VIDEO where it is a directory without images.
    """
    if not images.is_directory(video):
        return _fingerprint(video)
    size, digest = 0, hashlib.sha256()
    for path in images.list_images(video):
        own, content = _fingerprint(path)
        size += own
        digest.update(f"{path.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return size, digest.hexdigest()


def size(video: Path) -> int:
    """The bytes of a video, or of all images of a directory.

    Raises:
      ClipError: as `fingerprint`.
    """
    files = images.list_images(video) if images.is_directory(video) else [video]
    return sum(_stated(path)[0] for path in files)


def _fingerprint(path: Path) -> tuple[int, str]:
    return _read(path, *_stated(path))


def _stated(path: Path) -> tuple[int, int]:
    """The size of a file and when it was changed."""
    try:
        stat = path.stat()
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{path}: cannot be read ({error.strerror})") from error
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(KEPT)
def _read(path: Path, size: int, changed: int) -> tuple[int, str]:
    """The fingerprint of a file of this size that was changed then."""
    try:
        with path.open("rb") as file:
            return size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{path}: cannot be read ({error.strerror})") from error
