import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import ErrorRate, TextMetrics, edit_distance

WORDS = st.lists(st.sampled_from(["a", "bin", "blue", "at"]), min_size=1, max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("ab", "ba", 2)],
)
def test_edit_distance_by_hand(reference: str, hypothesis: str, edits: int) -> None:
    assert edit_distance(reference, hypothesis) == edits


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edit_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_rates_are_jiwers(pairs: list[tuple[str, str]]) -> None:
    metrics = TextMetrics()
    for truth, hypothesis in pairs:
        metrics.add(truth, hypothesis)
    truths, hypotheses = map(list, zip(*pairs, strict=True))
    got = metrics.result()
    assert got["wer"] == pytest.approx(jiwer.wer(truths, hypotheses))
    assert got["cer"] == pytest.approx(jiwer.cer(truths, hypotheses))


def test_rates_sum_before_they_divide() -> None:
    metrics = TextMetrics()
    metrics.add("bin blue at", "bin blue at")
    metrics.add("set", "bet")
    assert metrics.result() == {
        "cer": pytest.approx(1 / 14),
        "wer": pytest.approx(1 / 4),
        "word_accuracy": pytest.approx(3 / 4),
        "sentence_accuracy": pytest.approx(1 / 2),
    }
    assert metrics.examples == 2


def test_nothing_counted_has_no_rate() -> None:
    with pytest.raises(ValueError, match="error rate: want at least one reference unit, got none"):
        ErrorRate().result()
