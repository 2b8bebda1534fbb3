import math

import numpy as np
import pytest
import tensorflow as tf

from model import decoding
from model.decoding import DecodeConfig, Hypothesis
from model.lexicon import Lexicon, anything
from tests.model import ctc_oracle

BLANK = 2  # of three units: 0, 1 and the blank
EVERYTHING = 10_000  # a width that cuts nothing


def _logits(path: list[int], size: int = 3) -> np.ndarray:
    """Probability 0.8 for the path's unit, the rest shared."""
    probabilities = np.full([len(path), size], 0.2 / (size - 1))
    probabilities[np.arange(len(path)), path] = 0.8
    return np.log(probabilities)


def _noise(seed: int, steps: int, units: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=[steps, units]) * 1.5


def _beam(logits: np.ndarray, width: int, lexicon: Lexicon | None = None) -> Hypothesis:
    (got,) = decoding.ctc_beam(logits[np.newaxis], [len(logits)], width, lexicon)
    return got


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


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("steps", "units"), [(6, 3), (5, 4), (1, 3), (0, 3)])
def test_a_wide_beam_finds_the_likeliest_text_with_its_probability(seed: int, steps: int, units: int) -> None:
    logits = _noise(seed, steps, units)
    texts = ctc_oracle.posterior(decoding.log_softmax(logits))
    best = max(texts, key=texts.__getitem__)
    assert _beam(logits, EVERYTHING) == Hypothesis(best, pytest.approx(texts[best]))


LEXICONS = {
    "closed vocabulary": Lexicon.of_words([(0,), (0, 0)], 3, 2),
    "grammar": Lexicon.of_slots([[(0,), (1,)], [(1, 1), (0, 1)]], 3, 2),
    "grammar of labels": Lexicon.of_slots([[(0,), (1,)], [(1,), (2,)]], 3, None),
}


def _allows(lexicon: Lexicon, labels: tuple[int, ...]) -> bool:
    state = 0
    for label in labels:
        state = lexicon.next[state, label] if state >= 0 else -1
    return state >= 0 and bool(lexicon.final[state])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lexicon", LEXICONS.values(), ids=LEXICONS)
def test_a_lexicon_leaves_the_likeliest_of_its_texts(seed: int, lexicon: Lexicon) -> None:
    logits = _noise(seed, 6, 4)
    texts = ctc_oracle.posterior(decoding.log_softmax(logits))
    allowed = {labels: score for labels, score in texts.items() if _allows(lexicon, labels)}
    best = max(allowed, key=allowed.__getitem__)
    assert _beam(logits, EVERYTHING, lexicon) == Hypothesis(best, pytest.approx(allowed[best]))


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("steps", [4, 5, 9])
def test_a_narrow_beam_still_ends_in_an_allowed_text(width: int, steps: int) -> None:
    """Even where the logits say otherwise and the last windows must be used one label each."""
    lexicon = Lexicon.of_slots([[(0,)], [(1, 1), (0, 1)]], 3, 2)
    for seed in range(20):
        got = _beam(_noise(seed, steps, 4), width, lexicon)
        assert _allows(lexicon, got.labels), got
        assert got.score > -math.inf


def test_what_no_text_of_the_lexicon_fits_into_has_no_probability() -> None:
    lexicon = Lexicon.of_slots([[(0, 0)]], 3, 2)
    assert _beam(_noise(0, 2, 4), 8, lexicon) == Hypothesis((), -math.inf)
    assert _beam(_noise(0, 0, 4), 8, lexicon) == Hypothesis((), -math.inf)
    assert _beam(_noise(0, 3, 4), 8, lexicon).labels == (0, 0)


def test_the_beam_sums_paths_where_the_best_path_is_of_another_text() -> None:
    """Blank is likeliest everywhere, but "0" has more paths."""
    logits = np.log(np.array([[0.4, 0.6], [0.4, 0.6]]))
    (greedy,) = decoding.ctc_greedy(logits[np.newaxis], [2])
    assert greedy == Hypothesis((), pytest.approx(math.log(0.36)))
    assert _beam(logits, 2) == Hypothesis((0,), pytest.approx(math.log(0.64)))


def test_a_score_is_never_more_than_the_texts_own_and_grows_with_the_width() -> None:
    logits = _noise(9, 6, 4)
    texts = ctc_oracle.posterior(decoding.log_softmax(logits))
    found = [_beam(logits, width) for width in (1, 3, 30, EVERYTHING)]
    assert all(each.score <= texts[each.labels] + 1e-9 for each in found)
    assert found[0].score < found[-1].score


def test_of_equal_texts_the_earlier_is_kept() -> None:
    assert [_beam(np.zeros([1, 101]), width).labels for width in (1, 2, 101)] == [(), (), ()]
    then_57 = np.stack([np.zeros(101), np.where(np.arange(101) == 57, 3.0, 0.0)])
    assert [_beam(then_57, width).labels for width in (57, 58, 59)] == [(57,), (57,), (57,)]
    assert _beam(np.array([[1.0, 1.0, 0.0]]), 3).labels == (0,)


def test_prefix_beam_search_is_tensorflows() -> None:
    logits = np.random.default_rng(4).normal(size=[3, 9, 5]).astype(np.float32) * 2
    lengths = [9, 6, 8]
    decoded, scores = tf.nn.ctc_beam_search_decoder(tf.transpose(logits, [1, 0, 2]), lengths, beam_width=2000)
    want = tf.sparse.to_dense(decoded[0], default_value=-1).numpy()
    for row, got in enumerate(decoding.ctc_beam(logits, lengths, 2000)):
        assert got.labels == tuple(want[row][want[row] >= 0].tolist())
        assert got.score == pytest.approx(float(scores[row, 0]), abs=1e-3)


def test_rows_are_read_over_their_true_lengths() -> None:
    logits = np.stack([_noise(1, 7, 4), _noise(2, 7, 4)])
    both = decoding.ctc_beam(logits, [3, 7], 10)
    assert both == [_beam(logits[0, :3], 10), _beam(logits[1], 10)]


def test_word_is_the_likeliest_class_with_its_log_probability() -> None:
    first, second = decoding.word(_logits([1, 3], size=4))
    assert (first.labels, second.labels) == ((1,), (3,))
    assert first.score == pytest.approx(math.log(0.8))


def test_log_softmax_survives_large_logits() -> None:
    np.testing.assert_allclose(decoding.log_softmax(np.float32([[1000, 0]])), [[0, -1000]])


def test_decode_chooses_by_head_and_config() -> None:
    logits = _logits([1, BLANK])
    assert decoding.decode("word", logits, [1, 1]) == decoding.word(logits)
    rows, only_0 = logits[np.newaxis], Lexicon.of_slots([[(0,)]], 2, None)
    assert decoding.decode("ctc", rows, [2]) == decoding.ctc_greedy(rows, [2])
    assert decoding.decode("ctc", rows, [2], DecodeConfig("beam", 4)) == decoding.ctc_beam(rows, [2], 4, anything(2))
    assert decoding.decode("ctc", rows, [2], DecodeConfig("beam", 4, only_0))[0].labels == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder": "best"}, "decoder: want greedy or beam, got 'best'"),
        ({"decoder": "beam", "beam_width": 0}, "beam_width: want more than 0, got 0"),
        ({"lexicon": anything(2)}, "lexicon: goes with decoder beam only, got decoder greedy"),
    ],
)
def test_a_bad_config_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecodeConfig(**arguments)
