"""The settings of a training that no flag gives: those of the run it continues, else its unit's."""

from collections.abc import Mapping
from typing import Any

from absl import flags

from pipeline.vocab import Vocabulary

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
        "monitor": "loss",  # the error rate of a few clips is luck
    },
    # Small batches and averaged weights: of 40 clips they read half again as many words as batches of 8 without.
    "sentence": {
        **ALIKE,
        "batch_size": 4,
        "epochs": 40,
        "learning_rate": 0.0015,
        "ema": 0.97,
        "splice": 0.5,
        "monitor": None,  # see `monitor`
    },
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
    flags.FLAGS["monitor"].default_as_str = "loss for words, wer for sentences of words, cer for those of characters"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def take(unit: str) -> None:
    """Gives the flags that the user has not given the values of a unit."""
    for name, value in UNITS[unit].items():
        flags.FLAGS.set_default(name, value)


def monitor(vocabulary: Vocabulary) -> str:
    """Returns what picks the best weights of sentences, by what is read."""
    return "wer" if vocabulary.unit == "word" else "cer"


def of_run(saved: Mapping[str, Any]) -> str:
    """Returns what the labels of a run are, as `--labels` has it."""
    return "words" if saved["data"]["vocabulary"]["unit"] == "word" else "characters"
