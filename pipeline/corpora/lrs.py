"""LRS2-BBC (Afouras et al., PAMI 2018) and LRS3-TED (Afouras, Chung and Zisserman, 2018): sentences in the wild.

Layout: `SET/TALK/00001.mp4` beside `00001.txt`. LRS3 has the sets pretrain and trainval (both split train) and test.
LRS2 has the sets pretrain (split train) and main, which the published lists train.txt, val.txt and test.txt beside it
split. A line of a list is `TALK/00001`, with or without a mark such as NF after it.

A label file has a line `Text:  TRANSCRIPT` and, where word times are known, the table `WORD START END ASDSCORE` in
seconds of the clip. Marks such as `{LG}` and `{NS}` (laughter, noise) are removed. The corpora do not name speakers, so
the talk (a broadcast, a video) is the speaker.
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

SETS = {"pretrain": "train", "trainval": "train", "main": None, "test": "test"}  # None: split by the lists
TABLE = ["WORD", "START", "END"]  # the first columns of the table's header


def read_transcript(path: Path, root: Path) -> tuple[str, tuple[SpokenWord, ...]]:
    """Reads the lower-case transcript of a label file, and its words with times where it has them.

    Raises:
      ValueError: as `paths.read_text`; or the file has not exactly one line `Text:`, a line of the table is not
        `word start end`, or the words of the table differ from the transcript.
    """
    lines = paths.read_text(path, root).splitlines()
    texts = [line.removeprefix("Text:") for line in lines if line.startswith("Text:")]
    if len(texts) != 1:
        raise ValueError(f"{path.name}: want one line `Text: …`, got {len(texts)}")
    text, words = _remove_marks(texts[0]), _word_times(lines, path.name)
    if words:
        for here, timed in itertools.zip_longest(text.split(), (word.text for word in words), fillvalue=""):
            if here != timed:
                raise ValueError(f"{path.name}: the text has {here!r} where the word times have {timed!r}")
    return text, words


def _remove_marks(text: str) -> str:
    return normalise(re.sub(r"\{[^{}]*\}", " ", text))


def _word_times(lines: list[str], name: str) -> tuple[SpokenWord, ...]:
    head = next((n for n, line in enumerate(lines) if line.split()[:3] == TABLE), len(lines))
    words = []
    for number, line in enumerate(itertools.takewhile(str.strip, lines[head + 1 :]), start=head + 2):
        match = re.fullmatch(r"\s*(\S+)\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)(?:\s+\S+)?\s*", line)
        if match is None or float(match[2]) > float(match[3]):
            raise ValueError(f"{name} line {number}: want `word start end score` with start <= end, got {line[:80]!r}")
        if word := _remove_marks(match[1]):
            words.append(SpokenWord(word, float(match[2]), float(match[3])))
    return tuple(words)


def clips(root: Path) -> Iterator[ClipSource]:
    """Yields the clips below `root`, set by set.

    Raises:
      DataError: `root` is not a directory or has no sets; a directory or a list cannot be read; or a clip is in
        several lists.
    """
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory with main, or with trainval and test")
    sets = [name for name in SETS if paths.is_folder(root / name)]
    if not sets:
        raise DataError(f"{root}: no sets of LRS2 or LRS3; want directories among {', '.join(SETS)}")
    splits = _read_lists(root)
    for name in sets:
        for talk in paths.folders(root / name):
            for video in paths.videos(talk):
                yield _clip(root, video, SETS[name] or splits.get(f"{talk.name}/{video.stem}"))


def _read_lists(root: Path) -> dict[str, str]:
    """Reads LRS2's lists: clip of main -> split."""
    found: dict[str, tuple[str, str]] = {}
    for split in SPLITS:
        if not paths.exists(path := root / f"{split}.txt"):
            continue
        try:
            lines = paths.read_text(path, root, paths.MAX_TABLE_BYTES).splitlines()
        except ValueError as error:
            raise DataError(f"{root}: {error}") from error
        for number, line in enumerate(lines, start=1):
            clip, here = re.sub(r"\s+[A-Z]{2,3}$", "", line.strip()), f"{path} line {number}"
            if clip and found.setdefault(clip, (split, here))[0] != split:
                raise DataError(f"{here}: {clip!r} is also in {found[clip][1]}; a clip has one split: remove one line")
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
