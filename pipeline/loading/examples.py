"""The examples of a split: spans of records, filtered and cut to length. Pure NumPy."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from pipeline.loading import labels, windows
from pipeline.loading.config import DataConfig
from pipeline.loading.mixture import sources
from pipeline.records import table_columns
from pipeline.records.directory import DatasetDir
from pipeline.records.index import NOT_SCORED
from pipeline.records.integers import narrow
from pipeline.records.strings import Lookup, StringArray, blocks
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary

MAX_LISTED = 20  # choices in an error message


@dataclasses.dataclass(frozen=True)
class Examples:
    """N examples as columns of integers: which frames of which record each reads.

    Columns are int32 where their numbers allow it, may share memory, and may be one number, broadcast.

    Attributes:
      record: [N], row of the index.
      start, stop: [N], the frames to read, `[start, stop)`.
      unit_start, unit_stop: [N], the frames of the word or sentence itself, without its margin.
      word: [N], which word of the record; -1 for the whole clip.
      words_kept: [N], the number of words left in a truncated sentence; -1 where nothing was truncated.
      min_frames: [N], the minimal number of frames in which CTC can emit the label, at most `stop - start`.
      source: [N], which dataset of a mixture.
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
        """[N]: the length of each example."""
        return self.stop - self.start

    def where(self, chosen: np.ndarray | slice) -> "Examples":
        """The examples at a mask, bool [N], at int64 [M], or at a slice, which shares memory."""
        if isinstance(chosen, np.ndarray) and chosen.dtype == bool and chosen.all():
            return self
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
    examples = _with_min_frames(dataset, examples, config)
    if not len(examples):
        chosen = {name: getattr(config, name) for name in ("speakers", "words", "max_doubt", "where", "max_frames")}
        rules = ", ".join(f"{name} {_listed(value)}" for name, value in chosen.items() if value not in ((), None))
        raise DataError(f"{dataset.root}: {rules} leave no example of split {split!r}; loosen them")
    return examples


def label_texts(dataset: DatasetDir, examples: Examples) -> StringArray:
    """The label of each example, as text."""
    index = dataset.index
    first = index.word_rows[examples.record]
    if np.all(examples.word >= 0):
        return index.word_text[first + examples.word]
    whole, cut = index.text[examples.record], np.flatnonzero(examples.words_kept >= 0)
    counts = examples.words_kept[cut]
    return replaced(whole, cut, index.word_text[ranges(first[cut], counts)].joined(counts))


def replaced(texts: StringArray, rows: np.ndarray, others: StringArray) -> StringArray:
    """The N texts, with M `others` in the place of those at `rows`, int64 [M]."""
    if not len(rows):
        return texts
    order = np.arange(len(texts))
    order[rows] = len(texts) + np.arange(len(rows))
    return StringArray.concatenate([texts, others])[order]


def sentence_examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """One example for each clip of a split: the whole clip.

    Raises:
      DataError: there is no such split.
    """
    records = narrow(dataset.records(split))
    frames = dataset.index.frames[records]
    zero, whole = (np.broadcast_to(np.int32(number), frames.shape) for number in (0, -1))
    return _untruncated(dataset, config, records, zero, frames, zero, frames, whole)


