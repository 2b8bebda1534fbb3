import itertools
from collections import Counter

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.alignment import Word
from model.metrics import ErrorRate, TextMetrics, TimeErrors, align

WORDS = st.lists(st.sampled_from(["a", "bin", "blue", "at", "a\ufffd"]), min_size=1, max_size=6).map(" ".join)
TEXT = st.text("ab\ufffd", max_size=8)


def _edits(reference: str, hypothesis: str) -> int:
    return sum(a != b for a, b in align(reference, hypothesis))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("ab", "ba", 2)],
)
def test_edits_by_hand(reference: str, hypothesis: str, edits: int) -> None:
    assert _edits(reference, hypothesis) == edits


@pytest.mark.parametrize(
    ("reference", "hypothesis", "pairs"),
    [
        ("bin blue at", "bin at", [("bin", "bin"), ("blue", None), ("at", "at")]),
        ("bin at", "bin blue at", [("bin", "bin"), (None, "blue"), ("at", "at")]),
        ("bin blue", "set blue", [("bin", "set"), ("blue", "blue")]),
        ("bin blue", "blue bin", [(None, "blue"), ("bin", "bin"), ("blue", None)]),
        ("at at", "at", [("at", "at"), ("at", None)]),
    ],
    ids=["deleted", "inserted", "replaced", "rather the same word than two pairs", "the earlier of two alike"],
)
def test_alignment_by_hand(reference: str, hypothesis: str, pairs: list) -> None:
    assert align(reference.split(), hypothesis.split()) == pairs


@given(TEXT, TEXT, TEXT)
def test_edits_are_a_metric(a: str, b: str, c: str) -> None:
    assert _edits(a, b) == _edits(b, a)
    assert (_edits(a, b) == 0) == (a == b)
    assert _edits(a, c) <= _edits(a, b) + _edits(b, c)


@given(TEXT, TEXT)
def test_an_alignment_holds_both_sequences_in_order(a: str, b: str) -> None:
    pairs = align(a, b)
    assert "".join(unit for unit, _ in pairs if unit is not None) == a
    assert "".join(unit for _, unit in pairs if unit is not None) == b
    assert (None, None) not in pairs


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_rates_are_jiwers(pairs: list[tuple[str, str]]) -> None:
    metrics = TextMetrics()
    for truth, hypothesis in pairs:
        metrics.add(truth, hypothesis)
    truths, hypotheses = map(list, zip(*pairs, strict=True))
    got = metrics.of_sentences()
    words = jiwer.process_words(truths, hypotheses)
    assert got["wer"] == pytest.approx(words.wer)
    assert got["cer"] == pytest.approx(jiwer.cer(truths, hypotheses))
    confusion = metrics.confusion
    wrong = sum(count for (said, read), count in confusion.items() if said != read)
    assert wrong == words.substitutions + words.deletions + words.insertions
    lengths = sum(count * ((said is not None) - (read is not None)) for (said, read), count in confusion.items())
    assert lengths == words.deletions - words.insertions


@given(WORDS, WORDS)
def test_alignments_are_jiwers(truth: str, read: str) -> None:
    said, heard, pairs = truth.split(), read.split(), []
    for chunk in jiwer.process_words(truth, read).alignments[0]:
        ours, theirs = said[chunk.ref_start_idx : chunk.ref_end_idx], heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        pairs += itertools.zip_longest(ours, theirs)
    assert align(said, heard) == pairs
    metrics = TextMetrics()
    metrics.add(truth, read)
    assert metrics.places() == tuple(float(one == other) for one, other in pairs if one is not None)
    assert metrics.confusion == Counter(pairs)


def test_rates_sum_before_they_divide() -> None:
    metrics = TextMetrics()
    metrics.add("bin blue at", "bin blue at")
    metrics.add("set", "bet")
    words = {"wer": pytest.approx(1 / 4), "word_accuracy": pytest.approx(3 / 4)}
    assert metrics.of_words() == words
    assert metrics.of_sentences() == {
        "cer": pytest.approx(1 / 14),
        **words,
        "sentence_accuracy": pytest.approx(1 / 2),
    }
    assert metrics.examples == 2


def test_inserted_words_raise_the_error_rate_and_leave_the_accuracy_at_0_or_above() -> None:
    metrics = TextMetrics()
    metrics.add("bin", "bin a b c")
    metrics.add("at", "d e")
    assert metrics.of_words() == {"wer": 5 / 2, "word_accuracy": 1 / 2}  # 3 inserted; 1 inserted, 1 substituted
    assert metrics.ratios() == {
        "cer": (6 + 3, 3 + 2),
        "wer": (5, 2),
        "word_accuracy": (1, 2),
        "sentence_accuracy": (0, 2),
    }


def test_accuracy_by_place_and_confusion_by_hand() -> None:
    metrics = TextMetrics()
    for truth, read in [
        ("bin blue at f", "bin red at f"),
        ("lay blue by", "lay by"),  # the second is missing, the third is right
        ("set white in", "oh set white at"),  # what was inserted moves no place
    ]:
        metrics.add(truth, read)
    assert metrics.places() == pytest.approx((3 / 3, 1 / 3, 2 / 3, 1 / 1))
    assert metrics.confusion == {
        ("bin", "bin"): 1,
        ("blue", "red"): 1,
        ("at", "at"): 1,
        ("f", "f"): 1,
        ("lay", "lay"): 1,
        ("blue", None): 1,
        ("by", "by"): 1,
        (None, "oh"): 1,
        ("set", "set"): 1,
        ("white", "white"): 1,
        ("in", "at"): 1,
    }


def test_single_words_make_the_confusion_matrix() -> None:
    metrics = TextMetrics()
    for truth, read in [("bin", "bin"), ("bin", "lay"), ("lay", "lay"), ("bin", "lay")]:
        metrics.add(truth, read)
    assert metrics.confusion == {("bin", "bin"): 1, ("bin", "lay"): 2, ("lay", "lay"): 1}
    assert metrics.of_words()["word_accuracy"] == pytest.approx(1 / 2)


def test_nothing_counted_has_no_rate() -> None:
    with pytest.raises(ValueError, match="error rate: want at least one reference unit, got none"):
        ErrorRate().result()


def _words(*rows: tuple[str, int, int]) -> list[Word]:
    return [Word(*row, score=1.0) for row in rows]


def test_times_of_words_read_right_are_compared_in_wrong_sentences_too() -> None:
    errors = TimeErrors()
    said = _words(("bin", 4, 10), ("blue", 10, 15), ("at", 15, 18), ("f", 18, 21), ("now", 21, 30))
    read = _words(("bin", 1, 10), ("at", 14, 19), ("f", 18, 21), ("two", 21, 23), ("now", 23, 39))
    errors.add(said, read)
    assert (errors.starts, errors.stops) == ([-3, -1, 0, 2], [0, 1, 0, 9])
    errors.add(_words(("set", 2, 5)), [])
    assert len(errors) == 4
    assert errors.result() == pytest.approx({"start": 1.5, "stop": 0.5, "start_90": 2.7, "stop_90": 6.6})


def test_no_word_has_no_error() -> None:
    with pytest.raises(ValueError, match="time errors: want at least one word, got none"):
        TimeErrors().result()
