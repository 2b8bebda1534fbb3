"""A clip before conversion: where its video is and what is said in it."""

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class SpokenWord:
    """A word and when it is said, in seconds of the clip (0 is the clip's first frame)."""

    text: str
    start: float
    stop: float


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """One clip of a corpus.

    Attributes:
      id: unique in the corpus, such as `s1/bbaf2n`.
      video: a video file, or a directory of images in name order; below the corpus root.
      span: seconds `(start, stop)` of the video that are the clip; None for the whole video.
      text: words separated by one space, lower case.
      words: word times where the corpus has them, else empty.
      speaker: who talks; empty where the corpus does not say.
      split: the corpus's own split, or None where a rule shall decide.
      problem: what makes the transcript unusable, else empty; such a clip is rejected by name, not left out.
    """

    id: str
    video: Path
    span: tuple[float, float] | None
    text: str
    words: tuple[SpokenWord, ...]
    speaker: str
    split: str | None = None
    problem: str = ""


def printable(name: str) -> str:
    r"""A file name, or a text with one in it, as UTF-8 can hold it: other bytes are written as `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
