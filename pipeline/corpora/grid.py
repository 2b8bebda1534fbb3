"""GRID (Cooke, Barker, Cunningham and Shao, JASA 2006): 34 talkers, 1000 six-word sentences each, 25 fps.

Layout: `s1/bbaf2n.mpg` (or another video format, or a directory of images `s1/bbaf2n/`), also in the folders of
`PLACES`, such as that of the high-quality videos, with `alignments/s1/bbaf2n.align`, `align/s1/…` or `s1/align/…`. A
line of an alignment is `start stop word` in units of 1/25000 s; without a word, or with a mark of `words.SILENCE`, it
is silence. Lines are sorted by start. The transcript of a clip without an alignment is the sentence that its name
encodes.

An alignment covers its clip: the last line ends where the clip does, as conversion checks to a second. Nothing else
tells samples of 8, 16, 44.1 or 48 kHz from these units. Those of 20 to 32 kHz pass; GRID's own sound has 25, its units.
"""

import operator
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths, words
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.records import storage
from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

UNITS_PER_SECOND = 25_000
UNIT = words.Unit("units of 1/25000 s", UNITS_PER_SECOND)
PLACES = ("", "video", "{}", "mpg_6000", "video/mpg_6000", "mpg_vcd", "video/mpg_vcd")  # of videos; {}: the speaker
FOREIGN = 10  # see `_is_foreign`
UNSEEN_SPEAKERS = frozenset({"s1", "s2", "s20", "s22"})  # the test split of LipNet (Assael et al. 2016)

_DIGITS = "zero one two three four five six seven eight nine"
SLOTS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z123456789", _DIGITS.split(), strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


def sentence(name: str) -> str | None:
    """Decodes a name: `bbaf2n` -> `bin blue at f two now`; None where it is not a GRID sentence."""
    if len(name) != len(SLOTS) or any(code not in slot for code, slot in zip(name, SLOTS, strict=True)):
        return None
    return " ".join(slot[code] for code, slot in zip(name, SLOTS, strict=True))


def read_alignment(path: Path, root: Path) -> tuple[tuple[SpokenWord, ...], float | None]:
    """Reads the words of an `.align` file below `root`, without silences, and the end of its last line, in seconds.

    Raises:
      ValueError: as `paths.read_text` and `words.check`; or a line is not `start stop word` with start <= stop.
    """
    spoken, end = [], None
    for number, line in enumerate(paths.read_text(path, root).splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,12})\s+(\d{1,12})(?:\s+(\S+))?\s*", line)
        if match is None or int(match[1]) > int(match[2]):
            want = f"want `start stop word` in whole {UNIT.name} with start <= stop"
            hint = "; decimals look like seconds" if re.match(r"\s*\d*\.\d+\s|\s*\d+\s+\d*\.\d+\s", line) else ""
            raise ValueError(f"{path.name} line {number}: {want}, got {line[:80]!r}{hint}")
        start, stop = int(match[1]) / UNIT.per_second, int(match[2]) / UNIT.per_second
        end = max(stop, end or 0.0)
        if not words.is_silence(word := match[3] or ""):
            spoken.append(SpokenWord(word.lower(), start, stop))
    spoken = words.by_start(spoken)
    words.check(spoken, path.name, UNIT)
    return tuple(spoken), end


def folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yields the folder of each speaker, and its videos.

    Raises:
      DataError: `root` is not a directory or has no speakers; or a directory cannot be read.
    """
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory with s1, s2, …")
    speakers = [folder for folder in paths.folders(root) if re.fullmatch(r"s\d+", folder.name)]
    if not speakers:
        raise DataError(f"{root}: no GRID speakers; want directories s1, s2, … with videos")
    for speaker in sorted(speakers, key=lambda folder: int(folder.name[1:])):
        places = filter(paths.is_folder, (speaker / place.format(speaker.name) for place in PLACES))
        yield speaker, [entry for place in places for entry in paths.entries(place) if _is_clip(entry)]


def clips(root: str | Path) -> Iterator[ClipSource]:
    """Yields the clips below `root`, speaker by speaker, with the split of unseen speakers.

    Raises:
      DataError: as `folders`.
    """
    root = storage.local(root)
    for speaker, videos in folders(root):
        found = _alignments(root, speaker.name)
        names = paths.Names(found)
        alignments = {video: names.find(f"{video.stem}.align") for video in videos}
        foreign = _is_foreign(alignments, len(found))
        for video in videos:
            yield _clip(root, speaker.name, video, alignments[video], foreign)


def _is_clip(entry: Path) -> bool:
    if paths.is_video(entry.name):
        return True
    return paths.is_folder(entry) and (sentence(entry.name) is not None or _may_hold_images(entry))


def _may_hold_images(folder: Path) -> bool:
    """Whether a directory has images, or cannot be listed, in which case conversion rejects it by name."""
    try:
        return bool(images.list_images(folder))
    except ClipError as error:
        return error.reason is not Reason.NO_VIDEO


def _alignments(root: Path, speaker: str) -> list[Path]:
    """The alignments of a speaker, those of the first folder first."""
    places = (root / "alignments" / speaker, root / "align" / speaker, root / speaker / "align")
    entries = (entry for place in places if paths.is_folder(place) for entry in paths.entries(place))
    return [entry for entry in entries if entry.suffix.lower() == ".align"]


def _is_foreign(alignments: dict[Path, Path | None], count: int) -> bool:
    """Whether `count` alignments are those of another speaker, as in copies of GRID whose folders are exchanged.

    Two speakers share 16 of their 1000 sentences on average, and these have other times.
    """
    shared = len(alignments) - list(alignments.values()).count(None)
    return shared * FOREIGN < min(len(alignments), count)


def _clip(root: Path, speaker: str, video: Path, alignment: Path | None, foreign: bool) -> ClipSource:
    text, spoken, problem, end = sentence(video.stem.lower()), (), "", None
    if alignment:
        try:
            _check_speaker(alignment, speaker, foreign)
            spoken, end = read_alignment(alignment, root)
            text = _check_sentence(alignment.name, " ".join(word.text for word in spoken), text)
        except ValueError as error:
            spoken, problem = (), str(error)
    elif text is None:
        problem = f"no alignment {video.stem}.align, and the name is not a GRID sentence such as bbaf2n"
    return ClipSource(
        id=f"{speaker}/{printable(video.stem)}",
        video=video,
        span=None,
        text=text or "",
        words=spoken,
        speaker=speaker,
        split="test" if speaker in UNSEEN_SPEAKERS else "train",
        problem=problem,
        labels_end=end,
    )


def _check_speaker(alignment: Path, speaker: str, foreign: bool) -> None:
    if foreign:
        advice = "they are another speaker's: exchange the folders, or remove this one"
        raise ValueError(f"{alignment.name}: most alignments beside it name no clip of {speaker}; {advice}")


def _check_sentence(name: str, text: str, named: str | None) -> str:
    """Returns the text of an alignment, which is not another GRID sentence than its name; other words may be any.

    Raises:
      ValueError: it is another sentence.
    """
    spoken = text.split()
    is_sentence = len(spoken) == len(SLOTS) and all(map(operator.contains, map(dict.values, SLOTS), spoken))
    if named is not None and text != named and is_sentence:
        raise ValueError(f"{name}: the words are {text!r}, but the name says {named!r}; one of them is another clip's")
    return text
