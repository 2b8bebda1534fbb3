"""LRW (Chung and Zisserman, ACCV 2016): one of 500 words per clip, in the middle of 29 frames at 25 fps, 256x256.

Layout: `ABOUT/train/ABOUT_00001.mp4` (train, val, test: the published split) beside `ABOUT_00001.txt`, which has the
word's duration in a line `Duration: 0.47 seconds`. A clip without a `.txt` has no word time. Words are in the middle of
the frames, whatever the container's clock. The corpus names no speakers.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.corpora.splits import SPLITS
from pipeline.records import storage
from pipeline.schema import DataError

FRAMES, FPS = 29, 25
SECONDS = FRAMES / FPS  # of a clip
# 112 pixels square, concentric with the 96 pixels that the literature crops (rows 115:211, columns 79:175).
BOX = (71 / 256, 107 / 256, 183 / 256, 219 / 256)


def read_duration(path: Path, root: Path) -> float:
    """Reads the duration of the word, in seconds, from a label file.

    Raises:
      ValueError: as `paths.read_text`; or the file has not exactly one line `Duration: 0.47 seconds`, or it states more
        than the duration of a clip.
    """
    lines = paths.read_text(path, root).splitlines()
    given = [line for line in lines if line.startswith("Duration:")]
    match = re.fullmatch(r"Duration:\s*(\d+(?:\.\d+)?)\s*seconds\s*", given[0]) if len(given) == 1 else None
    if match is None or not 0 < float(match[1]) <= SECONDS:
        want = f"want one line `Duration: 0.47 seconds`, above 0 and at most {SECONDS}"
        raise ValueError(f"{path.name}: {want}, got {', '.join(map(repr, given)) or 'none'}")
    return float(match[1])


def folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yields the folder of each word and split, and its videos.

    Raises:
      DataError: `root` is not a directory or has no words; or a directory cannot be read.
    """
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory with ABOUT, ABSOLUTELY, …")
    places = [word / split for word in paths.folders(root) for split in SPLITS if paths.is_folder(word / split)]
    if not places:
        raise DataError(f"{root}: no LRW words; want directories ABOUT/train, ABOUT/val, ABOUT/test, … with videos")
    yield from ((place, paths.videos(place)) for place in places)


def clips(root: str | Path) -> Iterator[ClipSource]:
    """Yields the clips below `root`, word by word.

    Raises:
      DataError: as `folders`.
    """
    root = storage.local(root)
    for place, videos in folders(root):
        labels = paths.Names(paths.entries(place))
        for video in videos:
            yield _clip(root, place.parent.name, place.name, video, labels.find(f"{video.stem}.txt"))


def _clip(root: Path, word: str, split: str, video: Path, label: Path | None) -> ClipSource:
    text, spoken, problem = printable(word).lower(), (), ""
    if label:
        try:
            duration = read_duration(label, root)
            spoken = (SpokenWord(text, (SECONDS - duration) / 2, (SECONDS + duration) / 2),)
        except ValueError as error:
            problem = str(error)
    return ClipSource(
        id=printable(f"{word}/{split}/{video.stem}"),
        video=video,
        span=None,
        text=text,
        words=spoken,
        speaker="",
        split=split,
        problem=problem,
        times_from_first_frame=True,
    )