def word_examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """One example for each aligned word of a split, with the margin before and after, as far as the clip reaches.

    A word that is too short for one window, even with its margin, is widened on both sides.

    Raises:
      DataError: there is no such split, or none of its clips has word times.
    """
    index, records = dataset.index, narrow(dataset.records(split))
    counts = index.word_rows[records + 1] - index.word_rows[records]
    record = np.repeat(records, counts)
    if len(records) and not len(record):
        raise DataError(
            f"{dataset.root}: no word times in split {split!r}, so it has no word examples; use another split, "
            "whole sentences (--unit=sentence, or a run of it), or give the clips alignments"
        )
    word = ranges(np.zeros_like(counts), counts)
    row = ranges(index.word_rows[records], counts)
    if len(row) and row[-1] - row[0] == len(row) - 1:
        row = slice(row[0], row[-1] + 1)  # which shares memory with the index
    first, last, total = index.word_start[row], index.word_stop[row], index.frames[record]
    start, stop = np.maximum(first - config.margin, 0), np.minimum(last + config.margin, total)
    start, stop = _widen(start, stop, total, windows.frame_count(1, config.padding))
    return _untruncated(dataset, config, record, start, stop, first, last, word)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """int64 or int32 [sum of counts]: from each of `starts` on as many numbers as `counts` says."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before.astype(starts.dtype), counts) + np.arange(counts.sum(), dtype=starts.dtype)


def _untruncated(dataset: DatasetDir, config: DataConfig, record: np.ndarray, *columns: np.ndarray) -> Examples:
    numbers = -1, windows.frame_count(1, config.padding)
    words_kept, min_frames = (np.broadcast_to(np.int32(number), record.shape) for number in numbers)
    return Examples(record, *columns, words_kept, min_frames, sources(dataset, record))


def _widen(start: np.ndarray, stop: np.ndarray, total: np.ndarray, min_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Widens spans to at least `min_frames` frames, on both sides, as far as the clip reaches."""
    lacking = np.maximum(min_frames - (stop - start), 0)
    start = np.clip(start - (lacking + 1) // 2, 0, total - min_frames)
    return start, np.maximum(stop, start + min_frames)


def _filter(dataset: DatasetDir, examples: Examples, config: DataConfig) -> Examples:
    """Keeps only the speakers, the words, the columns and the certainty of crops that `config` wants."""
    index = dataset.index
    if config.max_doubt is not None:
        if len(unscored := np.flatnonzero(index.doubt[examples.record] == NOT_SCORED)):
            clip = index.id[examples.record[unscored[0]]]
            why = "its crops are of an older version or a fixed box; leave it out, or convert again"
            raise DataError(f"{dataset.root}: max_doubt: clip {clip} has no doubt, {why}")
        examples = examples.where(index.doubt[examples.record] < 100 * config.max_doubt)
    if config.where:
        examples = examples.where(_of_columns(dataset, config.where)[examples.record])
    if config.speakers:
        find = Lookup(sorted(set(config.speakers)))
        places = find(index.speaker)
        _check_known("speakers", config.speakers, [places], lambda: index.speaker)
        examples = examples.where(places[examples.record] >= 0)
    if config.words:
        find = Lookup(sorted(set(config.words)))
        places = (find(labels.split_words(index.text[block])[0]) for block in blocks(len(index)))
        _check_known("words", config.words, places, lambda: " ".join(index.text).split())
        chosen = [_is_of(label_texts(dataset, examples.where(block)), find) for block in blocks(len(examples))]
        examples = examples.where(np.concatenate([np.zeros(0, bool), *chosen]))
    return examples


def _of_columns(dataset: DatasetDir, terms: tuple[str, ...]) -> np.ndarray:
    """Bool [N]: whether a clip has one of the values that the terms, `name=value` each, give of each name."""
    index, wanted, chosen = dataset.index, {}, np.ones(len(dataset.index), bool)
    known = table_columns.names(index)
    for term in dict.fromkeys(terms):
        name, value = _name_and_value(term, known)
        wanted.setdefault(name, []).append(value)
    for name, values in wanted.items():
        if name not in known:
            raise DataError(f"{dataset.root}: where: no clip has a column {name!r}; {_known_columns(name, known)}")
        own, seen = table_columns.having(index, name, values)
        if unknown := [value for value in values if value not in seen]:
            there = [repr(value) for value in sorted(table_columns.column(index, name).values)]
            raise DataError(f"{dataset.root}: where: no clip has {name}={unknown[0]!r}; choose of {_listed(there)}")
        chosen &= own
    return chosen


def _name_and_value(term: str, known: list[str]) -> tuple[str, str]:
    """Splits `name=value`; where there are several `=`, at the first behind the name of a column."""
    cuts = [at for at, character in enumerate(term) if character == "="]
    cut = next((at for at in cuts if term[:at] in known), cuts[0])
    return term[:cut], term[cut + 1 :]


def _known_columns(name: str, known: list[str]) -> str:
    """Says which columns there are, and what else may have been meant by `name`."""
    there = f"choose of {_listed(known)}" if known else "it has none; convert its table with --keep_columns"
    return f"{there}; talkers are chosen by --speakers of scripts.train" if name in ("speaker", "speakers") else there


def _is_of(texts: StringArray, find: Lookup) -> np.ndarray:
    """Bool [N]: whether `find` finds each word of a text."""
    words, ends = labels.split_words(texts)
    misses = np.concatenate([[0], np.cumsum(find(words) < 0)])[ends]
    return np.diff(misses, prepend=0) == 0


def _check_known(
    field: str, wanted: tuple[str, ...], places: Iterable[np.ndarray], known: Callable[[], Iterable[str]]
) -> None:
    """Checks that `places` hold that of each of `wanted`, in their sorted set; -1 stands for others."""
    names, found = sorted(set(wanted)), set()
    for some in places:
        found |= set(np.flatnonzero(np.bincount(some + 1, minlength=1)).tolist())
    if unknown := [name for place, name in enumerate(names, start=1) if place not in found]:
        raise DataError(f"{field}: no clip has {unknown[0]!r}; choose of {_listed(sorted(set(known())))}")


def _listed(value: object) -> str:
    """A number, or the first of many names."""
    if isinstance(value, int | float):
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
    """[N]: how many words each long sentence has before the first that ends after `limit` frames; -1 for the others."""
    index = dataset.index
    first, stop = index.word_rows[examples.record], index.word_rows[examples.record + 1]
    if len(silent := np.flatnonzero(long & (first == stop))):
        record, frames = examples.record[silent[0]], examples.frames[silent[0]]
        raise DataError(
            f"{dataset.root}: clip {index.id[record]} of {frames} frames has no word times, so the "
            f"words of its first {limit} frames are unknown; skip long clips (--on_long_example=skip)"
        )
    late = np.append(np.flatnonzero(index.word_stop > limit), len(index.word_stop))
    kept = np.minimum(late[np.searchsorted(late, first)], stop) - first
    return np.where(long, kept, examples.words_kept)


def _with_min_frames(dataset: DatasetDir, examples: Examples, config: DataConfig) -> Examples:
    """Sets `min_frames`, and drops truncated sentences that are left with no word or with too few frames for CTC.

    Raises:
      DataError: a symbol of a label is not in the vocabulary.
    """
    encode, needed = labels.LabelEncoder(config.vocabulary), np.empty(len(examples), np.int32)
    for block in blocks(len(examples)):
        texts = label_texts(dataset, examples.where(block))
        ids, ends = encode(texts)
        if len(ids) and ids.min() < 0:
            raise _unknown_symbol(dataset, texts, config.vocabulary)
        needed[block] = windows.frame_count(labels.min_windows(ids, ends), config.padding)
    fits = (examples.words_kept < 0) | ((examples.words_kept > 0) & (needed <= examples.frames))
    return dataclasses.replace(examples, min_frames=np.minimum(needed, examples.frames)).where(fits)


def _unknown_symbol(dataset: DatasetDir, texts: StringArray, vocabulary: Vocabulary) -> DataError:
    known = set(vocabulary.symbols)
    unknown = sorted({symbol for text in texts for symbol in vocabulary.split(text)} - known)
    return DataError(
        f"{dataset.root}: {vocabulary.unit} {unknown[0]!r} is not among the {len(known)} of the "
        f"vocabulary ({', '.join(vocabulary.symbols)}); use data of the same words or characters"
    )
