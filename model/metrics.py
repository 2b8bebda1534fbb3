"""Error rates of texts, edits over reference units, both summed over all examples; errors of the times of words."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from rapidfuzz.distance import Levenshtein

Unit = TypeVar("Unit")


class Timed(Protocol):
    """A word, its first step, and the step after its last."""

    text: str
    start: int
    stop: int


def align(reference: Sequence[Unit], hypothesis: Sequence[Unit]) -> list[tuple[Unit | None, Unit | None]]:
    """Pairs the units of two sequences with the fewest edits (Levenshtein 1966), as jiwer does.

    Returns:
      (r, h) in order; (r, None) where r was deleted, (None, h) where h was inserted.
    """
    pairs = []
    for edit in Levenshtein.opcodes(reference, hypothesis):
        said, read = reference[edit.src_start : edit.src_end], hypothesis[edit.dest_start : edit.dest_end]
        pairs += itertools.zip_longest(said, read)
    return pairs


@dataclasses.dataclass
class ErrorRate:
    """Edits, reference units, and those of the units that were read right, all summed over the examples."""

    edits: int = 0
    units: int = 0
    right: int = 0

    def add(self, pairs: Sequence[tuple[object, object]]) -> None:
        """Counts one aligned example."""
        self.edits += sum(truth != read for truth, read in pairs)
        self.units += sum(truth is not None for truth, _ in pairs)
        self.right += sum(truth == read for truth, read in pairs)

    def result(self) -> float:
        """Returns the rate; 0 is perfect, above 1 means more insertions than reference units.

        Raises:
          ValueError: the references hold no unit at all, so that there is no rate.
        """
        if self.units == 0:
            raise ValueError("error rate: want at least one reference unit, got none")
        return self.edits / self.units


@dataclasses.dataclass
class TimeErrors:
    """How far the words that were read right are from where they were said.

    Attributes:
      starts: of each such word, the start that was read less the true one, in steps: windows, or frames alike.
      stops: the same of their stops.
    """

    starts: list[int] = dataclasses.field(default_factory=list)
    stops: list[int] = dataclasses.field(default_factory=list)

    def add(self, said: Sequence[Timed], read: Sequence[Timed]) -> None:
        """Counts the words of one example that `align` pairs with themselves, in a wrong sentence too."""
        pairs = align([word.text for word in said], [word.text for word in read])
        true, found = iter(said), iter(read)
        for text, other in pairs:
            one = None if text is None else next(true)
            two = None if other is None else next(found)
            if one and two and text == other:
                self.starts.append(two.start - one.start)
                self.stops.append(two.stop - one.stop)

    def __len__(self) -> int:
        return len(self.starts)

    def result(self) -> dict[str, float]:
        """Returns absolute errors: the medians `start` and `stop`, the 90th percentiles `start_90` and `stop_90`.

        Raises:
          ValueError: no word was counted.
        """
        if not self.starts:
            raise ValueError("time errors: want at least one word, got none")
        values = np.quantile(np.abs([self.starts, self.stops]), (0.5, 0.9), axis=1).ravel()  # [2 shares, 2] -> [4]
        return dict(zip(("start", "stop", "start_90", "stop_90"), values.tolist(), strict=True))


@dataclasses.dataclass
class TextMetrics:
    """Error rates, accuracies and confusions of texts whose words one space separates.

    Attributes:
      confusion: how often each (word said, word read) came, right ones too; None stands for no word.
    """

    characters: ErrorRate = dataclasses.field(default_factory=ErrorRate)
    words: ErrorRate = dataclasses.field(default_factory=ErrorRate)
    confusion: Counter[tuple[str | None, str | None]] = dataclasses.field(default_factory=Counter)
    examples: int = 0
    right: int = 0
    _places: list[ErrorRate] = dataclasses.field(default_factory=list)

    def add(self, truth: str, hypothesis: str) -> None:
        """Counts one example."""
        pairs = align(truth.split(), hypothesis.split())
        self.characters.add(align(truth, hypothesis))
        self.words.add(pairs)
        self.confusion.update(pairs)
        said = [pair for pair in pairs if pair[0] is not None]
        self._places += [ErrorRate() for _ in said[len(self._places) :]]
        for place, pair in zip(self._places, said, strict=False):
            place.add([pair])
        self.examples += 1
        self.right += truth == hypothesis

    def places(self) -> tuple[float, ...]:
        """Returns the share of right words at each place of the reference; inserted words do not count."""
        return tuple(place.right / place.units for place in self._places)

    def ratios(self) -> dict[str, tuple[int, int]]:
        """Returns numerator and denominator of each figure of `of_sentences`."""
        return {
            "cer": (self.characters.edits, self.characters.units),
            "wer": (self.words.edits, self.words.units),
            "word_accuracy": (self.words.right, self.words.units),
            "sentence_accuracy": (self.right, self.examples),
        }

    def of_words(self) -> dict[str, float]:
        """Returns `wer` and `word_accuracy`, the share of the words said that were read right, 0 to 1.

        Of single words, the two add up to 1. Inserted words raise `wer` alone, which may exceed 1.

        Raises:
          ValueError: nothing was counted.
        """
        return {"wer": self.words.result(), "word_accuracy": self.words.right / self.words.units}

    def of_sentences(self) -> dict[str, float]:
        """Returns `cer`, the figures of `of_words`, and `sentence_accuracy`, the share of wholly right texts.

        Raises:
          ValueError: nothing was counted.
        """
        return {
            "cer": self.characters.result(),
            **self.of_words(),
            "sentence_accuracy": self.right / self.examples,
        }
