"""Texts -> ids of a vocabulary, many at once. Pure NumPy."""

import sys

import numpy as np

from pipeline.records.strings import Lookup, StringArray
from pipeline.vocab import Vocabulary

SPACES = np.array([chr(point).isspace() for point in range(0x3002)])  # the last is none, nor is what comes behind


class LabelEncoder:
    """Encodes texts by a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        if vocabulary.unit == "character":
            self._ids = np.full(sys.maxunicode + 1, -1, np.int32)
            self._ids[[ord(symbol) for symbol in vocabulary.symbols]] = np.arange(len(vocabulary))
        else:
            self._lookup = Lookup(vocabulary.symbols)
        self._spells = vocabulary.unit == "character"

    def __call__(self, texts: StringArray) -> tuple[np.ndarray, np.ndarray]:
        """Encodes N texts, which `vocabulary.split` splits into M symbols.

        Returns:
          ids: int32 [M], -1 for a symbol that is not in the vocabulary.
          ends: int64 [N], where the label of each text ends in them.
        """
        if self._spells:
            points, ends = texts.points()
            return self._ids[points], ends
        words, ends = split_words(texts)
        return self._lookup(words).astype(np.int32), ends


def split_words(texts: StringArray) -> tuple[StringArray, np.ndarray]:
    """The words of N texts as `str.split` splits them, and int64 [N]: where those of each text end."""
    points, _ = texts.points()
    inner = ~SPACES.take(points, mode="clip")
    if inner.all() and np.all(np.diff(texts.ends, prepend=0)):  # each text is a word
        return texts, np.arange(1, len(texts) + 1)
    if len(points) < len(texts.data):  # bool [P] -> [bytes]
        inner = inner[np.cumsum(texts.data & 0xC0 != 0x80) - 1]
    border = np.zeros(len(inner) + 1, bool)  # in front of each byte: a space, or the start of a text
    border[0], border[1:] = True, ~inner
    border[texts.ends] = True
    counted = np.concatenate([[0], np.cumsum(inner & border[:-1])])
    border[:-1] |= ~inner  # and now of each byte
    lasts = np.flatnonzero(inner & border[1:])
    return StringArray(texts.data[inner], np.cumsum(inner)[lasts]), counted[texts.ends]


def min_windows(ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """int64 [N]: `vocab.min_ctc_windows` of each label, at least 1; arguments as `LabelEncoder` returns them."""
    starts = np.concatenate([[0], ends[:-1]])[: len(ends)]
    twins = np.concatenate([[0, 0], np.cumsum(ids[1:] == ids[:-1])])[: len(ids) + 1]  # among the symbols before each
    repeated = twins[ends] - twins[np.minimum(starts + 1, ends)]
    return np.maximum(ends - starts + repeated, 1)
