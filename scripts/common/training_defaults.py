"""The settings of a training that no flag gives: those of the run it continues, else those of the published results."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from pipeline.loading import examples, labels
from pipeline.loading.examples import DataConfig
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
    "sentence": {**ALIKE, "batch_size": 8, "epochs": 30, "learning_rate": 0.0015},
}
MIN_TIMES = 10  # that a word occurs in training on average, for sentences to be read as words


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
      unknown: distinct words of the validation split that no training example has.
    """

    words: int
    spoken: int
    unknown: int

    @property
    def is_closed(self) -> bool:
        """Whether words are labels that can be learned: all known, and each seen often enough."""
        return not self.unknown and self.spoken >= MIN_TIMES * self.words

    def __str__(self) -> str:
        often = f"{self.words:,} words occur {self.spoken / max(self.words, 1):.0f} times each in training, on average"
        return f"{often}, and {self.unknown or 'none'} of validation never" + (
            "" if self.is_closed else f"; words want {MIN_TIMES} times and no unknown one"
        )


def count_words(data: DatasetDir, config: DataConfig) -> Vocabulary:
    """Counts the words of the sentences that `config` trains on and validates with.

    Raises:
      DataError: as `examples.select_examples`, of the training split.
    """
    known = data.manifest["vocabulary"]["words"]
    train = _counts(examples.label_texts(data, examples.select_examples(data, "train", config)), known)
    val = data.index.text[data.records("val")] if "val" in data.splits else StringArray.of([])
    unknown = np.count_nonzero((_counts(val, known) > 0) & (train == 0))
    return Vocabulary(np.count_nonzero(train), int(train.sum()), unknown)


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
