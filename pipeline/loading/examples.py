"""The examples of a split: spans of records, filtered and cut to length. Pure NumPy."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Literal

import numpy as np

from pipeline.loading import windows
from pipeline.loading.mixture import sources
from pipeline.records.directory import DatasetDir
from pipeline.schema import CONTEXT, DataError
from pipeline.vocab import Vocabulary, min_ctc_windows

UNITS = ("sentence", "word")
MAX_MARGIN = 100  # frames
MAX_LISTED = 20  # choices in an error message


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What an example is.

    Attributes:
      vocabulary: of the labels.
      unit: `sentence`, a whole clip; or `word`, an aligned word with its margin.
      margin: frames before and after a word, 0 to 100.
      padding: `valid` (F frames give F - 4 windows) or `same` (F windows).
      speakers: only clips of these speakers; empty for all.
      words: only these words, or only sentences of these words; empty for all.
      max_frames: the maximum length of an example, at least 5; None for any length.
      overlong: `skip` longer examples or `truncate` them. A word keeps the frames around its middle. A sentence keeps
        its first frames and the words that end in them.

    Raises:
      ValueError: a field is outside its range.
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
        """The same kind of examples without filters and truncation, for evaluation."""
        return dataclasses.replace(self, speakers=(), words=(), max_frames=None)


@dataclasses.dataclass(frozen=True)
class Examples:
    """N examples as columns: which frames of which record each reads.

    Attributes:
      record: int64 [N], row of the index.
      start, stop: int64 [N], the frames to read, `[start, stop)`.
      unit_start, unit_stop: int64 [N], the frames of the word or sentence itself, without its margin.
      word: int64 [N], which word of the record; -1 for the whole clip.
      words_kept: int64 [N], the number of words left in a truncated sentence; -1 where nothing was truncated.
      min_frames: int64 [N], the minimal number of frames in which CTC can emit the label, at most `stop - start`.
      source: int64 [N], which dataset of a mixture.
    """

    record: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    unit_start: np.ndarray
    unit_stop: np.ndarray
    word: np.ndarray
    words_kept: np.ndarray
    min_frames: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.record)

    @property
    def frames(self) -> np.ndarray:
        """int64 [N]: the length of each example."""
        return self.stop - self.start

    def where(self, chosen: np.ndarray) -> "Examples":
        """The examples that a mask, bool [N], selects."""
        return Examples(**{field.name: getattr(self, field.name)[chosen] for field in dataclasses.fields(self)})


def select_examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """Selects the examples of a split, in the order of the index.

    Raises:
      DataError: the split is missing or empty, it has no word times where words are wanted, the filters leave no
        example, or a label is not in the vocabulary.
    """
    examples = (word_examples if config.unit == "word" else sentence_examples)(dataset, split, config)
    if not len(examples):
        raise DataError(f"{dataset.root}: split {split!r} is empty; it has {', '.join(dataset.splits)}")
    examples = _filter(dataset, examples, config)
    examples = examples if config.max_frames is None else _limit_length(dataset, examples, config)
    labels = [config.vocabulary.split(text) for text in _texts(dataset, examples)]
    _check_labels(dataset, labels, config)
    examples = _with_min_frames(examples, labels, config)
    if not len(examples):
        chosen = {name: getattr(config, name) for name in ("speakers", "words", "max_frames")}
        rules = ", ".join(f"{name} {_listed(value)}" for name, value in chosen.items() if value)
        raise DataError(f"{dataset.root}: {rules} leave no example of split {split!r}; loosen them")
    return examples


def encode_labels(dataset: DatasetDir, examples: Examples, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Encodes the labels of all examples: ids int32 [M], and offsets int64 [N + 1] where each label begins in them."""
    known = {symbol: number for number, symbol in enumerate(vocabulary.symbols)}
    ids = [[known[symbol] for symbol in vocabulary.split(text)] for text in _texts(dataset, examples)]
    offsets = np.cumsum([0, *(len(label) for label in ids)], dtype=np.int64)
    return np.fromiter(itertools.chain.from_iterable(ids), np.int32, offsets[-1]), offsets


def sentence_examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """One example for each clip of a split: the whole clip.

    Raises:
      DataError: there is no such split.
    """
    records = dataset.records(split)
    frames = dataset.index.frames[records]
    zero = np.zeros_like(frames)
    return _untruncated(dataset, config, records, zero, frames, zero, frames, zero - 1)


def word_examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """One example for each aligned word of a split, with the margin before and after, as far as the clip reaches.

    A word that is too short for one window, even with its margin, is widened on both sides.

    Raises:
      DataError: there is no such split, or none of its clips has word times.
    """
    index, records = dataset.index, dataset.records(split)
    counts = index.word_rows[records + 1] - index.word_rows[records]
    record = np.repeat(records, counts)
    if len(records) and not len(record):
        raise DataError(
            f"{dataset.root}: no word times in split {split!r}, so it has no word examples; use another split, "
            "whole sentences (--unit=sentence, or a run of it), or give the clips alignments"
        )
    word = np.concatenate([np.arange(n) for n in counts]) if len(counts) else counts
    row = index.word_rows[record] + word
    first, last, total = index.word_start[row], index.word_stop[row], index.frames[record]
    start, stop = np.maximum(first - config.margin, 0), np.minimum(last + config.margin, total)
    start, stop = _widen(start, stop, total, windows.frame_count(1, config.padding))
    return _untruncated(dataset, config, record, start, stop, first, last, word)


