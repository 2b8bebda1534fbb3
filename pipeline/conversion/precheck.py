"""What is known of the clips before any video is converted: bad labels, foreign characters, times behind the end.

Conversion and dry run share it. Labels are read in one pass over the catalog, and of a few videos the headers.
"""

import contextlib
import dataclasses
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline import vocab
from pipeline.conversion.clip import MAX_FRAMES_OUTSIDE, MAX_LABELS_OFF_S, foreign_characters, ruled_text
from pipeline.conversion.config import FROM_DATA, ConvertConfig
from pipeline.corpora import mirror, paths
from pipeline.corpora.catalog import Catalog, Selection
from pipeline.corpora.source import ClipSource, printable
from pipeline.records.bucket import Url
from pipeline.schema import ClipError, DataError
from pipeline.video import decode
from pipeline.video.clock import MAX_MISSING

MAX_HEADERS = 20  # videos whose headers are read for where they end
HEADERS_S = 15.0  # for all of them
MAX_FETCHED = 5  # videos that are fetched from a store for it
SHOWN = 3  # clips that a line names
MAX_DETAIL = 200  # characters of what it says of one
MAX_CHARACTERS = 100  # foreign characters that a line names
COMMONEST = 10  # dropped characters that a row names
Track = Callable[[Iterable[ClipSource]], Iterable[ClipSource]]


