"""Word times of label files: the marks of silence, and one rule of times for every layout.

Words are in the order in which they are spoken, each begins where the one before it ends or later, and on average they
last as long as words do. So times in most other units than the layout's are found without opening the video. A unit
within a few times the layout's, such as the samples of another rate, shows only where labels end
(`ClipSource.labels_end`).
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from pipeline.corpora.source import SpokenWord

# In place of a word, in any case: of HTK, Kaldi, the Montreal Forced Aligner and MAUS. An empty word is silence too.
SILENCE = frozenset(
    {"", "sil", "sp", "spn", "nsn", "<eps>", "<sil>", "<p:>", "!sil", "[sil]", "!enter", "!exit", "<s>", "</s>"}
)
MAX_OVERLAP = 0.04  # seconds by which neighbours overlap: a frame at 25 fps, to which aligners round
MIN_MEAN, MAX_MEAN = 0.04, 5.0  # seconds that the words of a clip last on average; speech has 0.1 to 0.6
TYPICAL = 0.25  # seconds of a word
CLEARLY = 4  # times nearer to `TYPICAL` are words in a unit that fits clearly better


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit of time, and how many of it are in a second."""

    name: str
    per_second: int


SECONDS = Unit("seconds", 1)
UNITS = (
    SECONDS,
    Unit("frames", 25),
    Unit("hundredths of a second", 100),
    Unit("milliseconds", 1000),
    Unit("samples", 16_000),
    Unit("microseconds", 1_000_000),
    Unit("units of 100 ns", 10_000_000),
)


def is_silence(word: str) -> bool:
    """Whether a label stands for silence or noise."""
    return word.lower() in SILENCE


def by_start(words: Sequence[SpokenWord]) -> list[SpokenWord]:
    """The words sorted by start, for label files whose times alone say in which order words are spoken."""
    return sorted(words, key=lambda word: word.start)


def check(words: Sequence[SpokenWord], name: str, unit: Unit = SECONDS) -> None:
    """Checks the times of words that are in the order in which they are spoken.

    A word may last 0 s; a record gives it one frame. One word alone says nothing of the unit.

    Args:
      words: without silences, in seconds.
      name: of the label file.
      unit: what the file counts in.

    Raises:
      ValueError: a time is negative or not a number, or a word ends before it begins; several words last less than
        `MIN_MEAN` or more than `MAX_MEAN` seconds on average, and another unit fits clearly better; or a word begins
        before the one before it, or more than `MAX_OVERLAP` seconds before its end.
    """
    for word in words:
        if not 0 <= word.start <= word.stop < math.inf:
            raise ValueError(f"{name}: {_said(word)}; want 0 <= start <= stop")
    _check_unit(words, name, unit)
    _check_order(words, name)


def _check_unit(words: Sequence[SpokenWord], name: str, unit: Unit) -> None:
    mean = sum(word.stop - word.start for word in words) / max(1, len(words))
    if len(words) < 2 or mean == 0 or MIN_MEAN - 1e-9 <= mean <= MAX_MEAN:
        return
    best = min(UNITS, key=lambda other: _misfit(mean * unit.per_second / other.per_second))
    if _misfit(mean) > _misfit(mean * unit.per_second / best.per_second) + math.log(CLEARLY):
        ends = f"words last {mean:.3g} s on average, and the last one ends at {words[-1].stop:.3g} s"
        raise ValueError(f"{name}: {ends}; want {unit.name}; these look like {best.name}")


def _misfit(mean: float) -> float:
    """How far words of `mean` seconds are from usual ones, as a logarithm."""
    return abs(math.log(mean / TYPICAL))


def _check_order(words: Sequence[SpokenWord], name: str) -> None:
    latest = words[0] if words else None
    for before, word in itertools.pairwise(words):
        if word.start < before.start:
            raise ValueError(f"{name}: {_said(word)}, so before {_said(before)}; want words in the order of the text")
        latest = max(latest, before, key=lambda each: each.stop)
        if latest.stop - word.start > MAX_OVERLAP + 1e-9:
            both = f"{_said(latest)} and {_said(word)}"
            raise ValueError(f"{name}: {both} overlap by {latest.stop - word.start:.3g} s; want {MAX_OVERLAP} at most")


def _said(word: SpokenWord) -> str:
    return f"{word.text!r} ({word.start:.6g} to {word.stop:.6g} s)"
