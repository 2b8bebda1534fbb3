"""LRS2-BBC (Afouras et al., PAMI 2018) and LRS3-TED (Afouras, Chung and Zisserman, 2018): sentences in the wild.

Layout: `SET/TALK/00001.mp4` beside `00001.txt`. LRS3 has the sets pretrain and trainval (both split train) and test.
LRS2 has the sets pretrain (split train) and main, which the published lists train.txt, val.txt and test.txt beside it
split. A line of a list is `TALK/00001`, with or without a mark such as NF after it.

A label file has a line `Text:  TRANSCRIPT` and, where word times are known, the table `WORD START END ASDSCORE` in
seconds of the clip, in the order of the transcript. Marks such as `{LG}` and `{NS}` (laughter, noise) are removed, and
marks of `words.SILENCE` that the transcript lacks. The corpora do not name speakers, so the talk (a broadcast, a video)
is the speaker: --split_by=speaker keeps it in one split, and splices of a broadcast may join several faces, unless
with --splice=0 of scripts.train.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora import paths, words
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.corpora.splits import SPLITS
from pipeline.records import storage
from pipeline.schema import DataError
from pipeline.vocab import normalise

SETS = {"pretrain": "train", "trainval": "train", "main": None, "test": "test"}  # None: split by the lists
TABLE = ["WORD", "START", "END"]  # the first columns of the header of word times
FACES = ["FRAME", "X", "Y"]  # of the table of face boxes in LRS3, which is not read
ROW = re.compile(r"\s*(\S+)\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)(?:\s+\S+)?\s*")
FIELD = re.compile(r"\s*[A-Za-z][A-Za-z ]*:.*")  # Text:, Conf:, Ref:


def read_transcript(path: Path, root: Path) -> tuple[str, tuple[SpokenWord, ...]]:
    """Reads the lower-case transcript of a label file, and its words with times where it has them.

    Raises:
      ValueError: as `paths.read_text` and `words.check`; or the file has not exactly one line `Text:`, a line of the
        table is not `word start end`, another line is of no known form, or the words of the table differ from the
        transcript.
    """
    lines = paths.read_text(path, root).splitlines()
    texts = [line.removeprefix("Text:") for line in lines if line.startswith("Text:")]
    if len(texts) != 1:
        raise ValueError(f"{path.name}: want one line `Text: …`, got {len(texts)}")
    text, spoken = _remove_marks(texts[0]), _word_times(lines, path.name)
    if spoken is None:
        return text, ()
    said = text.split()
    spoken = [word for word in spoken if word.text in said or not words.is_silence(word.text)]
    for here, timed in itertools.zip_longest(said, (word.text for word in spoken), fillvalue=""):
        if here != timed:
            raise ValueError(f"{path.name}: the text has {here!r} where the word times have {timed!r}")
    words.check(spoken, path.name)
    return text, tuple(spoken)


def _remove_marks(text: str) -> str:
    return normalise(re.sub(r"\{[^{}]*\}", " ", text))


def _word_times(lines: list[str], name: str) -> list[SpokenWord] | None:
    """The rows of the table of word times; None where a file has no such table."""
    found, table = None, []
    for number, line in enumerate(lines, start=1):
        row, header = ROW.fullmatch(line), line.upper().split()[:3]
        if header in (TABLE, FACES):
            table = header
            found = found or [] if table == TABLE else found
        elif table == TABLE and row and float(row[2]) <= float(row[3]):
            if word := _remove_marks(row[1]):
                found.append(SpokenWord(word, float(row[2]), float(row[3])))
        elif FIELD.fullmatch(line):
            table = []
        elif table == TABLE and line.strip():
            raise ValueError(f"{name} line {number}: want `word start end score` with start <= end, got {line[:80]!r}")
        elif table != FACES and line.strip():
            want = f"want `Text: …`, `Conf: …`, or word times below the header `{' '.join(TABLE)} …`"
            raise ValueError(f"{name} line {number}: {want}, got {line[:80]!r}")
    return found


def folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yields the folder of each talk, set by set, and its videos.

    Raises:
      DataError: `root` is not a directory or has no sets; or a directory cannot be read.
    """
    if not paths.is_folder(root):
        raise DataError(f"{root}: no such directory; --source wants the directory with main, or with trainval and test")
    sets = [name for name in SETS if paths.is_folder(root / name)]
    if not sets:
        raise DataError(f"{root}: no sets of LRS2 or LRS3; want directories among {', '.join(SETS)}")
    for name in sets:
        yield from ((talk, paths.videos(talk)) for talk in paths.folders(root / name))


def clips(root: str | Path) -> Iterator[ClipSource]:
    """Yields the clips below `root`, set by set.

    Raises:
      DataError: as `folders`; or a list cannot be read, or a clip is in several lists.
    """
    root = storage.local(root)
    splits = _read_lists(root)
    for talk, videos in folders(root):
        labels = paths.Names(paths.entries(talk))
        for video in videos:
            split = SETS[talk.parent.name] or splits.get(f"{talk.name}/{video.stem}")
            yield _clip(root, video, labels, split)


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


def _clip(root: Path, video: Path, labels: paths.Names, split: str | None) -> ClipSource:
    text, spoken, problem = "", (), ""
    label = video.with_suffix(".txt")
    try:
        text, spoken = read_transcript(labels.find(label.name) or label, root)
    except ValueError as error:
        problem = str(error)
    return ClipSource(
        id=printable(video.relative_to(root).with_suffix("").as_posix()),
        video=video,
        span=None,
        text=text,
        words=spoken,
        speaker=printable(video.parent.name),
        split=split,
        problem=problem,
    )
