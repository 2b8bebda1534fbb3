"""Files of a corpus: names that stay below its root, labels that cannot hang or fill memory, videos that lie inside."""

import os
import re
import stat
from pathlib import Path, PurePosixPath

from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

VIDEO_SUFFIXES = frozenset(
    {".mpg", ".mpeg", ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".ts", ".mts", ".3gp", ".ogv"}
)
LABEL_BYTES = 1_000_000  # of one clip's label file
TABLE_BYTES = 256_000_000  # of a file that lists a whole corpus
LINKED_OUT = "a symbolic link out of the corpus; put the file itself there"


def below(root: Path, name: str) -> Path:
    """The path below `root` that a name in a label file means.

    Raises:
      ValueError: it is empty, absolute, a URL, or has a NUL or `..` in it.
    """
    path = PurePosixPath(name)
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name)
    if not path.parts or path.is_absolute() or url or "\0" in name or ".." in path.parts:
        raise ValueError(f"want a path below the corpus, without `..`, got {name[:200]!r}")
    return root / path


def entries(folder: Path) -> list[Path]:
    """What is in a directory, by name, hidden files left out.

    Raises:
      DataError: it may not be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise _closed(folder, error) from error


def is_folder(path: Path) -> bool:
    """Whether it is a directory, or a link to one.

    Raises:
      DataError: that may not be asked.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise _closed(path, error) from error


def exists(path: Path) -> bool:
    """Whether there is something of this name, a broken link too.

    Raises:
      DataError: that may not be asked.
    """
    try:
        path.lstat()
    except PermissionError as error:
        raise _closed(path, error) from error
    except OSError:  # no such directory, or no name that could be
        return False
    return True


def _closed(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); make its directory readable, or leave that out")


def folders(folder: Path) -> list[Path]:
    """The directories in a directory by name, hidden ones left out."""
    return [entry for entry in entries(folder) if is_folder(entry)]


def videos(folder: Path) -> list[Path]:
    """What has a video's suffix in a directory, by name, hidden files left out; nothing is opened."""
    return [entry for entry in entries(folder) if entry.suffix.lower() in VIDEO_SUFFIXES]


def leads_out(path: Path, root: Path) -> bool:
    """Whether `path`, its links followed, lies elsewhere than below `root`, which may be a link itself."""
    inner, outer = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([inner, outer]) != outer


def check_video(video: Path, root: Path) -> None:
    """Refuses a video that leads out of `root`, and a directory of images one of which does.

    Raises:
      ClipError: OUTSIDE_ROOT; UNREADABLE where it is neither a regular file nor a directory, or a directory that may
        not be read; NO_VIDEO where it is a directory without an image.
    """
    suspects = [video, *_links(video)] if images.is_directory(video) else [video]
    for path in suspects:
        if leads_out(path, root):
            raise ClipError(Reason.OUTSIDE_ROOT, f"{path}: {LINKED_OUT}")


def _links(directory: Path) -> list[Path]:
    """The images of a directory that are symbolic links."""
    listed = images.list_images(directory)
    try:
        return [image for image in listed if image.is_symlink()]
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{directory}: cannot be searched ({error.strerror})") from error


def read_text(path: Path, root: Path, limit: int = LABEL_BYTES) -> str:
    """The text of a label file below `root`: UTF-8, with or without a byte order mark.

    Raises:
      ValueError: it leads out of `root`, is no regular file (which is not opened then), cannot be read, has more than
        `limit` bytes, or is not UTF-8.
    """
    if leads_out(path, root):
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
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
