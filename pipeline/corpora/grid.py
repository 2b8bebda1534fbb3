"""GRID (Cooke, Barker, Cunningham and Shao, JASA 2006): 34 talkers, 1000 six-word sentences each, 25 fps.

Layout: `s1/bbaf2n.mpg` (or another video format, or a directory of images `s1/bbaf2n/`), also below `s1/video/` or
`s1/s1/`, with `alignments/s1/bbaf2n.align`, `align/s1/…` or `s1/align/…`. An alignment line is `start stop word` in
units of 1/25000 s; a clip without one gets its sentence from its name.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

UNITS_PER_SECOND = 25_000
SILENCE = frozenset({"sil", "sp"})
UNSEEN_SPEAKERS = frozenset({"s1", "s2", "s20", "s22"})  # held out by LipNet (Assael et al. 2016), then by all

_DIGITS = dict(
    zip("z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
)
SLOTS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    _DIGITS,
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


def sentence(name: str) -> str | None:
    """`bbaf2n` -> `bin blue at f two now`; None where the name is not of this code."""
    if len(name) != len(SLOTS) or any(code not in slot for code, slot in zip(name, SLOTS, strict=True)):
        return None
    return " ".join(slot[code] for code, slot in zip(name, SLOTS, strict=True))


def read_alignment(path: Path, root: Path) -> tuple[SpokenWord, ...]:
    """The words of an `.align` file below `root` with their times in seconds, silences left out.

    Raises:
      ValueError: as `paths.read_text`; or a line is not `start stop word`, or its times run backwards.
    """
    words = []
    for number, line in enumerate(paths.read_text(path, root).splitlines(), start=1):
        match = re.fullmatch(r"\s*(\d{1,12})\s+(\d{1,12})\s+(\S+)\s*", line)
        if match is None or int(match[1]) > int(match[2]):
            want = "want `start stop word` with start <= stop"
            raise ValueError(f"{path.name} line {number}: {want}, got {line[:80]!r}")
        if match[3].lower() not in SILENCE:
            start, stop = int(match[1]) / UNITS_PER_SECOND, int(match[2]) / UNITS_PER_SECOND
            words.append(SpokenWord(match[3].lower(), start, stop))
    return tuple(words)


def clips(root: Path) -> Iterator[ClipSource]:
    """Every clip below `root`, speaker by speaker; `split` is the published unseen-speaker split.

    Raises:
      DataError: `root` is not a directory, or holds no speaker; or a speaker's directory may not be read.
    """
    speakers = _speakers(root)
    if not speakers:
        raise DataError(f"{root}: no GRID speaker; want directories s1, s2, … with videos in them")
    for speaker in speakers:
        for video in _videos(root / speaker):
            yield _clip(root, speaker, video)


def _speakers(root: Path) -> list[str]:
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory that holds s1, s2, …")
    names = [folder.name for folder in paths.folders(root) if re.fullmatch(r"s\d+", folder.name)]
    return sorted(names, key=lambda name: int(name[1:]))


def _videos(folder: Path) -> list[Path]:
    places = [place for place in (folder, folder / "video", folder / folder.name) if paths.is_folder(place)]
    return [entry for place in places for entry in paths.entries(place) if _is_clip(entry)]


def _is_clip(entry: Path) -> bool:
    if entry.suffix.lower() in paths.VIDEO_SUFFIXES:
        return True
    return paths.is_folder(entry) and (sentence(entry.name) is not None or _may_hold_images(entry))


def _may_hold_images(folder: Path) -> bool:
    """Whether there are images in it; so too where it may not be listed, for conversion to reject it by name."""
    try:
        return bool(images.list_images(folder))
    except ClipError as error:
        return error.reason is not Reason.NO_VIDEO


def _clip(root: Path, speaker: str, video: Path) -> ClipSource:
    text, words, problem = sentence(video.stem), (), ""
    if alignment := _alignment(root, speaker, video.stem):
        try:
            words = read_alignment(alignment, root)
            text = " ".join(word.text for word in words)
        except ValueError as error:
            problem = str(error)
    elif text is None:
        problem = f"no alignment {video.stem}.align, and the name is not a GRID sentence such as bbaf2n"
    return ClipSource(
        id=f"{speaker}/{printable(video.stem)}",
        video=video,
        span=None,
        text=text or "",
        words=words,
        speaker=speaker,
        split="test" if speaker in UNSEEN_SPEAKERS else "train",
        problem=problem,
    )


def _alignment(root: Path, speaker: str, name: str) -> Path | None:
    folders = (
        root / "alignments" / speaker,
        root / "align" / speaker,
        root / speaker / "align",
    )
    return next((p for p in (folder / f"{name}.align" for folder in folders) if paths.exists(p)), None)
