"""GRID (Cooke, Barker, Cunningham and Shao, JASA 2006): 34 talkers, 1000 six-word sentences each, 25 fps.

Layout: `s1/bbaf2n.mpg` (or another video format, or a directory of images `s1/bbaf2n/`), also below `s1/video/` or
`s1/s1/`, with `alignments/s1/bbaf2n.align`, `align/s1/…` or `s1/align/…`. A line of an alignment is `start stop word`
in units of 1/25000 s. The transcript of a clip without an alignment is the sentence that its name encodes.
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


def read_alignment(path: Path, root: Path) -> tuple[SpokenWord, ...]:
    """Reads the words of an `.align` file below `root`, with times in seconds and without silences.

    Raises:
      ValueError: as `paths.read_text`; or a line is not `start stop word` with start <= stop.
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
    """Yields the clips below `root`, speaker by speaker, with the split of unseen speakers.

    Raises:
      DataError: `root` is not a directory or has no speakers; or a directory cannot be read.
    """
    speakers = _speakers(root)
    if not speakers:
        raise DataError(f"{root}: no GRID speakers; want directories s1, s2, … with videos")
    for speaker in speakers:
        for video in _videos(root / speaker):
            yield _clip(root, speaker, video)


def _speakers(root: Path) -> list[str]:
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory with s1, s2, …")
    names = [folder.name for folder in paths.folders(root) if re.fullmatch(r"s\d+", folder.name)]
    return sorted(names, key=lambda name: int(name[1:]))


def _videos(folder: Path) -> list[Path]:
    folders = filter(paths.is_folder, (folder, folder / "video", folder / folder.name))
    return [entry for place in folders for entry in paths.entries(place) if _is_clip(entry)]


def _is_clip(entry: Path) -> bool:
    if entry.suffix.lower() in paths.VIDEO_SUFFIXES:
        return True
    return paths.is_folder(entry) and (sentence(entry.name) is not None or _may_hold_images(entry))


def _may_hold_images(folder: Path) -> bool:
    """Whether a directory has images, or cannot be listed, in which case conversion rejects it by name."""
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
    folders = (root / "alignments" / speaker, root / "align" / speaker, root / speaker / "align")
    return next(filter(paths.exists, (folder / f"{name}.align" for folder in folders)), None)
