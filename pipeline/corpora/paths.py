"""Lists and reads the files of a corpus, never outside its root, and never more of a label file than a limit."""

import codecs
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

VIDEO_SUFFIXES = frozenset(
    {".mpg", ".mpeg", ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".ts", ".mts", ".3gp", ".ogv"}
)
MAX_LABEL_BYTES = 1_000_000  # of one clip's label file
MAX_TABLE_BYTES = 1_000_000_000  # of a file that lists a whole corpus
LINKED_OUT = "a symbolic link out of the corpus; put the file itself there"


class Names:
    """Finds entries of directories by name.

    An entry whose name has another Unicode normal form, or a suffix of another case, is found where none has the very
    name: file systems and archives change both.
    """

    def __init__(self, found: Iterable[Path]) -> None:
        self._exact: dict[str, Path] = {}
        self._like: dict[str, Path] = {}
        for entry in found:
            self._exact.setdefault(entry.name, entry)
            self._like.setdefault(_fold(entry.name), entry)

    def find(self, name: str) -> Path | None:
        return self._exact.get(name) or self._like.get(_fold(name))


def _fold(name: str) -> str:
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    return path.stem + path.suffix.lower()


def below(root: Path, name: str) -> Path:
    """Joins `root` and a name from a label file.

    Raises:
      ValueError: the name is empty, absolute or a URL, or contains a NUL or `..`.
    """
    path = PurePosixPath(name)
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name)
    if not path.parts or path.is_absolute() or url or "\0" in name or ".." in path.parts:
        raise ValueError(f"want a path below the corpus, without `..`, got {name[:200]!r}")
    return root / path


def entries(folder: Path) -> list[Path]:
    """The entries of a directory, sorted by name, without hidden ones.

    Raises:
      DataError: the directory cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from error


def is_folder(path: Path) -> bool:
    """Whether a path is a directory or a link to one.

    Raises:
      DataError: its parent directory cannot be searched.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error


def exists(path: Path) -> bool:
    """Whether a path exists; a broken link does.

    Raises:
      DataError: its parent directory cannot be searched.
    """
    try:
        path.lstat()
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except OSError:  # the parent is missing, or the name is too long
        return False
    return True


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); make its directory readable, or remove it")


def folders(folder: Path) -> list[Path]:
    """The directories in a directory, sorted by name, without hidden ones."""
    return [entry for entry in entries(folder) if is_folder(entry)]


def is_video(name: str) -> bool:
    """Whether a name has the suffix of a video, in any case."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122, a Path a file takes much longer


def videos(folder: Path) -> list[Path]:
    """The entries of a directory with the suffix of a video, sorted by name."""
    return [entry for entry in entries(folder) if is_video(entry.name)]


def is_outside(path: Path, root: Path) -> bool:
    """Whether `path`, with links resolved, is not below `root`, which may be a link itself."""
    inner, outer = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([inner, outer]) != outer


def check_video(video: Path, root: Path) -> None:
    """Checks that a video, or a directory of images and each image in it, is below `root`.

    Raises:
      ClipError: OUTSIDE_ROOT; UNREADABLE where it is neither a regular file nor a readable directory; NO_VIDEO where it
        is a directory without images.
    """
    for path in [video, *_links(video)] if images.is_directory(video) else [video]:
        if is_outside(path, root):
            raise ClipError(Reason.OUTSIDE_ROOT, f"{path}: {LINKED_OUT}")


def _links(directory: Path) -> list[Path]:
    """The images of a directory that are symbolic links."""
    paths = images.list_images(directory)
    try:
        return [path for path in paths if path.is_symlink()]
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{directory}: cannot be searched ({error.strerror})") from error


def read_text(path: Path, root: Path, limit: int = MAX_LABEL_BYTES) -> str:
    """Reads a label file below `root`: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises:
      ValueError: the file is outside `root`, is not a regular file (it is not opened), cannot be read, has more than
        `limit` bytes, or is neither UTF-8 nor UTF-16; the message names it.
    """
    if is_outside(path, root):
        raise ValueError(f"{path.name}: {LINKED_OUT}")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path.name}: not a regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise ValueError(f"{path.name}: more than {limit:,} bytes")
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as spreadsheets and Praat write it
    try:
        return data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        name = "UTF-16" if utf_16 else "UTF-8"
        raise ValueError(f"{path.name}: not {name} at byte {error.start}; save it as UTF-8") from error
