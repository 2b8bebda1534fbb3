"""How right the text is: edits over reference units, summed over all examples and divided once."""

import dataclasses
from collections.abc import Sequence


def edit_distance(reference: Sequence, hypothesis: Sequence) -> int:
    """The fewest insertions, deletions and substitutions between two sequences (Levenshtein 1966)."""
    row = list(range(len(hypothesis) + 1))
    for i, unit in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (unit != other))
    return row[-1]


@dataclasses.dataclass
class ErrorRate:
    """Edits over reference units, both summed over the examples seen."""

    edits: int = 0
    units: int = 0

    def add(self, reference: Sequence, hypothesis: Sequence) -> None:
        self.edits += edit_distance(reference, hypothesis)
        self.units += len(reference)

    def result(self) -> float:
        """0 is perfect; above 1 where more was inserted than was there.

        Raises:
          ValueError: the references hold no unit at all, so that there is no rate.
        """
        if self.units == 0:
            raise ValueError("error rate: want at least one reference unit, got none")
        return self.edits / self.units


@dataclasses.dataclass
class TextMetrics:
    """Character and word error rate, word and sentence accuracy of texts whose words one space separates."""

    characters: ErrorRate = dataclasses.field(default_factory=ErrorRate)
    words: ErrorRate = dataclasses.field(default_factory=ErrorRate)
    examples: int = 0
    right: int = 0

    def add(self, truth: str, hypothesis: str) -> None:
        """Count one example."""
        self.characters.add(truth, hypothesis)
        self.words.add(truth.split(), hypothesis.split())
        self.examples += 1
        self.right += truth == hypothesis

    def result(self) -> dict[str, float]:
        """`cer`, `wer`, `word_accuracy` and `sentence_accuracy`.

        Word accuracy is 1 - wer: for single words, the share that is right.

        Raises:
          ValueError: nothing was counted.
        """
        wer = self.words.result()
        return {
            "cer": self.characters.result(),
            "wer": wer,
            "word_accuracy": 1 - wer,
            "sentence_accuracy": self.right / self.examples,
        }