def _untruncated(dataset: DatasetDir, config: DataConfig, record: np.ndarray, *columns: np.ndarray) -> Examples:
    words_kept, min_frames = np.full_like(record, -1), np.full_like(record, windows.frame_count(1, config.padding))
    return Examples(record, *columns, words_kept, min_frames, sources(dataset, record))


def _widen(start: np.ndarray, stop: np.ndarray, total: np.ndarray, min_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Widens spans to at least `min_frames` frames, on both sides, as far as the clip reaches."""
    lacking = np.maximum(min_frames - (stop - start), 0)
    start = np.clip(start - (lacking + 1) // 2, 0, total - min_frames)
    return start, np.maximum(stop, start + min_frames)


def _filter(dataset: DatasetDir, examples: Examples, config: DataConfig) -> Examples:
    """Keeps only the speakers and words of `config`."""
    index = dataset.index
    _check_known("speakers", config.speakers, index.speaker)
    _check_known("words", config.words, " ".join(index.text).split())
    if config.speakers:
        wanted = set(config.speakers)
        examples = examples.where(np.array([speaker in wanted for speaker in index.speaker[examples.record]], bool))
    if config.words:
        wanted = set(config.words)
        examples = examples.where(np.array([wanted.issuperset(t.split()) for t in _texts(dataset, examples)], bool))
    return examples


def _check_known(field: str, wanted: tuple[str, ...], known: Iterable[str]) -> None:
    choices = sorted(set(known))
    if unknown := sorted(set(wanted) - set(choices)):
        raise DataError(f"{field}: no clip has {unknown[0]!r}; choose of {_listed(choices)}")


def _listed(value: object) -> str:
    """A number, or the first of many names."""
    if isinstance(value, int):
        return str(value)
    return ", ".join(value[:MAX_LISTED]) + (f" and {len(value) - MAX_LISTED} more" if len(value) > MAX_LISTED else "")


def _limit_length(dataset: DatasetDir, examples: Examples, config: DataConfig) -> Examples:
    """Skips or truncates the examples of more than `max_frames` frames."""
    long, limit = examples.frames > config.max_frames, config.max_frames
    if config.overlong == "skip":
        return examples.where(~long)
    if config.unit == "word":
        middle = (examples.unit_start + examples.unit_stop - limit) // 2
        start = np.where(long, np.clip(middle, examples.start, examples.stop - limit), examples.start)
        return dataclasses.replace(examples, start=start, stop=np.where(long, start + limit, examples.stop))
    stop = np.where(long, limit, examples.stop)
    words_kept = _words_kept(dataset, examples, long, limit)
    return dataclasses.replace(examples, stop=stop, unit_stop=stop, words_kept=words_kept)


def _words_kept(dataset: DatasetDir, examples: Examples, long: np.ndarray, limit: int) -> np.ndarray:
    """int64 [N]: the number of words that end in the first `limit` frames of each long sentence, -1 for the others."""
    index, words_kept = dataset.index, examples.words_kept.copy()
    for row in np.flatnonzero(long):
        record = examples.record[row]
        stops = index.word_stop[index.word_rows[record] : index.word_rows[record + 1]]
        if not len(stops):
            raise DataError(
                f"{dataset.root}: clip {index.id[record]} of {examples.frames[row]} frames has no word times, so the "
                f"words of its first {limit} frames are unknown; skip long clips (--on_long_example=skip)"
            )
        words_kept[row] = np.count_nonzero(stops <= limit)
    return words_kept


def _texts(dataset: DatasetDir, examples: Examples) -> list[str]:
    """The label of each example, as text."""
    index = dataset.index
    rows = index.word_rows[examples.record]
    return [
        index.word_text[row + word]
        if word >= 0
        else index.text[record]
        if words_kept < 0
        else " ".join(index.word_text[row : row + words_kept])
        for record, row, word, words_kept in zip(examples.record, rows, examples.word, examples.words_kept, strict=True)
    ]


def min_frames(labels: list[list[str]], padding: str = "valid") -> np.ndarray:
    """int64 [N]: the minimal number of frames in which CTC can emit each label."""
    counts = [max(min_ctc_windows(symbols), 1) for symbols in labels]
    return windows.frame_count(np.array(counts, np.int64), padding)


def _with_min_frames(examples: Examples, labels: list[list[str]], config: DataConfig) -> Examples:
    """Sets `min_frames`, and drops truncated sentences that are left with no word or with too few frames for CTC."""
    needed = min_frames(labels, config.padding)
    fits = (examples.words_kept < 0) | ((examples.words_kept > 0) & (needed <= examples.frames))
    return dataclasses.replace(examples, min_frames=np.minimum(needed, examples.frames)).where(fits)


def _check_labels(dataset: DatasetDir, labels: list[list[str]], config: DataConfig) -> None:
    """Refuses symbols outside the vocabulary before any frame is read."""
    known = set(config.vocabulary.symbols)
    if unknown := sorted({symbol for symbols in labels for symbol in symbols} - known):
        raise DataError(
            f"{dataset.root}: {config.vocabulary.unit} {unknown[0]!r} is not among the {len(known)} of the "
            f"vocabulary ({', '.join(config.vocabulary.symbols)}); use data of the same words or characters"
        )
