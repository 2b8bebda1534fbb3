"""What a listing of a corpus leaves out: folders without a clip, clips without a video, videos without a clip."""

import os
from collections import Counter
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
    places = [f"{count} in {_shown(folder, Path(os.path.realpath(root)))}" for folder, count in sorted(others.items())]
    found = (
        (bare, f"folders without a clip ({len(bare)})"),
        (missing, f"missing videos ({len(missing)} of {len(videos)}), whose clips will be rejected"),
        (places, f"videos of no clip ({others.total()})"),
    )
    return [f"{what}: {_first(names)}" for names, what in found if names]


def _survey(root: str, videos: np.ndarray) -> tuple[np.ndarray, Counter[Path]]:
    """Which of `videos`, sorted hashes uint64 [V], are below `root`, bool [V]; and the other videos by directory."""
    listed = np.zeros(len(videos), bool)
    others: Counter[Path] = Counter()
    for entry in _entries(root):
        key = np.uint64(hash_path(os.path.realpath(entry.path) if entry.is_symlink() else entry.path))
        place = np.searchsorted(videos, key)
        if place < len(videos) and videos[place] == key:
            listed[place] = True
        elif paths.is_video(Path(entry.name)) and not entry.is_dir():
            others[Path(entry.path).parent] += 1
    return listed, others


def _entries(root: str) -> Iterator[os.DirEntry]:
    """The directories and video files below a directory, but for hidden ones and those that cannot be listed."""
    folders = [root]
    while folders:
        try:
            found = [entry for entry in os.scandir(folders.pop()) if not entry.name.startswith(".")]
        except OSError:
            continue
        for entry in found:
            if is_folder := entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            if is_folder or paths.is_video(Path(entry.name)):
                yield entry


def _shown(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
