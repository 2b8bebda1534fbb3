"""What a label file of a video says: phrases with their times, or one text with the times of its words."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Sequence

from pipeline import vocab
from pipeline.corpora import words
from pipeline.corpora.source import SpokenWord

MAX_OVERLAP = 0.3  # seconds by which neighbouring phrases overlap, or by which a word reaches out of its phrase
NUMBERED = re.compile(r"SPEAKER_\d+")  # as pyannote, and so WhisperX, names talkers
ROLLING = "rolling captions, which repeat what was shown before, are of no use: get captions that do not"


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A part of a recording.

    Attributes:
      text: lower-case words separated by one space, at least one.
      start: seconds of the video.
      stop: seconds of the video, after `start`.
      words: the words of `text`, between `start` and `stop`; empty where their times are not known.
      speaker: empty where the file names none.
      untimed: why there are no `words` though the file has some; else empty.
      problem: why the phrase cannot be used; else empty.
    """

    text: str
    start: float
    stop: float
    words: tuple[SpokenWord, ...] = ()
    speaker: str = ""
    untimed: str = ""
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Labels:
    """What a label file says of a video: `phrases`, or `text` and perhaps `words` of the whole video.

    Attributes:
      phrases: in order of time, none overlaps another.
      text: of the whole video; empty where there are phrases.
      words: of the whole video; empty where there are phrases, or no times of words.
      end: seconds at which the labels end, closing silence included; None where the file does not say.
      speaker: of the whole video; empty where the file names none.
      faulty: phrases that cannot be used, each with its `problem`, beside `phrases`.
    """

    phrases: tuple[Phrase, ...] = ()
    text: str = ""
    words: tuple[SpokenWord, ...] = ()
    end: float | None = None
    speaker: str = ""
    faulty: tuple[Phrase, ...] = ()


def numbered_by(labels: Labels, file: str) -> Labels:
    """Puts the name of the file before talkers who have a number alone, such as `SPEAKER_00`.

    Diarization counts talkers anew in each file, so the same number is another talker elsewhere.
    """
    own = lambda speaker: f"{file} {speaker}" if NUMBERED.fullmatch(speaker) else speaker  # noqa: E731
    named = tuple(dataclasses.replace(phrase, speaker=own(phrase.speaker)) for phrase in labels.phrases)
    return dataclasses.replace(labels, phrases=named, speaker=own(labels.speaker))


def clean(text: str, name: str) -> str:
    """Returns the text as records have it; an empty one for a mark of silence.

    Raises:
      ValueError: it has half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    """
    text = vocab.normalise(_whole(text, name))
    return "" if words.is_silence(text) else text


def clean_name(speaker: str, name: str) -> str:
    """Returns the name of a speaker with single blanks.

    Raises:
      ValueError: as `clean`.
    """
    return " ".join(_whole(speaker, name).split())