@dataclasses.dataclass
class Faults:
    """Clips with one kind of fault: how many, and what is wrong with the first few."""

    count: int = 0
    first: list[str] = dataclasses.field(default_factory=list)

    def add(self, source: ClipSource, what: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            what = printable(what)
            what = what if len(what) <= MAX_DETAIL else f"{what[:MAX_DETAIL]}…"
            self.first.append(f"{source.id}: {what}")

    def __str__(self) -> str:
        more = f"; and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
        return "; ".join(self.first) + more


@dataclasses.dataclass
class Findings:
    """What a catalog holds, for a conversion with `config`.

    Attributes:
      clips: how many there are.
      timed: clips with word times.
      unopened: clips whose video cannot be opened, of the few videos that were tried.
      unusable: clips whose transcript cannot be used, most often by a label file that is wrong.
      untimed: clips without word times since their labels disagree with themselves.
      foreign: of each character outside the alphabet, the clips that it is in.
      foreign_clips: clips with such a character.
      trained: the characters among them that training clips have.
      misplaced: clips whose times, or those of their words, lie outside of the video or of the clip.
      changed: transcripts that the rule of text has changed.
      dropped: of each character that it has dropped, how often.
      ends: videos whose headers say where they end.
      whole_s: seconds of those of them that are clips as a whole.
    """

    config: ConvertConfig
    clips: int = 0
    timed: int = 0
    unopened: Faults = dataclasses.field(default_factory=Faults)
    unusable: Faults = dataclasses.field(default_factory=Faults)
    untimed: Faults = dataclasses.field(default_factory=Faults)
    foreign: Counter[str] = dataclasses.field(default_factory=Counter)
    foreign_clips: int = 0
    trained: set[str] = dataclasses.field(default_factory=set)
    misplaced: Faults = dataclasses.field(default_factory=Faults)
    changed: int = 0
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    ends: int = 0
    whole_s: list[float] = dataclasses.field(default_factory=list)

    @property
    def rejects(self) -> int:
        """How many clips are known to be rejected."""
        return self.unopened.count + self.unusable.count + self.foreign_rejects

    @property
    def foreign_rejects(self) -> int:
        """How many of them for a character outside the alphabet."""
        return self.foreign_clips if self.config.unknown == "reject" else 0

    def lines(self) -> Iterator[str]:
        """Yields a line for each kind of fault."""
        if self.unopened.count:
            yield f"videos that cannot be opened {self._share(self.unopened)}; these clips will be rejected"
        if self.unusable.count:
            yield f"transcripts that cannot be used {self._share(self.unusable)}; these clips will be rejected"
        if self.untimed.count:
            way_out = "they have no word times; correct the labels if you want some"
            yield f"words that are not those of the text {self._share(self.untimed)}; {way_out}"
        if self.misplaced.count:
            how = f"times are seconds; {self.ends} videos say where they end"
            yield f"times that cannot be {self._share(self.misplaced)}; {how}; these clips will be rejected"
        if self.foreign:
            yield f"characters outside the alphabet: {self._foreign()}; {self._what_becomes_of_them()}"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yields what the rule of text has changed, as `(what, value)`; nothing for `as_is`."""
        if self.config.text == "as_is":
            return
        counts = "  ".join(f"{character} {n}" for character, n in _most_common(self.dropped)[:COMMONEST])
        more = f"  and {len(self.dropped) - COMMONEST} others" if len(self.dropped) > COMMONEST else ""
        dropped = f"; dropped {counts}{more}" if counts else ""
        yield "text changed", f"{self.changed} of {self.clips} transcripts (--text={self.config.text}){dropped}"

    def _share(self, faults: Faults) -> str:
        return f"({faults.count} of {self.clips} clips): {faults}"

    def _foreign(self) -> str:
        counts = _most_common(self.foreign)
        shown = [f"{character!r} in {clips}" for character, clips in counts[:MAX_CHARACTERS]]
        more = f", and {len(counts) - MAX_CHARACTERS} more characters" if len(counts) > MAX_CHARACTERS else ""
        return ", ".join([f"{shown[0]} clip{'s' * (counts[0][1] != 1)}", *shown[1:]]) + more

    def _what_becomes_of_them(self) -> str:
        """What conversion does with foreign characters, and the flags that change it."""
        one = self.foreign_clips == 1
        clips = "this clip" if one else f"these {self.foreign_clips} clips"
        if self.config.unknown == "unk":
            return f"{clips} {'has' if one else 'have'} {vocab.UNKNOWN} in their place (--unknown=unk)"
        ways = []
        if takable := {character for character in self.trained if _is_takable(character)}:
            ways.append(f"--alphabet={FROM_DATA} takes {_those(takable, self.foreign, 'those of training clips')}")
        if marks := {character for character in self.foreign if not vocab.spoken(character)}:
            ways.append(f"--text=spoken drops {_those(marks, self.foreign, 'punctuation and symbols')}")
        return f"{clips} will be rejected; {', '.join([*ways, '--unknown=unk replaces them'])}"


def _those(some: set[str], of: Iterable[str], name: str) -> str:
    return "them" if some == set(of) else name


def _most_common(counts: Counter[str]) -> list[tuple[str, int]]:
    """Characters and counts, the most frequent first, ties sorted."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def check(
    catalog: Catalog, config: ConvertConfig, ends: Mapping[int, float | ClipError], track: Track = iter
) -> Findings:
    """Looks through all labels, without opening a video.

    Args:
      catalog: all clips, each with its split.
      config: of the conversion.
      ends: as `read_ends` returns them.
      track: wraps the clips, such as a progress bar.
    """
    found = Findings(config, len(catalog), ends=sum(not isinstance(end, ClipError) for end in ends.values()))
    for row, source in enumerate(track(catalog)):
        found.timed += bool(source.words)
        if source.untimed:
            found.untimed.add(source, source.untimed)
        end = ends.get(int(catalog.videos[row]))
        if isinstance(end, ClipError):
            found.unopened.add(source, end.detail)
            continue
        if source.span is None and end is not None:
            found.whole_s.append(end)
        try:
            text = ruled_text(source, config)
        except ClipError as error:
            found.unusable.add(source, error.detail)
            continue
        _count_characters(found, source, text)
        if what := _misplaced(source, config, end):
            found.misplaced.add(source, what)
    return found


def _count_characters(found: Findings, source: ClipSource, text: str) -> None:
    if foreign := foreign_characters(text, found.config):
        found.foreign_clips += 1
        found.foreign.update(foreign)
        if source.split == "train":
            found.trained.update(foreign)
    if found.config.text != "as_is" and (before := vocab.normalise(source.text)) != text:
        found.changed += 1
        dropped = set(before).difference(text, " ") | {"'"}  # of apostrophes some may stay
        found.dropped.update({mark: gone for mark in dropped if (gone := before.count(mark) - text.count(mark)) > 0})


