import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import alignment
from model.alignment import Reading, Word, best_path, motion
from model.decoding import Hypothesis, log_softmax
from pipeline.loading import windows
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


def read(
    head: str, logits: np.ndarray, length: int, hypothesis: Hypothesis, vocabulary: Vocabulary, moved: str = ""
) -> Reading:
    """As `alignment.read`, of lips whose motion is a digit a window; of lips that are always as still by default."""
    motion = np.array([float(digit) for digit in moved] if moved else [1.0] * len(logits))
    return alignment.read(head, logits, length, hypothesis, vocabulary, motion)


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


PADDED = "." * 20 + "{}" + "." * 20


def _spans(path: str, moved: str) -> list[tuple[str, int, int]]:
    """The windows of words whose labels are said as `path` shows: `b`in, `l`ay, `s`et, or nothing."""
    units = ["bls.".index(letter) for letter in path]
    labels = tuple(unit for unit, before in zip(units, [3, *units], strict=False) if unit not in (3, before))
    got = read("ctc", _peaks(units, 4), len(units), Hypothesis(labels, -1.0), WORDS, moved)
    return [(word.text[0], word.start, word.stop) for word in got.words]


@pytest.mark.parametrize(
    ("path", "moved", "spans"),
    [
        # labels that hold on over the silence at both ends, as they do where CTC need not stop
        ("bbbbbbbbbb.l.sssssssssss", "111119988998899889911111", [("b", 5, 11), ("l", 11, 13), ("s", 13, 19)]),
        # brief ones: half of what is between two is each word's
        (".....b....l...s.........", "111998899889988998811111", [("b", 3, 8), ("l", 8, 13), ("s", 13, 19)]),
        # one quick movement and a pause before the word
        ("bbbbbbbbbbbbbbbbb", "19111119889981111", [("b", 7, 13)]),
        # a pause parts two words; one that is shorter does not
        ("..b........l....", "1988911111988811", [("b", 1, 5), ("l", 10, 14)]),
        ("..b.......l.....", "1988911119888111", [("b", 1, 7), ("l", 7, 13)]),
        # lips that are still where a label is
        ("..b........l....", "1988911111111111", [("b", 1, 5), ("l", 11, 12)]),
        # a mouth that opens long before the first word, and closes long after the last
        (PADDED.format("b..l..s"), "111" + "9" * 41 + "111", [("b", 12, 22), ("l", 22, 25), ("s", 25, 35)]),
        # the same without a word between them, and of a single word
        (PADDED.format("b..l"), "111" + "9" * 38 + "111", [("b", 12, 22), ("l", 22, 32)]),
        (PADDED.format("b"), "111" + "9" * 35 + "111", [("b", 15, 25)]),
        ("b" * 16 + "." * 25, "1" * 10 + "9" * 28 + "111", [("b", 10, 18)]),
        # the word between them is longer than ten windows
        (PADDED.format("b..lllllllllll..s"), "111" + "9" * 51 + "111", [("b", 9, 22), ("l", 22, 35), ("s", 35, 48)]),
    ],
    ids=[
        "held",
        "brief",
        "one movement",
        "pause",
        "no pause",
        "still",
        "mouth opens",
        "two",
        "one",
        "held one",
        "long",
    ],
)
def test_words_last_as_long_as_the_lips_move(path: str, moved: str, spans: list[tuple[str, int, int]]) -> None:
    assert _spans(path, moved) == spans


@given(st.lists(st.tuples(st.sampled_from("bls."), st.sampled_from("1239")), min_size=1, max_size=40))
def test_words_are_in_order_and_do_not_overlap(drawn: list[tuple[str, str]]) -> None:
    path, moved = map("".join, zip(*drawn, strict=True))
    found = _spans(path, moved)
    edges = [edge for _, start, stop in found for edge in (start, stop)]
    assert edges == sorted(edges)
    assert all(0 <= start < stop <= len(path) for _, start, stop in found)
    places = itertools.groupby(range(len(path)), path.__getitem__)
    own = [(unit, list(windows)) for unit, windows in places if unit != "."]
    assert [word for word, _, _ in found] == [unit for unit, _ in own]
    for (_, start, stop), (_, labels) in list(zip(found, own, strict=True))[1:-1]:
        assert max(start, labels[0]) < min(stop, labels[-1] + 1)  # they meet
    longest = max([10, *(stop - start for _, start, stop in found[1:-1])])
    assert all(stop - start <= longest for _, start, stop in found)


def test_motion_is_the_usual_change_of_a_frame_in_gray_levels() -> None:
    levels = [10, 10, 10, 13, 16, 10, 200, 13]  # of eight frames
    frames = np.stack([np.full([112, 112], level, np.uint8) for level in levels])
    frames[:, 1:, 1:] += 50  # moves nothing
    cut = windows.make(frames[None])
    # changes of the four windows: 0 0 3 3, 0 3 3 6, 3 3 6 190, 3 6 190 187
    np.testing.assert_allclose(motion(cut), [[1.5, 3.0, 4.5, 96.5]])


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
