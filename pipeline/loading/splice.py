"""Splices sentences: a run of words gives way to as many words of another clip of the same talker. Pure NumPy.

    clip     a b|c d|e      the words c and d give way
    donor    f g|h i|j      to the words of the same numbers, or to the last of a shorter clip
    spliced  a b h i e

So a network cannot tell a word by the ones around it, which a small corpus repeats (Lam et al. 2021, "On-the-Fly
Aligned Data Augmentation for Sequence-to-Sequence ASR"). Cuts lie in the middle between two words. Clips without word
times, those whose words are not their whole text, and those whose talker has no name, stay as they are.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from pipeline.loading.augment import splitmix, uniform
from pipeline.loading.config import DataConfig
from pipeline.loading.examples import Examples, label_texts, ranges, replaced
from pipeline.loading.labels import LabelEncoder, min_windows
from pipeline.records.directory import DatasetDir
from pipeline.records.strings import StringArray, blocks
from pipeline.vocab import Vocabulary

STREAM = 5  # the stream of random numbers; the plan has 1 to 3, augmentation 4


@dataclasses.dataclass(frozen=True)
class Splices:
    """What examples are made of, integers of one shape; where nothing is spliced, no frame is cut and none comes in.

    Attributes:
      donor: row of the example whose words come in.
      cut_start, cut_stop: the clip's frames that give way, `[cut_start, cut_stop)`.
      start, stop: the donor's frames that come in.
      first, donor_first, count: numbers of the first word that gives way and of the first that comes in; how many do.
      frames: the length of the whole.
      min_frames: a length in which CTC can emit its label.
    """

    donor: np.ndarray
    cut_start: np.ndarray
    cut_stop: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    first: np.ndarray
    donor_first: np.ndarray
    count: np.ndarray
    frames: np.ndarray
    min_frames: np.ndarray

    def reshape(self, *shape: int) -> "Splices":
        return Splices(**{field.name: getattr(self, field.name).reshape(shape) for field in dataclasses.fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence["Splices"]) -> "Splices":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def none(examples: Examples, rows: np.ndarray) -> Splices:
    """The splices of the examples at `rows`, int64 [N], where there are none."""
    some, zero = examples.where(rows), np.zeros_like(rows)
    return Splices(rows, *[zero] * 7, some.frames.astype(np.int64), some.min_frames.astype(np.int64))


def longest(frames: np.ndarray, max_frames: int | None) -> np.ndarray:
    """Integers [N]: the maximum length of each example once spliced: a quarter more, but no more than `max_frames`."""
    longer = frames + frames // 4
    return longer if max_frames is None else np.maximum(frames, np.minimum(longer, max_frames))


class Splicer:
    """Draws the splices of the examples of a split, whole sentences.

    Args:
      dataset: which holds them.
      examples: all that may be read, and so may give words.
      config: of the examples.
      probability: that a splice is tried. One stays as it is whose donor is itself, or which would be too long, or too
        short for its label.
    """

    def __init__(self, dataset: DatasetDir, examples: Examples, config: DataConfig, probability: float) -> None:
        self._dataset, self._examples, self._probability = dataset, examples, probability
        self._longest = longest(examples.frames, config.max_frames)
        self._vocabulary = config.vocabulary
        self._repeated = 2 if config.vocabulary.unit == "word" else 0  # at most: a word may meet itself at each cut
        timed = np.diff(dataset.index.word_rows)[examples.record].astype(np.int64)
        usable = (dataset.index.speaker != "")[examples.record] & _says_its_words(dataset, examples.record, timed)
        self._words = np.where(examples.words_kept < 0, timed, examples.words_kept).astype(np.int64) * usable
        talkers, talker = dataset.index.speaker.distinct()
        self._talker = talker[examples.record] + len(talkers) * examples.source.astype(np.int64)
        givers = np.flatnonzero(self._words)
        self._givers = givers[np.argsort(self._talker[givers], kind="stable")]  # those of a talker side by side
        self._giving = self._talker[self._givers]

    @functools.cached_property
    def _windows(self) -> np.ndarray:
        return _windows(self._dataset.index.word_text, self._vocabulary)

    @property
    def can_splice(self) -> bool:
        """Whether a talker has two clips with word times."""
        return bool(np.any(self._giving[1:] == self._giving[:-1]))

    def draw(self, rows: np.ndarray, keys: np.ndarray, seed: int, epoch: int) -> Splices:
        """Draws the splices of an epoch.

        Args:
          rows: int64 [N], which examples.
          keys: uint64 [N], from `augment.example_keys`.
          seed: of the run.
          epoch: from 0.
        """
        plain = none(self._examples, rows)
        if not len(self._givers):
            return plain
        stream = np.random.default_rng((seed, STREAM, epoch)).integers(2**64, dtype=np.uint64)
        tried, whom, length, place = uniform(splitmix(keys ^ stream, 4)).T
        donor, words = self._donor(rows, whom), self._words[rows]
        theirs = self._words[donor]
        count = 1 + (length * np.minimum(words, theirs)).astype(np.int64)
        first = (place * (words - count + 1)).astype(np.int64)
        donor_first = np.minimum(first, theirs - count)
        cut = self._border(rows, first), self._border(rows, first + count)
        span = self._border(donor, donor_first), self._border(donor, donor_first + count)
        frames = plain.frames - (cut[1] - cut[0]) + (span[1] - span[0])
        more = self._needed(donor, donor_first, count) - self._needed(rows, first, count)
        min_frames = plain.min_frames + more + self._repeated
        chosen = (tried < self._probability) & (donor != rows) & (cut[0] <= cut[1]) & (span[0] < span[1])
        chosen &= (min_frames <= frames) & (frames <= self._longest[rows])
        chosen &= plain.min_frames < plain.frames  # where a label does not fit, they are equal
        return _where(chosen, Splices(donor, *cut, *span, first, donor_first, count, frames, min_frames), plain)

    def texts(self, rows: np.ndarray, splices: Splices) -> StringArray:
        """The label of each of the examples at `rows`, int64 [N], spliced so."""
        index, texts = self._dataset.index, label_texts(self._dataset, self._examples.where(rows))
        cut = np.flatnonzero(splices.count)
        first, donor_first, count = (column[cut] for column in (splices.first, splices.donor_first, splices.count))
        own = index.word_rows[self._examples.record[rows[cut]]]
        donor = index.word_rows[self._examples.record[splices.donor[cut]]]
        starts = np.stack([own, donor + donor_first, own + first + count], axis=1)  # before, between, behind
        counts = np.stack([first, count, self._words[rows[cut]] - first - count], axis=1)
        words = index.word_text[ranges(starts.reshape(-1), counts.reshape(-1))]
        return replaced(texts, cut, words.joined(counts.sum(axis=1)))

    def _needed(self, rows: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
        """int64 [N]: how many windows CTC needs for `count` words from the number `first` on."""
        begin = self._dataset.index.word_rows[self._examples.record[rows]] + first
        final = len(self._windows) - 1  # of an example without words any number will do
        return self._windows[np.minimum(begin + count, final)] - self._windows[np.minimum(begin, final)]

    def _donor(self, rows: np.ndarray, whom: np.ndarray) -> np.ndarray:
        """int64 [N]: an example of the same talker for each, maybe itself; itself where there can be none."""
        begin, end = (np.searchsorted(self._giving, self._talker[rows], side) for side in ("left", "right"))
        place = np.minimum(begin + (whom * (end - begin)).astype(np.int64), len(self._givers) - 1)
        return np.where((begin < end) & (self._words[rows] > 0), self._givers[place], rows)

    def _border(self, rows: np.ndarray, number: np.ndarray) -> np.ndarray:
        """int64 [N]: the frame at which to cut before word `number`, 0 to the number of words; any of no words."""
        index, words = self._dataset.index, self._words[rows]
        first = index.word_rows[self._examples.record[rows]].astype(np.int64)
        final = len(index.word_start) - 1
        before = index.word_stop[np.clip(first + number - 1, first, final)].astype(np.int64)
        behind = index.word_start[np.clip(first + number, 0, final)].astype(np.int64)
        middle = (before + behind + 1) // 2
        return np.where(number == 0, behind, np.where(number == words, before, middle))


def _says_its_words(dataset: DatasetDir, records: np.ndarray, timed: np.ndarray) -> np.ndarray:
    """Bool [N]: whether the `timed` words of each record, int64 [N], are its whole text."""
    index, same = dataset.index, np.empty(len(records), bool)
    for block in blocks(len(records)):
        words = index.word_text[ranges(index.word_rows[records[block]], timed[block])]
        same[block] = words.joined(timed[block]) == index.text[records[block]]
    return same


def _windows(words: StringArray, vocabulary: Vocabulary) -> np.ndarray:
    """int64 [W + 1]: how many windows CTC needs for all words before each of W, and for all."""
    needed = np.zeros(len(words) + 1, np.int64)
    if vocabulary.unit == "word":  # one for each, and one between two that are equal
        needed[1:] = 1
        for block in blocks(len(words) - 1):
            needed[block.start + 2 : block.stop + 2] += words[block.start + 1 : block.stop + 1] == words[block]
        return np.cumsum(needed, out=needed)
    encode = LabelEncoder(vocabulary)
    for block in blocks(len(words)):
        needed[block.start + 1 : block.stop + 1] = min_windows(*encode(words[block]))
    return np.cumsum(needed, out=needed)


def _where(mask: np.ndarray, chosen: Splices, other: Splices) -> Splices:
    """Takes `chosen` where the mask says so, and `other` elsewhere."""
    names = [field.name for field in dataclasses.fields(Splices)]
    return Splices(**{name: np.where(mask, getattr(chosen, name), getattr(other, name)) for name in names})
