"""What was read, in seconds: as words, as JSON, and as subtitles."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from model.alignment import Reading
from pipeline.schema import CONTEXT

LONGEST = 42  # characters of a line, as subtitles have them
PAUSE = 1.0  # seconds of silence that begin a new line
SHORTEST = 1.0  # seconds that a line stays, where the next one lets it


@dataclasses.dataclass(frozen=True)
class Word:
    """A word, its seconds in the video, and how sure it is, 0 to 1."""

    text: str
    start: float
    stop: float
    score: float


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What a video says.

    Attributes:
      id: the video, as the user named it.
      score: log probability of the text, nats.
    """

    id: str
    text: str
    score: float
    words: tuple[Word, ...]

    def as_json(self) -> dict[str, Any]:
        """Seconds to the millisecond, scores to four digits; null where no text was possible."""
        words = [
            {"word": w.text, "start": round(w.start, 3), "stop": round(w.stop, 3), "score": round(w.score, 4)}
            for w in self.words
        ]
        score = round(self.score, 4) if math.isfinite(self.score) else None
        return {"id": self.id, "text": self.text, "score": score, "words": words}


def timed(name: str, reading: Reading, padding: str, fps: float, begins: float) -> Transcript:
    """A reading in windows as one in seconds; a window is where its middle frame is.

    Args:
      name: of the video.
      reading: of all its windows.
      padding: as the windows were made with.
      fps: frames a second.
      begins: the second of the video at which the first frame is shown.
    """
    middle = CONTEXT // 2 if padding == "valid" else 0

    def second(window: int) -> float:
        return begins + (window + middle) / fps

    words = tuple(Word(w.text, second(w.start), second(w.stop), w.score) for w in reading.words)
    return Transcript(name, reading.text, reading.score, words)


@dataclasses.dataclass(frozen=True)
class Line:
    """Words that are shown together, from the first one's start until `stop`."""

    words: tuple[Word, ...]
    stop: float

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def lines(words: Sequence[Word]) -> list[Line]:
    """Words in lines of at most 42 characters, or one word; a second of silence begins a new one.

    A line stays for a second at least, but never into the next one.
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and _belongs(word, groups[-1]):
            groups[-1].append(word)
        else:
            groups.append([word])
    starts = [group[0].start for group in groups]
    return [
        Line(tuple(group), min(max(group[-1].stop, group[0].start + SHORTEST), end))
        for group, end in zip(groups, [*starts[1:], math.inf], strict=False)
    ]


def _belongs(word: Word, line: list[Word]) -> bool:
    length = sum(len(each.text) + 1 for each in line) + len(word.text)
    return length <= LONGEST and word.start - line[-1].stop < PAUSE


def srt(words: Sequence[Word]) -> str:
    """Words as SubRip subtitles, a caption a line; empty where there are no words."""
    captions = [
        f"{number}\n{_clock(line.start)} --> {_clock(line.stop)}\n{line.text}\n"
        for number, line in enumerate(lines(words), 1)
    ]
    return "\n".join(captions)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"
