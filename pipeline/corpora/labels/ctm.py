"""CTM, as NIST's sclite and Kaldi write it: a line a word, `recording channel start duration word [confidence]`.

Times are in seconds. A line that begins with `;;` is a comment. Lines may be in any order. The name of a recording is
the path of its video without suffix, or else the last part of it; the only one of a file with the video's name may have
another, as programs give it.
"""

import itertools
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora import words
from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels
from pipeline.corpora.source import SpokenWord

ROW = re.compile(r"(\S+)\s+(\S+)\s+(\d+(?:\.\d*)?|\.\d+)\s+(\d+(?:\.\d*)?|\.\d+)\s+(\S+)(?:\s+\S+)?", re.ASCII)
SHOWN = 5  # recordings that a message names


class Row(NamedTuple):
    """A word, on a channel of a recording, whose name is NFC."""

    recording: str
    channel: str
    word: SpokenWord


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the words of a recording.

    Args:
      text: content of the file.
      name: of the file, for messages.
      recording: which rows count.

    Raises:
      ValueError: as `words.check`; a line is no row of CTM; no recording is `recording`; or the recording has several
        channels.
    """
    return of_recording(parse(text, name), name, recording)


def parse(text: str, name: str) -> dict[str, list[Row]]:
    """Returns the rows of each recording, in the order of the file.

    Raises:
      ValueError: a line is no row of CTM.
    """
    found: dict[str, list[Row]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith(";;"):
            row = _row(line, f"{name} line {number}")
            found.setdefault(row.recording, []).append(row)
    return found


def of_recording(recordings: dict[str, list[Row]], name: str, recording: str) -> Labels:
    """Returns the words of a recording of those that a file has; arguments and errors as of `read`."""
    path, own_file = (unicodedata.normalize("NFC", each) for each in (recording, Path(name).stem))
    recording = path if path in recordings else path.rpartition("/")[2]
    has_any_name = len(recordings) == 1 and recording == own_file
    if recordings and recording not in recordings and not has_any_name:
        found = ", ".join(map(repr, itertools.islice(recordings, SHOWN))) + ", …" * (len(recordings) > SHOWN)
        raise ValueError(f"{name}: no rows of {recording!r}, the name of the video; the recordings are {found}")
    rows = next(iter(recordings.values())) if has_any_name else recordings.get(recording, [])
    if len(channels := sorted({row.channel for row in rows})) > 1:
        want = "want one, of the talker whom the video shows: remove the rows of the others"
        raise ValueError(f"{name}: {len(channels)} channels, {channels[0]!r} and {channels[1]!r}; {want}")
    return phrases.of_words(words.by_start([row.word for row in rows if row.word.text]), name)


def _row(line: str, place: str) -> Row:
    match = ROW.fullmatch(line.strip())
    if match is None or len(match[5].split()) != 1:  # which blanks of other alphabets make more
        want = "want `recording channel start duration word confidence` in seconds, the last optional"
        raise ValueError(f"{place}: {want}, got {line[:80]!r}")
    start, duration = float(match[3]), float(match[4])
    return Row(
        unicodedata.normalize("NFC", match[1]),
        match[2],
        SpokenWord(phrases.clean(match[5], place), start, start + duration),
    )
