"""Encodes text as ids of characters or words, and decodes it."""

import dataclasses
import itertools
import re
import unicodedata
from collections.abc import Sequence

from pipeline.schema import DataError

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz0123456789"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for a character outside the alphabet; a symbol like any other
APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u02bc\uff07", "'"))  # curly, modifier letter, full width


def normalise(text: str) -> str:
    """Converts text to lower case and NFC, with straight apostrophes and single spaces, and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text.lower()).translate(APOSTROPHES).split())


class _Blanks(dict[int, int | str]):
    """A table for `str.translate`, filled on demand: a blank for punctuation marks and symbols but the apostrophe."""

    def __missing__(self, code: int) -> int | str:
        is_mark = chr(code) != "'" and unicodedata.category(chr(code))[0] in "PS"
        return self.setdefault(code, " " if is_mark else code)


JOINERS = "\u200c\u200d"  # zero width, which letters of some languages need
_BLANKS = _Blanks({ord("\N{LEFT SINGLE QUOTATION MARK}"): "'"})  # which editors put before 'cause
_LONE_APOSTROPHE = re.compile(r"(?<![^ '])'(?![^ '])")
_QUOTED_WORD = re.compile(r"(?<![^ ])'([^ ]+)'(?![^ ])")


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and character not in JOINERS


def spoken(text: str) -> str:
    """Converts text as `normalise` does, and keeps of punctuation and symbols only apostrophes.

    Invisible characters such as soft hyphens (category Cf, but for joiners) are dropped. Every run of other characters
    of the categories P and S becomes a blank, so that `well-known` is two words and `3.5` is `3 5`. An apostrophe stays
    beside a letter or a digit (`don't`, `dogs'`, `'cause`), but not where a word has one at both of its ends
    (`'hello'`); an opening quotation mark (U+2018) is an apostrophe too. Digits stay.

    Words are converted independently: the result is that of each word of `text`, joined by blanks.
    """
    text = "".join(character for character in text if not _is_invisible(character))
    text = _LONE_APOSTROPHE.sub("", normalise(text).translate(_BLANKS))
    return " ".join(_QUOTED_WORD.sub(r"\1", text).split())


def min_ctc_windows(symbols: Sequence[object]) -> int:
    """The minimal number of windows in which CTC can emit `symbols`.

    CTC needs one window per symbol, and one more for the blank between equal neighbours (Graves et al. 2006).
    """
    return len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """An ordered set of symbols; the id of a symbol is its index.

    Attributes:
      unit: what a symbol is: `character` or `word`.
      symbols: at least one, without duplicates and without CTC's blank, whose id is `len(vocabulary)`.
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
        """The vocabulary of the distinct `words`, sorted, so that ids do not depend on their order."""
        return cls("word", tuple(sorted(set(words))))

    def __len__(self) -> int:
        return len(self.symbols)

    def split(self, text: str) -> list[str]:
        """Splits `text` into symbols, which may be unknown."""
        return list(text) if self.unit == "character" else text.split()

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text`.

        Raises:
          DataError: a symbol is not in the vocabulary.
        """
        ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        symbols = self.split(text)
        if unknown := sorted(set(symbols) - ids.keys()):
            raise DataError(f"{text!r}: unknown {self.unit} {unknown[0]!r}; the vocabulary has {self.symbols}")
        return [ids[symbol] for symbol in symbols]

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids`, with single spaces between words and none at the ends."""
        text = ("" if self.unit == "character" else " ").join(self.symbols[i] for i in ids)
        return " ".join(text.split())
