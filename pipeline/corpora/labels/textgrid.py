"""Praat's TextGrid, long or short, as the Montreal Forced Aligner writes it.

A tier `words`, or `ann - words` of the speaker ann, has words. A tier `phrases`, `utterances`, `sentences`,
`transcript` or `text` has phrases, into which the words fall. The only tier of intervals may have any name but
`phones`: it has words where each label is one word, else phrases. Other tiers and tiers of points are ignored. Names of
tiers may be in any case.

praatio, with which the aligner writes, reads a file as far as it is sound. So tiers and intervals are counted here.
"""

import bisect
import math
import re
from typing import Any, NamedTuple

from praatio.utilities import constants, errors, textgrid_io

from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels, Phrase
from pipeline.corpora.source import SpokenWord

HEADER = 'File type = "ooTextFile'
SAVE = "open it in Praat, and save it as text file"
WORDS = frozenset({"words", "word"})
PHRASES = frozenset({"phrases", "phrase", "utterances", "utterance", "sentences", "sentence", "transcript", "text"})
PHONES = frozenset({"phones", "phone"})
LONG_FORM = "item ["
PARTS = re.compile(r"(?:item|intervals|points) ?\[")
MAX_CHARACTERS = 10_000  # of an interval in the long form, for which praatio takes the square of the time
TIERS = re.compile(r"<exists>\s+(?:size\s*=\s*)?(\d{1,9})\s")
INTERVALS = re.compile(
    r'"(?:IntervalTier|TextTier)"\s+(?:name\s*=\s*)?"(?:[^"]|"")*"\s+(?:xmin\s*=\s*)?+\S+\s+(?:xmax\s*=\s*)?+\S+\s+'
    r"(?:(?:intervals|points):\s*size\s*=\s*)?(\d{1,9})\s"
)


class _Interval(NamedTuple):
    text: str
    start: float
    stop: float


