"""The settings of a training that no flag gives: those of the run it continues, else its unit's."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from pipeline.loading import examples, labels
from pipeline.loading.config import DataConfig
from pipeline.records.directory import DatasetDir
from pipeline.records.strings import Lookup, StringArray, blocks

ALIKE: dict[str, Any] = {
    "table": "C",
    "width": 0.25,
    "lstm_units": 128,
    "dropout": 0.4,
    "weight_decay": 0.05,
    "shift": 6,
    "flip": 0.5,
    "brightness": 15,
    "contrast": 0.15,
    "speed": 0.1,
}
UNITS: dict[str, dict[str, Any]] = {  # unit -> flag -> value; a flag that is not here has the library's default
    "word": {
        **ALIKE,
        "word_margin": 12,
        "use_in_word": True,
        "label_smoothing": 0.1,
        "batch_size": 16,
        "epochs": 24,
        "learning_rate": 0.002,
    },
    # Small batches and averaged weights: of 40 clips they read half again as many words as batches of 8 without.
    "sentence": {**ALIKE, "batch_size": 4, "epochs": 40, "learning_rate": 0.0015, "ema": 0.97},
}
# Sentences are read as words where a word comes so often in training on average, there are no more to choose from,
# and such a share of what validation says is known.
MIN_TIMES, MAX_WORDS, MIN_KNOWN = 3, 1000, 0.9


def describe() -> None:
    """Makes `--help` show the default of each unit; once all flags are defined."""
    for name in sorted({name for table in UNITS.values() for name in table}):
        shown = {unit: _shown(table[name]) for unit, table in UNITS.items() if name in table}
        alike = len(shown) == len(UNITS) and len(set(shown.values())) == 1
        different = ", ".join(f"{value} for {unit}s" for unit, value in shown.items())
        flags.FLAGS[name].default_as_str = next(iter(shown.values())) if alike else different


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def take(unit: str) -> None:
    """Gives the flags that the user has not given the values of a unit."""
    for name, value in UNITS[unit].items():
        flags.FLAGS.set_default(name, value)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
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


def count_words(data: DatasetDir, config: DataConfig) -> Vocabulary:
    """Counts the words of the sentences that `config` trains on and validates with.

    Raises:
      DataError: as `examples.select_examples`, of the training split.
    """
    known = data.manifest["vocabulary"]["words"]
    train = _counts(examples.label_texts(data, examples.select_examples(data, "train", config)), known)
    texts = data.index.text[data.records("val")] if "val" in data.splits else StringArray.of([])
    val = len(labels.split_words(texts)[0]) if len(texts) else 0
    met = int(_counts(texts, known)[train > 0].sum())
    return Vocabulary(np.count_nonzero(train), int(train.sum()), met / val if val else None)


def _counts(texts: StringArray, known: Sequence[str]) -> np.ndarray:
    """Counts how often texts have each of M known words, int64 [M]."""
    counts, find = np.zeros(len(known), np.int64), Lookup(known)
    for block in blocks(len(texts)):
        places = find(labels.split_words(texts[block])[0])
        counts += np.bincount(places[places >= 0], minlength=len(counts))
    return counts


def of_run(saved: Mapping[str, Any]) -> str:
    """Returns what the labels of a run are, as `--labels` has it."""
    return "words" if saved["data"]["vocabulary"]["unit"] == "word" else "characters"
