"""LRS2-BBC (Afouras et al., PAMI 2018) and LRS3-TED (Afouras, Chung and Zisserman, 2018): sentences in the wild.

Layout: `SET/TALK/00001.mp4` beside `00001.txt`. The sets of LRS3 are its split: pretrain and trainval for training,
test. Those of LRS2 are pretrain, for training, and main, which the published lists train.txt, val.txt and test.txt
beside it divide: a line is `TALK/00001`, with or without a mark such as NF after it. A `.txt` says `Text:  WHAT IS
SAID` and, where word times are known, the table `WORD START END ASDSCORE` in seconds of the clip. Marks such as `{LG}`
or `{NS}` (laughter, noise) are left out. The talk (a broadcast, a video) stands for the speaker, who is not named.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.corpora.splits import SPLITS
from pipeline.schema import DataError
from pipeline.vocab import normalise

SETS = {"pretrain": "train", "trainval": "train", "main": None, "test": "test"}  # None: the lists say
TABLE = ["WORD", "START", "END"]  # how its head begins


def read_transcript(path: Path, root: Path) -> tuple[str, tuple[SpokenWord, ...]]:
    """The text of a `.txt`, lower case, and its words with their times where it has any.

    Raises:
      ValueError: as `paths.read_text`; or there is not one line `Text:`, a line of the table is not `word start end`,
        or the table has other words than the text.
    """
    lines = paths.read_text(path, root).splitlines()
    said = [line.removeprefix("Text:") for line in lines if line.startswith("Text:")]
    if len(said) != 1:
        raise ValueError(f"{path.name}: want one line `Text: …`, got {len(said)}")
    text, words = _plain(said[0]), _timed(lines, path.name)
    if words:
        for here, timed in itertools.zip_longest(text.split(), (word.text for word in words), fillvalue=""):
            if here != timed:
                raise ValueError(f"{path.name}: the text has {here!r} where the word times have {timed!r}")
    return text, words


def _plain(text: str) -> str:
    return normalise(re.sub(r"\{[^{}]*\}", " ", text))


def _timed(lines: list[str], name: str) -> tuple[SpokenWord, ...]:
    head = next((n for n, line in enumerate(lines) if line.split()[:3] == TABLE), len(lines))
    words = []
    for number, line in enumerate(itertools.takewhile(str.strip, lines[head + 1 :]), start=head + 2):
        match = re.fullmatch(r"\s*(\S+)\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)(?:\s+\S+)?\s*", line)
        if match is None or float(match[2]) > float(match[3]):
            raise ValueError(f"{name} line {number}: want `word start end score` with start <= end, got {line[:80]!r}")
        if word := _plain(match[1]):
            words.append(SpokenWord(word, float(match[2]), float(match[3])))
    return tuple(words)


def clips(root: Path) -> Iterator[ClipSource]:
    """Every clip below `root`, set by set.

    Raises:
      DataError: `root` is not a directory or holds no set; a directory or a list cannot be read; or a list has a clip
        of another.
    """
    if not paths.is_folder(root):
        raise DataError(
            f"{root}: no such directory; --source wants the directory that holds main, or trainval and test"
        )
    sets = [name for name in SETS if paths.is_folder(root / name)]
    if not sets:
        raise DataError(f"{root}: no set of LRS2 or LRS3; want directories among {', '.join(SETS)}")
    listed = _listed(root)
    for name in sets:
        for talk in paths.folders(root / name):
            for video in paths.videos(talk):
                yield _clip(root, video, SETS[name] or listed.get(f"{talk.name}/{video.stem}"))


def _listed(root: Path) -> dict[str, str]:
    """The clips of main in LRS2's lists, each with its split."""
    found: dict[str, tuple[str, str]] = {}
    for split in SPLITS:
        if not paths.exists(path := root / f"{split}.txt"):
            continue
        try:
            lines = paths.read_text(path, root, paths.TABLE_BYTES).splitlines()
        except ValueError as error:
            raise DataError(f"{root}: {error}") from error
        for number, line in enumerate(lines, start=1):
            clip, here = re.sub(r"\s+[A-Z]{2,3}$", "", line.strip()), f"{path} line {number}"
            if clip and found.setdefault(clip, (split, here))[0] != split:
                raise DataError(f"{here}: {clip!r} is in {found[clip][1]} too; a clip is in one split: remove one")
    return {clip: split for clip, (split, _) in found.items()}


def _clip(root: Path, video: Path, split: str | None) -> ClipSource:
    text, words, problem = "", (), ""
    try:
        text, words = read_transcript(video.with_suffix(".txt"), root)
    except ValueError as error:
        problem = str(error)
    return ClipSource(
        id=printable(video.relative_to(root).with_suffix("").as_posix()),
        video=video,
        span=None,
        text=text,
        words=words,
        speaker=printable(video.parent.name),
        split=split,
        problem=problem,
    )