class _Tier(NamedTuple):
    """A tier of intervals; `speaker` is empty where its name has none, `kind` where it is not known."""

    name: str
    speaker: str
    kind: str
    intervals: list[_Interval]


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the phrases, with their words, or the words of a TextGrid without phrases.

    Args:
      text: content of the file.
      name: of the file, for messages.
      recording: not used, since a file has one recording.

    Raises:
      ValueError: as `phrases.of_phrases`; the text is no TextGrid, or a damaged one, or begins before 0 s; it has no
        tier of words or phrases, two of one kind, or those of several speakers; or a label of a tier of words has
        several.
    """
    del recording
    parsed = _parse(text, name)
    tiers = [_tier(tier, name) for tier in parsed["tiers"] if tier["class"] == constants.INTERVAL_TIER]
    if len(tiers) == 1 and not tiers[0].kind:
        one_word = all(" " not in interval.text for interval in tiers[0].intervals)
        tiers = [tiers[0]._replace(kind="words" if one_word else "phrases")]
    speaker = _speaker(tiers, name)
    spoken, said = (_only(kind, tiers, name) for kind in ("words", "phrases"))
    if spoken is None and said is None:
        found = ", ".join(repr(tier["name"]) for tier in parsed["tiers"]) or "none"
        raise ValueError(
            f"{name}: no tier of intervals named words or phrases; the tiers are {found[:200]}: rename one"
        )
    timed = _words(spoken, name) if spoken else []
    end = _seconds(parsed["xmax"], f"{name}: xmax")
    if said is None:
        return phrases.of_words(timed, name, end, speaker)
    return phrases.of_phrases(_fill(said.intervals, timed, speaker, name), name, end, speaker)


def _parse(text: str, name: str) -> dict[str, Any]:
    """The file as praatio reads it, whole."""
    text = "\n".join(text.strip().splitlines()) + "\n"
    if not text.startswith(HEADER):
        raise ValueError(f'{name}: want a TextGrid of Praat, which begins with {HEADER}", got {text.strip()[:80]!r}')
    if (longest := max(map(len, PARTS.split(text)))) > MAX_CHARACTERS and LONG_FORM in text:
        raise ValueError(f"{name}: an interval has {longest:,} characters; want {MAX_CHARACTERS:,} at most")
    try:
        parsed = textgrid_io.parseTextgridStr(text, includeEmptyIntervals=True)
    except (errors.PraatioException, ValueError, IndexError) as error:
        raise ValueError(f"{name}: no text form of a TextGrid ({error}); {SAVE}") from error
    _seconds(parsed["xmin"], f"{name}: xmin")  # praatio reads other times without their sign
    tiers = parsed["tiers"]
    found = [("tiers", len(tiers)), *((f"entries of tier {tier['name']!r}", len(tier["entries"])) for tier in tiers)]
    sizes = [int(size) for size in TIERS.findall(text)[:1] + INTERVALS.findall(text)]
    if len(found) != len(sizes):
        raise ValueError(f"{name}: damaged, {len(sizes)} sizes of {len(tiers)} tiers and their number; {SAVE}")
    for (what, count), size in zip(found, sizes, strict=True):
        if count != size:
            raise ValueError(f"{name}: damaged, {count} of {size} {what}; {SAVE}")
    return parsed


def _tier(tier: dict[str, Any], name: str) -> _Tier:
    intervals = []
    for number, (start, stop, label) in enumerate(tier["entries"], start=1):
        place = f"{name}: tier {tier['name']!r} interval {number}"
        intervals.append(_Interval(phrases.clean(label, place), _seconds(start, place), _seconds(stop, place)))
    speaker, _, kind = tier["name"].strip().rpartition(" - ")
    kinds = {"words": WORDS, "phrases": PHRASES, "phones": PHONES}
    known = next((known for known, names in kinds.items() if kind.strip().lower() in names), "")
    return _Tier(tier["name"], phrases.clean_name(speaker, name), known, intervals)


def _seconds(value: str | float, place: str) -> float:
    try:
        seconds = float(value)
    except ValueError as error:
        raise ValueError(f"{place}: want seconds, got {value[:80]!r}") from error
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{place}: want seconds from 0 on, got {seconds}")
    return seconds


def _speaker(tiers: list[_Tier], name: str) -> str:
    """The speaker whom tiers of words or phrases name; empty where they name none."""
    speakers = sorted({tier.speaker for tier in tiers if tier.kind in ("words", "phrases")} - {""})
    if len(speakers) > 1:
        want = "want a video of one talker: keep the tiers of the one whom it shows"
        raise ValueError(f"{name}: tiers of {len(speakers)} speakers, {', '.join(speakers)[:200]}; {want}")
    return "".join(speakers)


def _only(kind: str, tiers: list[_Tier], name: str) -> _Tier | None:
    found = [tier for tier in tiers if tier.kind == kind]
    if len(found) > 1:
        raise ValueError(f"{name}: two tiers of {kind}, {found[0].name!r} and {found[1].name!r}; keep one")
    return found[0] if found else None


def _words(tier: _Tier, name: str) -> list[SpokenWord]:
    """The words of a tier, without silences."""
    for number, interval in enumerate(tier.intervals, start=1):
        if " " in interval.text:
            place = f"{name}: tier {tier.name!r} interval {number}"
            raise ValueError(f"{place}: want one word, got {interval.text[:80]!r}; name a tier of phrases so")
    return [SpokenWord(*interval) for interval in tier.intervals if interval.text]


def _fill(intervals: list[_Interval], spoken: list[SpokenWord], speaker: str, name: str) -> list[Phrase]:
    """The phrases, each with the words whose middle lies in it.

    Raises:
      ValueError: that of a word lies in none with a text.
    """
    order = sorted(intervals, key=lambda interval: interval.start)
    starts = [interval.start for interval in order]
    inside: list[list[SpokenWord]] = [[] for _ in order]
    for word in spoken:
        middle = (word.start + word.stop) / 2
        place = bisect.bisect_right(starts, middle) - 1
        if place < 0 or middle > order[place].stop or not order[place].text:
            said = f"{word.text[:80]!r} ({word.start:.6g} to {word.stop:.6g} s) lies in no phrase"
            raise ValueError(f"{name}: {said}; write it into one, or remove it from the tier of words")
        inside[place].append(word)
    return [Phrase(*interval, tuple(found), speaker) for interval, found in zip(order, inside, strict=True)]
