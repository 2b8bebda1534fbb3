"""What a listing of a corpus leaves out: folders without a clip, clips without a video, videos without a clip."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.corpora import paths
from pipeline.corpora.catalog import Catalog, hash_path
from pipeline.corpora.source import printable

SHOWN = 5  # names in a line


def lines(root: Path, catalog: Catalog, empty: Iterable[Path]) -> list[str]:
    """Describes what is left out, at most a line of each kind.

    No video is opened, and no link to a directory is followed.

    Args:
      root: of the corpus.
      catalog: its clips.
      empty: the folders that should hold clips and hold none.
    """
    videos, rows = np.unique(catalog.videos, return_index=True)
    listed, others = _survey(os.path.realpath(root), videos)
    unseen = (catalog[row].video for row in np.sort(rows[~listed]).tolist())
    missing = [_shown(video, root) for video in unseen if not paths.exists(video)]
    bare = [_shown(folder, root) for folder in empty]
    real = Path(os.path.realpath(root))
    places = [_counted(count, _shown(first, real), _shown(first.parent, real)) for first, count in sorted(others)]
    total = sum(count for _, count in others)
    found = (
        (bare, f"folders without a clip ({len(bare)})"),
        (missing, f"missing videos ({len(missing)} of {len(videos)}), whose clips will be rejected"),
        (places, f"videos of no clip ({total})"),
    )
    return [f"{what}: {_first(names)}" for names, what in found if names]


def _counted(count: int, first: str, folder: str) -> str:
    return first if count == 1 else f"{count} in {folder}, such as {first}"


def _survey(root: str, videos: np.ndarray) -> tuple[np.ndarray, list[tuple[Path, int]]]:
    """Which of `videos`, sorted hashes uint64 [V], are below `root`; and the others, of each directory the first.

    Returns:
      Bool [V]; and the first of the other videos of each directory that has some, with their number.
    """
    listed = np.zeros(len(videos), bool)
    others: list[tuple[Path, int]] = []
    for entries in _folders(root):
        real = (os.path.realpath(entry.path) if entry.is_symlink() else entry.path for entry in entries)
        keys = np.array([hash_path(path) for path in real], np.uint64)
        places = np.minimum(np.searchsorted(videos, keys), len(videos) - 1)
        known = videos[places] == keys if len(videos) else np.zeros(len(keys), bool)
        listed[places[known]] = True
        unknown = (entries[place].path for place in np.flatnonzero(~known))
        if names := [path for path in unknown if not os.path.isdir(path)]:  # noqa: PTH112, no link raises
            others.append((Path(min(names)), len(names)))
    return listed, others


def _folders(root: str) -> Iterator[list[os.DirEntry]]:
    """The directories and videos in each directory, but for hidden ones and those that cannot be listed."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            found = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except OSError:
            continue
        inner = {entry.path for entry in found if entry.is_dir(follow_symlinks=False)}
        folders += inner
        yield [entry for entry in found if entry.path in inner or paths.is_video(entry.name)]


def _shown(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
