import math

import numpy as np
import pytest

from model.alignment import Reading, Word, best_path, read
from model.decoding import Hypothesis, log_softmax
from pipeline.vocab import Vocabulary
from tests.model import ctc_oracle

LETTERS = Vocabulary.of_characters("ab ")
WORDS = Vocabulary.of_words(("set", "lay", "bin"))  # sorted: bin, lay, set


@pytest.mark.parametrize("labels", [(), (0,), (0, 1), (1, 1), (0, 1, 0), (0, 0, 1)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_path_is_the_likeliest_of_all_that_spell_the_labels(labels: tuple[int, ...], seed: int) -> None:
    logs = log_softmax(np.random.default_rng(seed).normal(size=[6, 3]) * 2)
    _, want = max((score, path) for spelled, score, path in ctc_oracle.paths(logs) if spelled == labels)
    got = best_path(logs, labels)
    assert [labels[place] if place >= 0 else 2 for place in got] == list(want)
    said = got[got >= 0]
    assert sorted(set(said.tolist())) == list(range(len(labels)))
    assert (np.diff(said) >= 0).all()


@pytest.mark.parametrize(("labels", "windows"), [((0, 0), 2), ((0, 1), 1), ((0,), 0)])
def test_labels_that_do_not_fit_are_refused(labels: tuple[int, ...], windows: int) -> None:
    with pytest.raises(ValueError, match=f"labels: want what {windows} windows can spell, got"):
        best_path(np.zeros([windows, 3]), labels)


def test_no_label_in_no_window_is_an_empty_path() -> None:
    assert best_path(np.zeros([0, 3]), ()).tolist() == []


def _peaks(path: list[int], units: int) -> np.ndarray:
    """Probability 0.7 for the path's unit, the rest shared."""
    probabilities = np.full([len(path), units], 0.3 / (units - 1))
    probabilities[np.arange(len(path)), path] = 0.7
    return np.log(probabilities)


def test_words_of_characters_have_their_windows() -> None:
    # windows      0  1  2  3  4  5  6  7  8
    path = np.array([3, 0, 3, 1, 2, 2, 1, 1, 3])
    logits = np.concatenate([_peaks(path, 4), _peaks([0, 0], 4)])  # two windows of padding
    got = read("ctc", logits, len(path), Hypothesis((0, 1, 2, 1), -2.0), LETTERS)
    sure = pytest.approx(0.7)
    assert got == Reading("ab b", -2.0, (Word("ab", 1, 4, sure), Word("b", 6, 8, sure)))


def test_spaces_too_many_make_no_word() -> None:
    path = [2, 3, 2, 0, 2, 3, 2, 1, 2]
    got = read("ctc", _peaks(path, 4), 9, Hypothesis((2, 2, 0, 2, 2, 1, 2), -1.0), LETTERS)
    assert [(word.text, word.start, word.stop) for word in got.words] == [("a", 3, 4), ("b", 7, 8)]
    assert got.text == "a b"
    assert read("ctc", _peaks([2], 4), 1, Hypothesis((2,), -1.0), LETTERS) == Reading("", -1.0, ())


def test_labels_that_are_words_have_their_windows() -> None:
    path = [3, 2, 2, 3, 2, 0]
    got = read("ctc", _peaks(path, 4), 6, Hypothesis((2, 2, 0), -1.0), WORDS)
    assert [(word.text, word.start, word.stop) for word in got.words] == [("set", 1, 3), ("set", 4, 5), ("bin", 5, 6)]


def test_a_words_score_is_the_geometric_mean_of_its_windows() -> None:
    logits = np.log([[0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    (word,) = read("ctc", logits, 3, Hypothesis((0, 1), -1.0), LETTERS).words
    assert (word.start, word.stop) == (0, 2)
    assert word.score == pytest.approx(math.sqrt(0.9 * 0.5))


def test_a_single_word_takes_all_windows() -> None:
    got = read("word", np.zeros(3), 7, Hypothesis((1,), math.log(0.25)), WORDS)
    assert got == Reading("lay", math.log(0.25), (Word("lay", 0, 7, pytest.approx(0.25)),))


def test_a_sentence_in_the_alphabet_of_every_run_is_six_words_where_they_are_said() -> None:
    vocabulary = Vocabulary.of_characters()
    text, blank = "bin blue at f two now", len(vocabulary)
    labels = tuple(vocabulary.encode(text))
    path = [unit for label in labels for unit in (label, blank)]  # each character in every second window
    got = read("ctc", _peaks(path, blank + 1), len(path), Hypothesis(labels, -1.0), vocabulary)
    assert got.text == text == vocabulary.decode(labels)
    starts = [0, 4, 9, 12, 14, 18]  # of the words in the text
    assert [(word.text, word.start, word.stop) for word in got.words] == [
        (word, 2 * start, 2 * (start + len(word)) - 1) for word, start in zip(text.split(), starts, strict=True)
    ]
