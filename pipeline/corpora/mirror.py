"""A corpus in a store: a local directory with its label files, in which every other file is empty.

So every layout is read as on a disk. A video is fetched when it is converted, and removed afterwards.
"""

import contextlib
import dataclasses
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import labels, paths
from pipeline.corpora.source import ClipSource
from pipeline.records import bucket, storage
from pipeline.records.bucket import Url
from pipeline.schema import ClipError, DataError, Reason, StorageError

LABELS = frozenset({".align", ".csv", *labels.KINDS})


def make(origin: Url, root: Path) -> Iterator[str]:
    """Makes the files below `origin` in the empty directory `root`; yields the name of each label file fetched.

    Raises:
      DataError: the store holds nothing there, or a name that no file can have.
      OSError: the store refuses or does not answer, or the disk is full.
    """
    yield from storage.each(functools.partial(_fetch, origin, root), _labels(origin, root), origin)
    if next(root.iterdir(), None) is None:
        raise DataError(f"{origin}: holds no objects; want the directory of the corpus, as described in --help")


def _labels(origin: Url, root: Path) -> Iterator[str]:
    """Makes an empty file for every object; yields the names of label files."""
    made: set[Path] = set()
    for name, size in bucket.below(origin):
        try:
            path = paths.below(root, name)
            if path.parent not in made:
                _make_parents(path.parent, root)
                made.add(path.parent)
            if not path.is_dir():  # else a mark that some tools put in place of a directory
                path.touch()
                if size > paths.MAX_TABLE_BYTES:  # too large for labels, which whoever reads it says
                    os.truncate(path, size)
                elif path.suffix.lower() in LABELS:
                    yield name
        except (ValueError, OSError) as error:
            raise DataError(f"{origin / name}: cannot be a file on this machine ({error}); rename it") from error


def _make_parents(folder: Path, root: Path) -> None:
    """Makes a directory; a mark in its place, which is an empty object, gives way."""
    for each in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
        if (path := root / each).is_file() and not path.stat().st_size:
            path.unlink()
        path.mkdir(exist_ok=True)


def _fetch(origin: Url, root: Path, name: str) -> str:
    """Fills a label file, and returns its name."""
    (root / name).write_bytes(bucket.read(origin / name))
    return name


def _fetch_video(url: Url, path: Path) -> None:
    """Fetches a video, or a directory of images; other machines than that of the mirror do so too."""
    try:
        content = bucket.pieces(url)
        first = next(content, b"")
    except FileNotFoundError:
        if not (images := bucket.names(url)):
            raise
        path.mkdir()
        for image in images:
            (path / image).write_bytes(bucket.read(url / image))
        return
    with path.open("wb") as file:
        file.write(first)
        file.writelines(content)


@contextlib.contextmanager
def fetched(source: ClipSource, root: Path, origin: Url | None) -> Iterator[tuple[ClipSource, Path]]:
    """Yields a clip with its video at hand, and the root that the video lies below: temporary ones, of an `origin`.

    Raises:
      ClipError: UNREADABLE: the video is gone; or any that the block raises, with paths below the root.
      DataError: the store refuses or does not answer, or the disk is full.
    """
    if origin is None:
        yield source, root
        return
    with tempfile.TemporaryDirectory(prefix="lipflow-") as directory:
        base, name = Path(directory), source.video.relative_to(root)
        try:
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            _fetch_video(origin / name.as_posix(), base / name)
        except FileNotFoundError as error:
            raise ClipError(Reason.UNREADABLE, f"{name.as_posix()}: gone from {origin}") from error
        except StorageError as error:
            raise DataError(f"{error}; then run the same command again to continue") from error
        except OSError as error:
            where = tempfile.gettempdir()
            raise DataError(
                f"{where}: {error.strerror}; make room there, or set TMPDIR to another directory"
            ) from error
        try:
            yield dataclasses.replace(source, video=base / name), base
        except ClipError as error:
            raise ClipError(error.reason, error.detail.replace(f"{base}/", "")) from error
