import dataclasses

import pytest

from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.vocab import Vocabulary

WORDS = Vocabulary.of_words(["at", "bin"])


def test_whole_leaves_nothing_out() -> None:
    filters = {"speakers": ("s1",), "words": ("at",), "max_doubt": 0.5, "where": ("a=b",), "max_frames": 9}
    config = DataConfig(WORDS, "word", 3, "same", **filters, overlong="truncate")
    kept = dataclasses.replace(config.whole(), overlong="skip")
    assert kept == DataConfig(WORDS, "word", 3, "same")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"unit": "phoneme"}, "unit: want sentence or word, got 'phoneme'"),
        ({"margin": -1}, "margin: want 0 to 100 frames, got -1"),
        ({"margin": 101}, "margin: want 0 to 100 frames, got 101"),
        ({"padding": "wrap"}, "padding: want valid or same, got 'wrap'"),
        ({"max_doubt": 1.1}, "max_doubt: want 0 to 1, got 1.1"),
        ({"where": ("room=a", "room")}, "where: want name=value, got 'room'"),
        ({"where": ("=a",)}, "where: want name=value, got '=a'"),
        ({"max_frames": 4}, "max_frames: want at least 5, one window, got 4"),
        ({"overlong": "cut"}, "overlong: want skip or truncate, got 'cut'"),
    ],
)
def test_bad_examples_are_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DataConfig(WORDS, **settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"batch_size": 0}, "batch_size: want at least 1, got 0"),
        ({"seed": -1}, "seed: want 0 or more, got -1"),
        ({"remainder": "keep"}, "remainder: want drop or pad, got 'keep'"),
        ({"pad_to_multiple": 0}, "pad_to_multiple: want at least 1, got 0"),
        ({"max_windows_per_batch": 0}, "max_windows_per_batch: want at least 1, got 0"),
        ({"mix": (1.0, 0.0)}, r"mix: want shares above 0, got \(1.0, 0.0\)"),
        ({"mix": (float("nan"),)}, "mix: want shares above 0"),
        ({"batch_size": 8, "workers": 3}, r"workers: 3 do not divide batch_size 8; choose of \[1, 2, 4, 8\]"),
        ({"workers": 0}, "workers: 0 do not divide"),
        ({"workers": 2, "worker": 2}, "worker: want 0 to 1, got 2"),
        ({"worker": -1}, "worker: want 0 to 0, got -1"),
    ],
)
def test_a_bad_order_is_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        PlanConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"shift": 57}, "shift: want 0 to 56, got 57"),
        ({"flip": 1.1}, "flip: want a probability, got 1.1"),
        ({"brightness": -1}, "brightness: want 0 to 255, got -1"),
        ({"contrast": 1.0}, "contrast: want 0 <= contrast < 1, got 1.0"),
        ({"mask_frames": -1}, "mask_frames: want 0 to 1000, got -1"),
        ({"masks": 0}, "masks: want at least 1, got 0"),
        ({"zoom": 1.0}, "zoom: want 0 <= zoom < 1, got 1.0"),
        ({"erase": -0.1}, "erase: want a probability, got -0.1"),
        ({"splice": 1.5}, "splice: want a probability, got 1.5"),
        ({"speed": float("nan")}, "speed: want 0 <= speed < 1, got nan"),
    ],
)
def test_a_bad_augmentation_is_refused(settings: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        AugmentConfig(**settings)
