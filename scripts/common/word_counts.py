"""How often words come in a dataset, by which --labels is chosen."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.loading import examples, labels
from pipeline.loading.config import DataConfig
from pipeline.records.directory import DatasetDir
from pipeline.records.strings import Lookup, StringArray, blocks
from scripts.common.training_defaults import MAX_WORDS, MIN_KNOWN, MIN_TIMES


@dataclasses.dataclass(frozen=True)
class WordCounts:
    """How often the words of a dataset come.

    Attributes:
      words: distinct words of the training examples.
      spoken: words of these examples in all.
      known: share of the words of the validation split, each as often as it is said, that training has; None without
        such words.
    """

    words: int
    spoken: int
    known: float | None

    @property
    def is_closed(self) -> bool:
        """Whether words are labels that can be learned: few, nearly all known, and seen often enough."""
        known = self.known is None or self.known >= MIN_KNOWN
        return known and 0 < self.words <= MAX_WORDS and self.spoken >= MIN_TIMES * self.words

    def __str__(self) -> str:
        often = f"{self.words:,} words occur {self.spoken / max(self.words, 1):.1f} times each in training, on average"
        said = often if self.known is None else f"{often}, and are {self.known:.0%} of what validation says"
        if self.is_closed:
            return said
        return f"{said}; words as labels want at most {MAX_WORDS:,}, {MIN_TIMES} times each, and {MIN_KNOWN:.0%}"


def count(data: DatasetDir, config: DataConfig) -> WordCounts:
    """Counts the words of the sentences that `config` trains on and validates with.

    Raises:
      DataError: as `examples.select_examples`, of the training split.
    """
    known, train = _trained(data, config)
    texts = data.index.text[data.records("val")] if "val" in data.splits else StringArray.of([])
    val = len(labels.split_words(texts)[0]) if len(texts) else 0
    met = int(_counts(texts, known)[train > 0].sum())
    return WordCounts(int(np.count_nonzero(train)), int(train.sum()), met / val if val else None)


def learned(data: DatasetDir, config: DataConfig) -> list[str]:
    """Returns the distinct words of the training examples, in the dataset's order.

    Raises:
      DataError: as `examples.select_examples`, of the training split.
    """
    known, times = _trained(data, config)
    return [word for word, often in zip(known, times, strict=True) if often]


def _trained(data: DatasetDir, config: DataConfig) -> tuple[list[str], np.ndarray]:
    """Returns the words of all splits, and how often training has each, int64 [M]."""
    known = data.manifest["vocabulary"]["words"]
    return known, _counts(examples.label_texts(data, examples.select_examples(data, "train", config)), known)


def _counts(texts: StringArray, known: Sequence[str]) -> np.ndarray:
    """Counts how often texts have each of M known words, int64 [M]."""
    counts, find = np.zeros(len(known), np.int64), Lookup(known)
    for block in blocks(len(texts)):
        places = find(labels.split_words(texts[block])[0])
        counts += np.bincount(places[places >= 0], minlength=len(counts))
    return counts
