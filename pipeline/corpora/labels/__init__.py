"""Reads the label file of a video: one module a kind, each with `read(text, name, recording) -> Labels`.

May import `pipeline.corpora.paths`, `source`, `words`, and `pipeline.vocab`.
Offers `read`, `KINDS`, `Labels`, `Phrase`.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.corpora import paths
from pipeline.corpora.labels import captions, ctm, textgrid, transcript, whisper
from pipeline.corpora.labels.phrases import Labels, Phrase

__all__ = ["KINDS", "Labels", "Phrase", "read"]

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
    """Reads a label file below `root`.

    Args:
      path: its suffix, in any case, is one of `KINDS`.
      root: of the corpus.
      recording: the stem of the video's name, by which a file of several recordings is searched.

    Raises:
      ValueError: as `paths.read_text`; the suffix is none of `KINDS`; or the file is not of its kind, or breaks a rule
        of labels. The message begins with the file's name.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.name}: no kind of labels; want a file that ends in {', '.join(KINDS)}")
    return kind(paths.read_text(path, root), path.name, recording)
