import numpy as np
import pytest

from model import confidence
from model.confidence import Interval
from model.evaluate import Prediction
from model.metrics import TextMetrics


def _clips(*wrong: int, words: int = 4) -> list[TextMetrics]:
    """One clip of `words` words for each number of wrong ones."""
    found = []
    for count in wrong:
        metrics = TextMetrics()
        metrics.add(" ".join(["a"] * words), " ".join(["b"] * count + ["a"] * (words - count)))
        found.append(metrics)
    return found


def test_the_words_of_a_clip_are_one_draw() -> None:
    rows = [Prediction(name, "a", read, 0.0) for name, read in [("x#0", "a"), ("y#0", "b"), ("x#1", "b")]]
    x, y = confidence.by_clip(rows, [5, 2, 5])
    assert (x.ratios()["wer"], y.ratios()["wer"]) == ((1, 2), (1, 1))
    assert confidence.rates([x, y])["wer"] == pytest.approx(2 / 3)


def test_two_clips_of_which_one_is_wrong_have_the_interval_by_hand() -> None:
    # a quarter of the draws takes the right clip twice, a quarter the wrong one: both bounds are within 2.5%
    found = confidence.intervals(_clips(0, 4))
    assert found["wer"] == found["word_accuracy"] == found["sentence_accuracy"] == Interval(0.0, 1.0)


def test_many_clips_have_the_interval_of_the_normal_distribution() -> None:
    wrong = np.random.default_rng(1).binomial(4, 0.3, 400)
    interval = confidence.intervals(_clips(*wrong))["wer"]
    deviation = (wrong / 4).std() / np.sqrt(400)
    want = [wrong.mean() / 4 - 1.96 * deviation, wrong.mean() / 4 + 1.96 * deviation]
    np.testing.assert_allclose(interval, want, atol=0.003)  # which is 0.044 wide


def test_the_same_counts_give_the_same_interval_however_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    once = confidence.intervals(_clips(0, 1, 2))
    assert confidence.intervals(_clips(0, 1, 2)) == once
    monkeypatch.setattr(confidence, "BLOCK", 1)
    assert confidence.intervals(_clips(0, 1, 2)) == once


@pytest.mark.parametrize("wrong", [(1,), (0, 0, 0), (4, 4)], ids=["a single clip", "all right", "all wrong"])
def test_clips_that_do_not_differ_have_no_interval(wrong: tuple[int, ...]) -> None:
    assert confidence.intervals(_clips(*wrong)) == {}
