"""Reads the label file of a video: one module a kind, each with `read(text, name, recording) -> Labels`.

May import `pipeline.corpora.paths`, `source`, `words`, and `pipeline.vocab`.
Offers `read`, `opened`, `KINDS`, `Labels`, `Phrase`.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from pipeline.corpora import paths
from pipeline.corpora.labels import captions, ctm, phrases, textgrid, transcript, whisper
from pipeline.corpora.labels.phrases import Labels, Phrase

__all__ = ["KINDS", "Labels", "Phrase", "opened", "read"]

MAX_CTM_BYTES = 50_000_000  # a million words, which take 0.5 GB while they are read

# Lower-case suffix -> reader, in the order in which they win where a video has several beside it.
KINDS: dict[str, Callable[[str, str, str], Labels]] = {
    ".textgrid": textgrid.read,
    ".json": whisper.read,
    ".ctm": ctm.read,
    ".vtt": captions.read,
    ".srt": captions.read,
    ".txt": transcript.read,
}


def read(path: Path, root: Path, recording: str) -> Labels:
    """Reads a label file below `root`; arguments and errors as of `opened`.

    Args:
      path: as of `opened`.
      root: as of `opened`.
      recording: the stem of the video's name, by which a file of several recordings is searched.
    """
    return opened(path, root)(recording)


def opened(path: Path, root: Path) -> Callable[[str], Labels]:
    """Reads a label file below `root`, which several videos may share.

    Args:
      path: its suffix, in any case, is one of `KINDS`.
      root: of the corpus.

    Returns:
      A function of the stem of a video's name that returns the labels of that video, and raises as `opened`. Talkers
      with a number alone are named after the file too.

    Raises:
      ValueError: as `paths.read_text`; the suffix is none of `KINDS`; or the file is not of its kind, or breaks a rule
        of labels. The message begins with the file's name.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.name}: no kind of labels; want a file that ends in {', '.join(KINDS)}")
    if kind is ctm.read:
        rows = ctm.parse(paths.read_text(path, root, MAX_CTM_BYTES), path.name)
        return functools.partial(ctm.of_recording, rows, path.name)
    text, file = paths.read_text(path, root), path.relative_to(root).as_posix()
    return lambda recording: phrases.numbered_by(kind(text, path.name, recording), file)
