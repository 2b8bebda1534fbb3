"""What is to be read of a split: spans of records, chosen and cut to length. Pure NumPy."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Literal

import numpy as np

from pipeline.loading import windows
from pipeline.loading.mixture import sources
from pipeline.records.directory import DatasetDir
from pipeline.schema import CONTEXT, DataError
from pipeline.vocab import Vocabulary

UNITS = ("sentence", "word")
MAX_MARGIN = 100  # frames
LISTED = 20  # choices in an error message


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What an example is.

    Attributes:
      vocabulary: of the labels.
      unit: `sentence`, a whole clip; or `word`, each aligned word with its margin.
      margin: frames before and after a word.
      padding: `valid` (F frames give F - 4 windows) or `same` (F windows).
      speakers: only clips of these; empty for all.
      words: only these words, or sentences of these words alone; empty for all.
      max_frames: the longest example, None for any length.
      overlong: `skip` longer ones, or `truncate` them: of a word the frames around its middle stay, of a sentence the
        first ones, with the words that end in them.
    """

    vocabulary: Vocabulary
    unit: Literal["sentence", "word"] = "sentence"
    margin: int = 5
    padding: Literal["valid", "same"] = "valid"
    speakers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    max_frames: int | None = None
    overlong: Literal["skip", "truncate"] = "skip"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit: want {' or '.join(UNITS)}, got {self.unit!r}")
        if not 0 <= self.margin <= MAX_MARGIN:
            raise ValueError(f"margin: want 0 to {MAX_MARGIN} frames, got {self.margin}")
        if self.padding not in windows.PADDINGS:
            raise ValueError(f"padding: want {' or '.join(windows.PADDINGS)}, got {self.padding!r}")
        if self.max_frames is not None and self.max_frames < CONTEXT:
            raise ValueError(f"max_frames: want at least {CONTEXT}, one window, got {self.max_frames}")
        if self.overlong not in ("skip", "truncate"):
            raise ValueError(f"overlong: want skip or truncate, got {self.overlong!r}")

    def whole(self) -> "DataConfig":
        """The same examples, none left out and none cut: what a score is taken on."""
        return dataclasses.replace(self, speakers=(), words=(), max_frames=None)


@dataclasses.dataclass(frozen=True)
class Examples:
    """What is to be read: N spans of records, as columns.

    Attributes:
      record: int64 [N], index row.
      start, stop: int64 [N], the frames to read, `[start, stop)`.
      inside_start, inside_stop: int64 [N], the frames of the unit itself, without its margin.
      word: int64 [N], which word of the record; -1 for the whole clip.
      kept: int64 [N], how many words are left of a sentence that was cut; -1 where none was.
      least: int64 [N], the fewest frames that hold the label.
      source: int64 [N], which dataset of a mixture.
    """

    record: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    inside_start: np.ndarray
    inside_stop: np.ndarray
    word: np.ndarray
    kept: np.ndarray
    least: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.record)

    @property
    def frames(self) -> np.ndarray:
        return self.stop - self.start

    def where(self, chosen: np.ndarray) -> "Examples":
        """The rows that a mask bool [N] chooses."""
        return Examples(**{field.name: getattr(self, field.name)[chosen] for field in dataclasses.fields(self)})


def examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """The examples of a split.

    Raises:
      DataError: no such split, an empty one, one without word times where words are wanted, none that the filters
        leave, or a label that the vocabulary does not have.
    """
    table = (words if config.unit == "word" else sentences)(dataset, split, config)
    if not len(table):
        raise DataError(f"{dataset.root}: split {split!r} is empty; it has {', '.join(dataset.splits)}")
    table = _filtered(dataset, table, config)
    table = table if config.max_frames is None else _shortened(dataset, table, config)
    labels = [config.vocabulary.split(text) for text in _texts(dataset, table)]
    _check_labels(dataset, labels, config)
    table = _with_room(table, labels, config)
    if not len(table):
        chosen = {name: getattr(config, name) for name in ("speakers", "words", "max_frames")}
        rules = ", ".join(f"{name} {_listed(value)}" for name, value in chosen.items() if value)
        raise DataError(f"{dataset.root}: {rules} leave no example of split {split!r}; loosen them")
    return table


