r"""Captions, SubRip (`.srt`) or WebVTT (`.vtt`): each is a phrase without times of words.

Tags such as `<i>` and `{\an8}` are removed, and lines joined. Marks of sounds such as `[music]` stay. `<v Ann>` of
WebVTT names the speaker; its comments, styles, names of cues and times within cues are left out.
"""

import html
import itertools
import re

from pysubs2 import SSAEvent, SSAFile

from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels, Phrase

ARROW = "-->"
STAMPS = {"srt": r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}", "vtt": r"(?:\d{2,4}:)?\d{2}:\d{2}\.\d{3}"}
NAMES = "b|i|u|s|em|strong|font|span|c|v|lang|ruby|rt"  # of tags of SubRip and WebVTT
TAG = re.compile(rf"</?(?:{NAMES})(?:[\s.][^<>]*)?>|\{{\\[^{{}}]*\}}", re.IGNORECASE)
BREAK = re.compile(r"<br\s*/?>|\\N", re.IGNORECASE)  # of a line; pysubs2 writes the second
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^\s<>][^<>]*)>")
BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")  # of any number, over which pysubs2 takes the square of the time
MAX_CHARACTERS = 2000  # of a caption
INNER_TIME = re.compile(r"<[\d:.]+>")  # of a word in a cue; pysubs2 takes a line with two of them for a cue's times
LINE_OF_TIMES = re.compile(rf"^(?=.*{ARROW})", re.MULTILINE)  # its beginning
NEXT = "0\n"  # pysubs2 takes a number at the end of a caption for that of the next one


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the captions.

    Args:
      text: content of the file; WebVTT if it begins with `WEBVTT`, else SubRip.
      name: of the file, for messages.
      recording: not used, since a file has one recording.

    Raises:
      ValueError: as `phrases.of_phrases`; a line of times cannot be read, there is no caption, or captions repeat the
        lines of those before them.
    """
    del recording
    text = "\n".join(text.splitlines())
    kind = "vtt" if text.startswith("WEBVTT") else "srt"
    _check_times(text, kind, name)
    cues = _cues(text) if kind == "vtt" else BLANK_LINES.sub("\n\n", _numbered(text)).rstrip() + f"\n\n{NEXT}"
    try:
        events = SSAFile.from_string(cues, kind, keep_html_tags=True).events
    except ValueError as error:  # of half a time in a text
        raise ValueError(f"{name}: a line of text has times in it ({error}); remove them") from error
    if len(events) != text.count(ARROW):
        raise ValueError(f"{name}: {len(events)} captions with {text.count(ARROW)} lines of times; want one each")
    lines = [_lines(event, kind, name) for event in events]
    _check_not_rolling(lines, name)
    found = (_phrase(event, said, name) for event, said in zip(events, lines, strict=True))
    return phrases.of_phrases(found, name)


def _check_times(text: str, kind: str, name: str) -> None:
    """Checks that there are captions, each with two times."""
    times = re.compile(rf"\s*{STAMPS[kind]}\s*{ARROW}\s*{STAMPS[kind]}(?:\s|$)", re.ASCII)
    for number, line in enumerate(text.split("\n"), start=1):
        if ARROW in line and not times.match(line):
            form = "00:00:01.500 --> 00:00:02.000" if kind == "vtt" else "00:00:01,500 --> 00:00:02,000"
            raise ValueError(f"{name} line {number}: want times such as `{form}`, got {line[:80]!r}")
    if ARROW not in text:
        raise ValueError(f"{name}: no captions; want SubRip or WebVTT, a line `start --> stop` above each text")


def _numbered(text: str) -> str:
    """The captions of SubRip with a number each, which some programs leave out."""
    return text if ARROW not in text.strip().split("\n")[0] else LINE_OF_TIMES.sub(NEXT, text)


def _cues(text: str) -> str:
    """The cues of WebVTT with a number each, in place of their names, and without other blocks."""
    blocks = (block.split("\n") for block in BLANK_LINES.split(INNER_TIME.sub("", text)))
    cues = ("\n".join(block[_times(block) :]) for block in blocks if _times(block) < len(block))
    return "".join(f"{NEXT}{cue}\n\n" for cue in cues) + NEXT


def _times(block: list[str]) -> int:
    """The line of a block that has the times; its length where none has."""
    return next((number for number, line in enumerate(block) if ARROW in line), len(block))


def _lines(event: SSAEvent, kind: str, name: str) -> list[str]:
    """The lines of a caption, without tags and without blank ones."""
    if len(event.text) > MAX_CHARACTERS:
        place = f"{name}: the caption of {event.start / 1000:.6g} s"
        raise ValueError(f"{place} has {len(event.text):,} characters; want {MAX_CHARACTERS:,} at most")
    text = BREAK.sub("\n", TAG.sub("", event.text))
    lines = (html.unescape(text) if kind == "vtt" else text).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _check_not_rolling(captions: list[list[str]], name: str) -> None:
    """Checks that captions of several lines do not begin with the last line before them, as automatic ones do."""
    pairs = [(before, lines) for before, lines in itertools.pairwise(filter(None, captions)) if len(lines) > 1]
    repeats = [lines[0] for before, lines in pairs if lines[0] == before[-1]]
    if len(repeats) > max(1, len(pairs) / 2):
        first = f"{len(repeats)} captions begin with the last line before them, such as {repeats[0][:80]!r}"
        raise ValueError(f"{name}: {first}; {phrases.ROLLING}")


def _phrase(event: SSAEvent, lines: list[str], name: str) -> Phrase:
    speakers = {phrases.clean_name(html.unescape(speaker), name) for speaker in VOICE.findall(event.text)}
    speaker = speakers.pop() if len(speakers) == 1 else ""
    return Phrase(phrases.clean(" ".join(lines), name), event.start / 1000, event.end / 1000, speaker=speaker)
