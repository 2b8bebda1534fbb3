"""Text <-> ids, for characters and for words."""

import dataclasses
import itertools
import unicodedata
from collections.abc import Sequence

from pipeline.schema import DataError

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz0123456789"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # `<unk>`: one character, so that texts stay texts, and a symbol as any other


def normalise(text: str) -> str:
    """Lower case, letters one character with their accents (NFC), runs of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text.lower()).split())


def min_ctc_windows(symbols: Sequence[object]) -> int:
    """The minimal number of windows in which CTC can emit `symbols`.

    CTC needs one window per symbol, and one more for the blank between equal neighbours (Graves et al. 2006).
    """
    return len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """An ordered set of symbols; a symbol's id is its place, from 0.

    Attributes:
      unit: `character` or `word`: what a symbol is, hence how text falls into symbols.
      symbols: unique and not empty. CTC's blank is not among them: it is `len(vocabulary)`.
    """

    unit: str
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.unit not in ("character", "word"):
            raise ValueError(f"vocabulary unit: want character or word, got {self.unit!r}")
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"vocabulary: want unique symbols, at least one, got {list(self.symbols)}")
        if self.unit == "character" and any(len(symbol) != 1 for symbol in self.symbols):
            raise ValueError(f"vocabulary of characters: want one character each, got {list(self.symbols)}")

    @classmethod
    def of_characters(cls, alphabet: str = ALPHABET) -> "Vocabulary":
        return cls("character", tuple(alphabet))

    @classmethod
    def of_words(cls, words: Sequence[str]) -> "Vocabulary":
        """The sorted, distinct `words`, so that ids do not depend on the order they were met in."""
        return cls("word", tuple(sorted(set(words))))

    def __len__(self) -> int:
        return len(self.symbols)

    def split(self, text: str) -> list[str]:
        """The symbols of `text`, known or not."""
        return list(text) if self.unit == "character" else text.split()

    def encode(self, text: str) -> list[int]:
        """The ids of `text`.

        Raises:
          DataError: a symbol is not in the vocabulary.
        """
        ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        symbols = self.split(text)
        if unknown := sorted(set(symbols) - ids.keys()):
            raise DataError(f"{text!r}: unknown {self.unit} {unknown[0]!r}; the vocabulary has {self.symbols}")
        return [ids[symbol] for symbol in symbols]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, the inverse of `encode`; as in every text, single spaces between words and none around."""
        text = ("" if self.unit == "character" else " ").join(self.symbols[i] for i in ids)
        return " ".join(text.split())