def _misplaced(source: ClipSource, config: ConvertConfig, end: float | None) -> str:
    """What lies behind second `end` of the video, if that is known, or outside the span; empty where nothing does."""
    begin, stop = source.span or (0.0, end)
    if source.span and end is not None and stop > end + MAX_MISSING / config.fps:
        place = "begins" if begin >= end else "ends"
        return f"the span {begin:g} to {stop:g} s {place} after the end of the video, {end:g} s"
    if stop is None or (config.overlong == "truncate" and (stop - begin) * config.fps > config.max_frames):
        return ""
    allowed = (MAX_FRAMES_OUTSIDE + 1) / config.fps  # a frame more, since headers round
    shift = begin if source.times_from_first_frame else 0.0
    for word in source.words:
        first, last = word.start + shift, word.stop + shift
        if first < begin - allowed or last > stop + allowed:
            of = f"the span is {begin:g} to {stop:g} s" if source.span else f"the video ends at {stop:g} s"
            return f"{word.text!r} is said from {first:g} to {last:g} s, {of}"
    if source.labels_end is not None and abs(source.labels_end - stop) > MAX_LABELS_OFF_S:
        return f"the labels end at {source.labels_end:g} s, the video at {stop:g} s"
    return ""


def read_ends(catalog: Catalog, root: Path, origin: Url | None, fps: float) -> dict[int, float | ClipError]:
    """Reads the headers of a few videos, spread over the catalog: at most `MAX_HEADERS`, in a store `MAX_FETCHED`.

    Returns:
      By `Catalog.videos` the second of the end, or why the video cannot be opened. One that is missing, or has no end,
      is not in it. Nor is what is not read after `HEADERS_S` seconds, since a file that hangs costs a conversion one
      clip, and must not keep it from beginning.

    Raises:
      DataError: the store refuses or does not answer, or the disk is full.
    """
    rows = np.sort(np.unique(catalog.videos, return_index=True)[1])
    count = min(len(rows), MAX_HEADERS if origin is None else MAX_FETCHED)
    rows = rows[np.linspace(0, len(rows) - 1, count).astype(int)].tolist()
    chosen = [(int(catalog.videos[row]), catalog[row]) for row in rows]
    found: dict[int, float | ClipError] = {}
    errors: list[DataError] = []

    def read() -> None:
        try:
            for key, source in chosen:
                with contextlib.suppress(ClipError), mirror.fetched(source, root, origin) as (at_hand, base):
                    paths.check_video(at_hand.video, base)
                    if (end := _end(at_hand.video, fps)) is not None:
                        found[key] = end
        except DataError as error:
            errors.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(HEADERS_S)
    if errors:
        raise errors[0]
    return dict(found)


def _end(video: Path, fps: float) -> float | ClipError | None:
    try:
        return decode.end(video, fps=fps)
    except ClipError as error:
        return error


def alphabet_of(catalog: Catalog, config: ConvertConfig) -> str:
    """Returns the characters of the transcripts of training clips, sorted, and a blank, for `ConvertConfig.alphabet`.

    Transcripts that cannot be used count no more than characters that stand for damage: U+FFFD and lone surrogates.

    Args:
      catalog: all clips, each with its split.
      config: of the conversion; `text` is the rule of its transcripts.

    Raises:
      DataError: no training clip has a transcript.
    """
    found: set[str] = set()
    for source in Selection(catalog, catalog.split.rows("train")):
        with contextlib.suppress(ClipError):
            found.update(ruled_text(source, config))
    if not found:
        way_out = "give the characters themselves, or leave clips to train on (--val, --test, the table's split)"
        raise DataError(f"--alphabet={FROM_DATA}: no training clip has a transcript; {way_out}")
    return "".join(sorted({" ", *filter(_is_takable, found)}))


def _is_takable(character: str) -> bool:
    return character != vocab.UNKNOWN and unicodedata.category(character) != "Cs"
