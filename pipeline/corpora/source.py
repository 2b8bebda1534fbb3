"""A clip before conversion: its video, transcript and word times."""

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class SpokenWord:
    """A word and its time, in seconds of the clock that its clip's `times_from_first_frame` names."""

    text: str
    start: float
    stop: float


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """One clip of a corpus.

    The identity of a conversion hashes the fields that decide its bytes: not the wording of `problem`, and neither
    `labels_end`, `untimed` nor the fields at their default.

    Attributes:
      id: unique in the corpus, such as `s1/bbaf2n`.
      video: a video file or a directory of images, below the corpus root.
      span: seconds `(start, stop)` of the video; None for the whole video.
      text: lower-case words separated by one space.
      words: the words with their times; empty where the corpus has no times.
      speaker: empty where the corpus names none.
      split: the published split; None where there is none.
      untimed: why there are no `words` though the label file has some times of words; else empty.
      labels_end: seconds at which the label file ends, closing silence included; None where it does not say.
      problem: why the transcript is unusable, else empty. Conversion rejects such a clip with this text.
      times_from_first_frame: whether 0 s of `words` is the first frame, instead of the beginning of the container's
        clock, from which a video may begin late.
      columns: further columns of the corpus's table that are kept with the clip, (name, value) in the order asked for.
    """

    id: str
    video: Path
    span: tuple[float, float] | None
    text: str
    words: tuple[SpokenWord, ...]
    speaker: str
    split: str | None = None
    problem: str = ""
    labels_end: float | None = None
    untimed: str = ""
    times_from_first_frame: bool = False
    columns: tuple[tuple[str, str], ...] = ()


def printable(name: str) -> str:
    r"""Escapes the bytes of a file name that are not UTF-8 as `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