def _whole(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: {text[:80]!r} has half a character at {error.start}; write it whole") from error
    return text


def of_words(spoken: Iterable[SpokenWord], name: str, end: float | None = None, speaker: str = "") -> Labels:
    """The labels of a recording whose words, in the order in which they are spoken, have times.

    Raises:
      ValueError: as `words.check`.
    """
    found = tuple(spoken)
    words.check(found, name)
    return Labels(text=" ".join(word.text for word in found), words=found, end=end, speaker=speaker)


def of_phrases(phrases: Iterable[Phrase], name: str, end: float | None = None, speaker: str = "") -> Labels:
    """The labels of a recording whose phrases, in any order, have times.

    Phrases without text are left out. Words that are not those of the text are left out, too, which `untimed` says;
    their punctuation becomes that of the text, since aligners write none. A phrase that lasts no time, or whose words
    have times that cannot be, is `faulty`. Phrases with the very same times are joined. Neighbours that overlap by
    `MAX_OVERLAP` or less are cut in the middle of the overlap, or beside it where the words of both leave a gap.

    Raises:
      ValueError: a phrase has no time, or overlaps another one by more.
    """
    kept = [_judged(phrase, name) for phrase in phrases if phrase.text]
    kept.sort(key=lambda phrase: (phrase.start, phrase.stop))
    sound = [phrase for phrase in kept if not phrase.problem]
    found = tuple(map(_clip_words, _cut(_joined(sound), name)))
    return Labels(found, end=end, speaker=speaker, faulty=tuple(phrase for phrase in kept if phrase.problem))


def _judged(phrase: Phrase, name: str) -> Phrase:
    """A phrase with its own words, or with the reason why it has none or cannot be used."""
    if not (0 <= phrase.start < math.inf and 0 <= phrase.stop < math.inf):
        raise ValueError(f"{name}: {_said(phrase)}; want 0 <= start < stop: correct its times, or remove it")
    if phrase.stop <= phrase.start:
        problem = f"{name}: {_said(phrase)} ends when or before it begins; correct its times, or remove it"
        return dataclasses.replace(phrase, words=(), problem=problem)
    if not phrase.words:
        return phrase
    if reason := untimed(phrase.text, phrase.words):
        return dataclasses.replace(phrase, words=(), untimed=reason)
    try:
        words.check(phrase.words, name)
        _check_within(phrase, name)
    except ValueError as error:
        return dataclasses.replace(phrase, words=(), problem=str(error))
    spelt = zip(phrase.words, phrase.text.split(), strict=True)
    return dataclasses.replace(phrase, words=tuple(dataclasses.replace(word, text=text) for word, text in spelt))


def untimed(text: str, spoken: Sequence[SpokenWord]) -> str:
    """Why words do not say when each word of a text is said; empty where they do, whatever punctuation each has."""
    if missing := next((word for word in spoken if not math.isfinite(word.start + word.stop)), None):
        return f"{missing.text!r} has no time"
    for here, there in itertools.zip_longest(text.split(), (word.text for word in spoken), fillvalue=""):
        if not here or not there or vocab.spoken(here) != vocab.spoken(there):  # spoken, a dash is nothing too
            return f"the text has {here!r} where its words have {there!r}"
    return ""


def _check_within(phrase: Phrase, name: str) -> None:
    for word in phrase.words:
        if max(phrase.start - word.start, word.stop - phrase.stop) > MAX_OVERLAP + 1e-9:
            out = f"{word.text!r} ({word.start:.6g} to {word.stop:.6g} s) reaches out of {_said(phrase)}"
            raise ValueError(f"{name}: {out} by more than {MAX_OVERLAP} s; correct the times")


def _joined(phrases: list[Phrase]) -> list[Phrase]:
    """Joins the texts of phrases with the very same times, which have no words."""
    joined = []
    groups = itertools.groupby(phrases, key=lambda phrase: (phrase.start, phrase.stop, phrase.speaker, phrase.words))
    for (_, _, _, spoken), group in groups:
        same = list(group)
        text = " ".join(phrase.text for phrase in same)
        joined += same if spoken else [dataclasses.replace(same[0], text=text)]
    return joined


def _cut(phrases: list[Phrase], name: str) -> list[Phrase]:
    """Cuts neighbours that overlap at the `_border` between them."""
    cut = phrases[:1]
    for phrase in phrases[1:]:
        before = cut[-1]
        overlap = before.stop - phrase.start
        if overlap <= 0:
            cut.append(phrase)
            continue
        border = _border(before, phrase)
        if overlap > MAX_OVERLAP + 1e-9 or not before.start < border < phrase.stop:
            both = f"{_said(before)} and {_said(phrase)} overlap by {overlap:.3g} s"
            raise ValueError(f"{name}: {both}; want {MAX_OVERLAP} at most, and neither within the other; {ROLLING}")
        cut[-1] = dataclasses.replace(before, stop=border)
        cut.append(dataclasses.replace(phrase, start=border))
    return cut


def _border(before: Phrase, phrase: Phrase) -> float:
    """The second within an overlap at which it is cut: between words, as near to the middle as they allow."""
    middle = phrase.start + (before.stop - phrase.start) / 2
    said = min(before.words[-1].stop, before.stop) if before.words else phrase.start
    follows = max(phrase.words[0].start, phrase.start) if phrase.words else before.stop
    return min(max(middle, said), follows) if said <= follows else middle


def _clip_words(phrase: Phrase) -> Phrase:
    """Keeps the words within the phrase."""

    def within(second: float) -> float:
        return min(max(second, phrase.start), phrase.stop)

    spoken = tuple(SpokenWord(word.text, within(word.start), within(word.stop)) for word in phrase.words)
    return dataclasses.replace(phrase, words=spoken)


def _said(phrase: Phrase) -> str:
    return f"{phrase.text[:80]!r} ({phrase.start:.6g} to {phrase.stop:.6g} s)"