def labels(dataset: DatasetDir, table: Examples, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """The label ids of all examples, int32 [M], and where each one's begin, int64 [N + 1]."""
    known = {symbol: number for number, symbol in enumerate(vocabulary.symbols)}
    ids = [[known[symbol] for symbol in vocabulary.split(text)] for text in _texts(dataset, table)]
    begins = np.cumsum([0, *(len(one) for one in ids)], dtype=np.int64)
    return np.fromiter(itertools.chain.from_iterable(ids), np.int32, begins[-1]), begins


def sentences(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """Every clip of a split, whole."""
    records = dataset.records(split)
    frames = dataset.index.frames[records]
    zero = np.zeros_like(frames)
    return _table(dataset, config, records, zero, frames, zero, frames, zero - 1)


def words(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """Every aligned word of a split with the margin before and after, as far as the clip reaches.

    A word with its margin that is too short for one window gets the frames around it that it lacks.

    Raises:
      DataError: no clip of the split has word times.
    """
    index, records = dataset.index, dataset.records(split)
    counts = index.word_rows[records + 1] - index.word_rows[records]
    record = np.repeat(records, counts)
    if len(records) and not len(record):
        raise DataError(
            f"{dataset.root}: no word times in split {split!r}: its words cannot be cut; use another split, "
            "whole sentences (--unit=sentence, or a run of it), or give the clips alignments"
        )
    word = np.concatenate([np.arange(n) for n in counts]) if len(counts) else counts
    row = index.word_rows[record] + word
    first, last, total = index.word_start[row], index.word_stop[row], index.frames[record]
    start, stop = np.maximum(first - config.margin, 0), np.minimum(last + config.margin, total)
    start, stop = _widen(start, stop, total, _least(config))
    return _table(dataset, config, record, start, stop, first, last, word)


def _table(dataset: DatasetDir, config: DataConfig, record: np.ndarray, *columns: np.ndarray) -> Examples:
    uncut, least = np.full_like(record, -1), np.full_like(record, _least(config))
    return Examples(record, *columns, uncut, least, sources(dataset, record))


def _least(config: DataConfig) -> int:
    """The frames of one window."""
    return CONTEXT if config.padding == "valid" else 1


def _widen(start: np.ndarray, stop: np.ndarray, total: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Spans of at least `least` frames: what a span lacks is taken on both sides, as far as the clip reaches."""
    lacking = np.maximum(least - (stop - start), 0)
    start = np.clip(start - (lacking + 1) // 2, 0, total - least)
    return start, np.maximum(stop, start + least)


def _filtered(dataset: DatasetDir, table: Examples, config: DataConfig) -> Examples:
    """Only the speakers and words asked for."""
    index = dataset.index
    _check_known("speakers", config.speakers, index.speaker)
    _check_known("words", config.words, " ".join(index.text).split())
    if config.speakers:
        wanted = set(config.speakers)
        table = table.where(np.array([speaker in wanted for speaker in index.speaker[table.record]], bool))
    if config.words:
        wanted = set(config.words)
        table = table.where(np.array([wanted.issuperset(text.split()) for text in _texts(dataset, table)], bool))
    return table


def _check_known(field: str, wanted: tuple[str, ...], known: Iterable[str]) -> None:
    choices = sorted(set(known))
    if unknown := sorted(set(wanted) - set(choices)):
        raise DataError(f"{field}: no clip has {unknown[0]!r}; choose of {_listed(choices)}")


def _listed(value: object) -> str:
    """A number, or the first of many names."""
    if isinstance(value, int):
        return str(value)
    return ", ".join(value[:LISTED]) + (f" and {len(value) - LISTED} more" if len(value) > LISTED else "")


def _shortened(dataset: DatasetDir, table: Examples, config: DataConfig) -> Examples:
    """No example of more than `max_frames`."""
    long = table.frames > config.max_frames
    if config.overlong == "skip":
        return table.where(~long)
    if config.unit == "word":
        middle = (table.inside_start + table.inside_stop - config.max_frames) // 2
        start = np.where(long, np.clip(middle, table.start, table.stop - config.max_frames), table.start)
        return dataclasses.replace(table, start=start, stop=np.where(long, start + config.max_frames, table.stop))
    stop = np.where(long, config.max_frames, table.stop)
    return dataclasses.replace(table, stop=stop, inside_stop=stop, kept=_words_kept(dataset, table, long, config))


def _words_kept(dataset: DatasetDir, table: Examples, long: np.ndarray, config: DataConfig) -> np.ndarray:
    """How many words end in the first `max_frames` frames of the sentences that are cut."""
    index, kept = dataset.index, table.kept.copy()
    for row in np.flatnonzero(long):
        record = table.record[row]
        stops = index.word_stop[index.word_rows[record] : index.word_rows[record + 1]]
        if not len(stops):
            raise DataError(
                f"{dataset.root}: clip {index.id[record]} of {table.frames[row]} frames has no word times, so what is "
                f"said in its first {config.max_frames} is unknown; leave such clips out (--overlong=skip)"
            )
        kept[row] = np.count_nonzero(stops <= config.max_frames)
    return kept


def _texts(dataset: DatasetDir, table: Examples) -> list[str]:
    """What each example is labelled with."""
    index = dataset.index
    rows = index.word_rows[table.record]
    return [
        index.word_text[row + word]
        if word >= 0
        else index.text[record]
        if kept < 0
        else " ".join(index.word_text[row : row + kept])
        for record, row, word, kept in zip(table.record, rows, table.word, table.kept, strict=True)
    ]


def fewest(labels: list[list[str]], padding: str = "valid") -> np.ndarray:
    """Int64 [N]: the frames that CTC needs for each label, which has a blank between twins."""
    steps = [len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols)) for symbols in labels]
    return np.maximum(np.array(steps, np.int64), 1) - windows.count(0, padding)


def _with_room(table: Examples, labels: list[list[str]], config: DataConfig) -> Examples:
    """With the frames that each label needs; sentences cut to nothing, or to less than that, are left out."""
    least = fewest(labels, config.padding)
    fits = (table.kept < 0) | ((table.kept > 0) & (least <= table.frames))
    return dataclasses.replace(table, least=np.minimum(least, table.frames)).where(fits)


def _check_labels(dataset: DatasetDir, labels: list[list[str]], config: DataConfig) -> None:
    """Refuses labels outside the vocabulary before anything is read."""
    known = set(config.vocabulary.symbols)
    if unknown := sorted({symbol for symbols in labels for symbol in symbols} - known):
        raise DataError(
            f"{dataset.root}: {config.vocabulary.unit} {unknown[0]!r} is not among the {len(known)} of the "
            f"vocabulary ({', '.join(config.vocabulary.symbols)}); use data of the same words or characters"
        )
