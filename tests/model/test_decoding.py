import math

import numpy as np
import pytest

from model import decoding

BLANK = 2  # of three units: 0, 1 and the blank


def _logits(path: list[int], size: int = 3) -> np.ndarray:
    """Probability 0.8 for the path's unit, the rest shared."""
    probabilities = np.full([len(path), size], 0.2 / (size - 1))
    probabilities[np.arange(len(path)), path] = 0.8
    return np.log(probabilities)


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ([0, 0, BLANK, 0, 1, 1], (0, 0, 1)),
        ([BLANK, BLANK], ()),
        ([0, 0, 0], (0,)),
        ([BLANK, 1, BLANK, BLANK, 1], (1, 1)),
        ([], ()),
    ],
    ids=["repeats", "blanks", "one long", "same twice", "no step"],
)
def test_greedy_path_collapses_repeats_then_drops_blanks(path: list[int], labels: tuple[int, ...]) -> None:
    padded = np.concatenate([_logits(path), _logits([1, 0, 1])])
    (got,) = decoding.ctc_greedy(padded[np.newaxis], [len(path)])
    assert got.labels == labels
    assert got.score == pytest.approx(len(path) * math.log(0.8))


def test_word_is_the_likeliest_class_with_its_log_probability() -> None:
    first, second = decoding.word(_logits([1, 3], size=4))
    assert (first.labels, second.labels) == ((1,), (3,))
    assert first.score == pytest.approx(math.log(0.8))


def test_log_softmax_survives_large_logits() -> None:
    np.testing.assert_allclose(decoding.log_softmax(np.float32([[1000, 0]])), [[0, -1000]])


def test_decode_chooses_by_head() -> None:
    logits = _logits([1, BLANK])
    assert decoding.decode("word", logits, [1, 1]) == decoding.word(logits)
    assert decoding.decode("ctc", logits[np.newaxis], [2]) == decoding.ctc_greedy(logits[np.newaxis], [2])
