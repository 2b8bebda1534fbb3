"""CTM, as NIST's sclite and Kaldi write it: a line a word, `recording channel start duration word [confidence]`.

Times are in seconds. A line that begins with `;;` is a comment. Lines may be in any order.
"""

import re
import unicodedata
from typing import NamedTuple

from pipeline.corpora import words
from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels
from pipeline.corpora.source import SpokenWord

ROW = re.compile(r"(\S+)\s+(\S+)\s+(\d+(?:\.\d*)?|\.\d+)\s+(\d+(?:\.\d*)?|\.\d+)\s+(\S+)(?:\s+\S+)?", re.ASCII)
SHOWN = 5  # recordings that a message names


class _Row(NamedTuple):
    recording: str
    channel: str
    word: SpokenWord


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the words of a recording.

    Args:
      text: content of the file.
      name: of the file, for messages.
      recording: which rows count, where the file has several recordings.

    Raises:
      ValueError: as `words.check`; a line is no row of CTM; of several recordings none is `recording`; or the recording
        has several channels.
    """
    rows = [_row(line, f"{name} line {number}") for number, line in enumerate(text.splitlines(), 1) if _counts(line)]
    recording = unicodedata.normalize("NFC", recording)
    recordings = list(dict.fromkeys(row.recording for row in rows))
    if len(recordings) > 1:
        if recording not in recordings:
            found = ", ".join(map(repr, recordings[:SHOWN])) + ", …" * (len(recordings) > SHOWN)
            raise ValueError(f"{name}: no rows of {recording!r}, the name of the video; the recordings are {found}")
        rows = [row for row in rows if row.recording == recording]
    if len(channels := sorted({row.channel for row in rows})) > 1:
        want = "want one, of the talker whom the video shows: remove the rows of the others"
        raise ValueError(f"{name}: {len(channels)} channels, {channels[0]!r} and {channels[1]!r}; {want}")
    return phrases.of_words(words.by_start([row.word for row in rows if row.word.text]), name)


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(";;")


def _row(line: str, place: str) -> _Row:
    match = ROW.fullmatch(line.strip())
    if match is None:
        want = "want `recording channel start duration word confidence` in seconds, the last optional"
        raise ValueError(f"{place}: {want}, got {line[:80]!r}")
    start, duration = float(match[3]), float(match[4])
    return _Row(
        unicodedata.normalize("NFC", match[1]),
        match[2],
        SpokenWord(phrases.clean(match[5], place), start, start + duration),
    )
