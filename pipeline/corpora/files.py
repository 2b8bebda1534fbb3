"""Finds the videos and label files of a folder, by the names that a table has for them or side by side."""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.corpora import labels, paths
from pipeline.corpora.labels import Labels
from pipeline.schema import ClipError
from pipeline.video import images

DIRECTORIES = 256  # whose names are kept
READ = 256  # videos whose labels are kept, since many rows may name one
KINDS = ", ".join(labels.KINDS)


class Files:
    """The files below a directory, of which names and labels are kept for a while."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names = functools.lru_cache(DIRECTORIES)(lambda folder: paths.Names(paths.entries(folder)))
        self._opened = functools.lru_cache(1)(self._open)  # it may have the labels of a whole corpus
        self.labels = functools.lru_cache(READ)(self._labels)

    def find(self, cell: str) -> Path:
        """The path that a cell stands for, as it is on disk; as in the cell where there is no such file.

        Raises:
          ValueError: as `paths.below`, or it is a path of a Windows drive.
        """
        names = list(dict.fromkeys((cell, cell.strip(), cell.strip().replace("\\", "/"))))
        path = paths.below(self._root, names[0])
        if len(names) == 1 and cell.isascii():
            return path
        if found := next(filter(None, map(self._on_disk, names)), None):
            return found
        if re.match(r"[A-Za-z]:/", names[-1]):
            raise ValueError(f"want a path below the corpus, got {cell[:200]!r}, which names a drive")
        return paths.below(self._root, names[-1])

    def _on_disk(self, name: str) -> Path | None:
        """The path of a name, in the Unicode normal form of the disk; None where there is no such file."""
        path = paths.below(self._root, name)
        if paths.exists(path):
            return path
        if name.isascii():
            return None
        found = self._root
        for part in path.relative_to(self._root).parts:
            found = found and (self._names(found).find(part) if paths.is_folder(found) else None)
        return found

    def beside(self, video: Path) -> Path | None:
        """The label file beside a video or a directory of images; None where there is none."""
        if not paths.is_folder(video.parent):
            return None
        return _label(self._names(video.parent), recording(video, video.parent))

    def labelled(self) -> Iterator[tuple[Path, Path]]:
        """Yields each video, and each directory of images, that has a label file beside it, and that file.

        Raises:
          DataError: a directory cannot be listed.
        """
        folders = [self._root]
        while folders:
            entries = paths.entries(folders.pop())
            names, inner = paths.Names(entries), []
            for entry in entries:
                is_folder = not entry.is_symlink() and paths.is_folder(entry)
                label = _label(names, entry.name if is_folder else entry.stem)
                if label and (_holds_images(entry) if is_folder else paths.is_video(entry.name)):
                    yield entry, label
                elif is_folder:
                    inner.append(entry)
            folders += reversed(inner)

    def _labels(self, path: Path, video: Path) -> Labels | str:
        """The labels of a video in a file, or why there are none."""
        opened = self._opened(path)
        if isinstance(opened, str):
            return opened
        try:
            return opened(recording(video, self._root))
        except ValueError as error:
            return str(error)

    def _open(self, path: Path) -> Callable[[str], Labels] | str:
        try:
            return labels.opened(path, self._root)
        except ValueError as error:
            return str(error)


def recording(video: Path, root: Path) -> str:
    """The path below `root` of a video without its suffix, or of a directory of images."""
    return (video if paths.is_folder(video) else video.with_suffix("")).relative_to(root).as_posix()


def _label(names: paths.Names, stem: str) -> Path | None:
    return next(filter(None, (names.find(stem + suffix) for suffix in labels.KINDS)), None)


def _holds_images(folder: Path) -> bool:
    try:
        return bool(images.list_images(folder))
    except ClipError:  # without images, or not to be listed, which whoever lists it next says
        return False
