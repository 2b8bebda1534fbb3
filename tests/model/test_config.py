from typing import Any

import pytest

from model import config, sequence, vgg_m
from model.config import LipReaderConfig, TrainConfig


def test_the_choices_are_what_there_is() -> None:
    assert tuple(vgg_m.TABLES) == config.TABLES
    assert tuple(sequence.WRAPPERS) == config.WRAPPERS
    assert set(config.SUMMED_WRAPPERS) <= set(config.WRAPPERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "words"}, "head: want one of word, ctc, got 'words'"),
        ({"table": "D"}, "table: want one of A, B, C, got 'D'"),
        ({"sequence": "loop"}, "sequence: want one of packed, chunked, reshape, .*, got 'loop'"),
        ({"classes": 0}, "classes: want more than 0, got 0"),
        ({"dropout": 1.0}, "dropout: want 0 <= dropout < 1, got 1.0"),
        ({"head": "ctc", "use_in_word": True}, "use_in_word: goes with head word only, got head ctc"),
    ],
)
def test_a_bad_model_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LipReaderConfig(**{"classes": 3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs: want more than 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: want more than 0, got nan"),
        ({"warmup": 1.0}, "warmup: want 0 <= warmup < 1, got 1.0"),
        ({"ema": 1.0}, "ema: want 0 <= ema < 1, got 1.0"),
        ({"label_smoothing": 1.0}, "label_smoothing: want 0 <= label_smoothing < 1, got 1.0"),
    ],
)
def test_a_bad_training_is_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**arguments)
