"""Transcripts in seconds: words, JSON and subtitles."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from pysubs2 import SSAEvent, SSAFile

from model.alignment import Reading
from pipeline.loading import windows

MAX_CHARACTERS = 42  # of a line, as is usual for subtitles
PAUSE = 0.5  # seconds of silence that start a new line: within GRID's sentences 0.14 at most, between two 0.52 or more
MIN_SECONDS = 1.0  # that a line is shown, unless the next one starts


@dataclasses.dataclass(frozen=True)
class Word:
    """A word, its start and stop in seconds of the video, and its score, 0 to 1."""

    text: str
    start: float
    stop: float
    score: float


@dataclasses.dataclass(frozen=True)
class Transcript:
    """The transcript of a video.

    Attributes:
      id: the name of the video, as the user gave it.
      score: log probability of the text, nats.
    """

    id: str
    text: str
    score: float
    words: tuple[Word, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns seconds to the millisecond and scores to four digits; null if no text was possible."""
        words = [
            {"word": w.text, "start": round(w.start, 3), "stop": round(w.stop, 3), "score": round(w.score, 4)}
            for w in self.words
        ]
        score = round(self.score, 4) if math.isfinite(self.score) else None
        return {"id": self.id, "text": self.text, "score": score, "words": words}


def timed(name: str, reading: Reading, padding: str, fps: float, begins: float) -> Transcript:
    """Converts a reading from windows to seconds; a window is at its middle frame.

    Args:
      name: of the video.
      reading: of all its windows.
      padding: as the windows were made with.
      fps: frames a second.
      begins: time of the first frame, in seconds.
    """

    def second(window: int) -> float:
        return begins + (window + windows.middle(padding)) / fps

    words = tuple(Word(w.text, second(w.start), second(w.stop), w.score) for w in reading.words)
    return Transcript(name, reading.text, reading.score, words)


def joined(parts: Sequence[Transcript]) -> Transcript:
    """Joins the transcripts, at least one, of stretches of a video, one after the other."""
    text = " ".join(part.text for part in parts if part.text)
    words = tuple(word for part in parts for word in part.words)
    return Transcript(parts[0].id, text, sum(part.score for part in parts), words)


@dataclasses.dataclass(frozen=True)
class Line:
    """Words that are shown together, from the start of the first until `stop`."""

    words: tuple[Word, ...]
    stop: float

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def lines(words: Sequence[Word]) -> list[Line]:
    """Groups words into lines of at most `MAX_CHARACTERS`, or one word; a `PAUSE` starts a new line.

    A line is shown for `MIN_SECONDS` or more, but never beyond the start of the next one.
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and _belongs(word, groups[-1]):
            groups[-1].append(word)
        else:
            groups.append([word])
    starts = [group[0].start for group in groups]
    return [
        Line(tuple(group), min(max(group[-1].stop, group[0].start + MIN_SECONDS), end))
        for group, end in zip(groups, [*starts[1:], math.inf], strict=False)
    ]


def _belongs(word: Word, line: list[Word]) -> bool:
    length = sum(len(each.text) + 1 for each in line) + len(word.text)
    return length <= MAX_CHARACTERS and word.start - line[-1].stop < PAUSE


def srt(words: Sequence[Word]) -> str:
    """Formats words as SubRip subtitles, one caption per line; empty if there are no words."""
    shown = (SSAEvent(_milliseconds(line.start), _milliseconds(line.stop), line.text) for line in lines(words))
    file = SSAFile()
    file.extend(shown)
    return file.to_string("srt", keep_ssa_tags=True).removesuffix("\n")  # words are no tags, whatever is in them


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
