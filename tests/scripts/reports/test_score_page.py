from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from model.confidence import Interval
from model.evaluate import Prediction, Report
from model.metrics import TimeErrors
from pipeline.loading.config import DataConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, DataError, Word
from pipeline.vocab import Vocabulary
from scripts.reports import score_page, worst_examples
from scripts.reports.score_page import Score
from scripts.reports.speakers import Speaker
from tests import datasets
from tests.scripts import pages

EVIL = "<b>'$\"&"
CONFUSION = {("bin", "bin"): 6, ("bin", "now"): 2, ("bin", None): 1, (None, "at"): 3, ("now", "now"): 4}


def _report(*predictions: Prediction, **changes: object) -> Report:
    metrics = {"loss": 1.23456, "cer": 0.25, "wer": 0.5, "word_accuracy": 0.5, "sentence_accuracy": 0.125}
    fields = {"places": (0.75, 0.5), "confusion": Counter(CONFUSION), "predictions": predictions, **changes}
    return Report(1234, metrics, **fields)


def _html(report: Report, clip: Callable[[Prediction], Clip], **more: object) -> pages.Page:
    intervals = {"wer": Interval(0.25, 0.625), "sentence_accuracy": Interval(0.1, 1.0)}
    own = [Speaker("s1", 2, 2, {"wer": 1.5, "word_accuracy": 0.25}, {"wer": Interval(1.0, 2.0)})]
    score = Score(report, intervals, 0.2, own, {})
    return pages.check(score_page.html("words on tiny", [("date", "today")], score, clip, [("run", "r")], **more))


def _clip(prediction: Prediction) -> Clip:
    return datasets.clip(prediction.id, 12)


def test_the_page_shows_the_figures() -> None:
    found = _html(_report(Prediction("s1/a", "bin at", "bin now", -2.5)), _clip)
    pairs = list(zip(found.text, found.text[1:], strict=False))
    for name, value in [
        ("examples", "1,234"),
        ("words right", "50.0%"),
        ("sentences right", "12.5%"),
        ("12.5%", "95%: 10.0 to 100.0%"),
        ("word error rate", "50.0%"),
        ("50.0%", "95%: 25.0 to 62.5%"),
        ("date", "today"),
        ("s1", "2"),
        ("150.00", "100.00 to 200.00"),
        ("Training", "The run has no TensorBoard events of its training, so there is no curve."),
        ("character error rate", "25.0%"),
        ("loss, nats", "1.235"),
        ("words right by best guess", "20.0%"),
        ("word 1", "75"),
        ("word 2", "50"),
        ("run", "r"),
    ]:
        assert (name, value) in pairs, name
    word = found.text.index("Words with the most mistakes")
    assert found.text[word + 5 : word + 13] == [
        "(nothing)",
        "3",
        "0.00",
        "at 3",
        "bin",
        "9",
        "66.67",
        "now 2, (nothing) 1",
    ]
    listed = found.text.index("Commonest mistakes")
    assert found.text[listed + 4 : listed + 13] == [
        *("(nothing)", "at", "3"),
        *("bin", "now", "2"),
        *("bin", "(nothing)", "1"),
    ]
    worst = found.text.index("s1/a")
    assert found.text[worst : worst + 10] == [
        *("s1/a", "said", "read", "bin", "bin", "at", "now", "substituted"),
        *("The model gives this reading a probability of 8.2%.", "12 frames, 11 tracked"),
    ]
    assert len(found.pictures()) == 2
    assert "words whose times were compared" not in found.text


def test_the_page_shows_how_far_off_the_times_of_words_are() -> None:
    errors = TimeErrors(starts=[0, -1, 2, 5], stops=[1, 1, 1, -10])
    found = _html(_report(Prediction("s1/a", "bin", "bin", -2.5), times=errors), _clip)
    pairs = list(zip(found.text, found.text[1:], strict=False))
    assert ("starts of words", "1.5 frames") in pairs
    assert ("1.5 frames", "off in the median, 90% at most 4.1") in pairs
    assert ("1 frame", "off in the median, 90% at most 7.3") in pairs
    assert ("words whose times were compared", "4") in pairs


def test_the_matrix_counts_every_word_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(score_page.charts, "matrix", lambda *given: drawn.append(given) or "<svg/>")
    words = [f"w{n:02}" for n in range(30)]
    wrong = {(word, words[n - 1]): 40 - n for n, word in enumerate(words)}
    score_page._words(Counter({**wrong, ("w03", "w03"): 5, ("(nothing)", "w29"): 2, ("w01", "(nothing)"): 1}))
    ((counts, rows, columns, *_),) = drawn
    assert (rows, columns) == (words[:24], [*words[:24], "w29", "(nothing)"])
    assert (counts[3, 3], counts[3, 2], counts[1, 25], counts[0, 24], counts[0].sum()) == (5, 37, 1, 40, 40)


def test_words_are_singled_out() -> None:
    assert score_page.among(CONFUSION, ["bin", "at"]) == (9, 6)
    assert score_page.among(CONFUSION, []) == (0, 0)
    found = _html(_report(Prediction("a", "bin", "now", -1.0)), _clip, singled=["bin", "at"])
    assert "6 of 9 right (66.7%)" in found.text
    assert "Singled out" not in _html(_report(Prediction("a", "bin", "now", -1.0)), _clip).text


def test_a_perfect_score_has_a_page() -> None:
    right = _report(Prediction("a", "bin", "bin", 0.0), confusion=Counter({("bin", "bin"): 1}), places=())
    found = _html(right, _clip)
    assert {"Every word is right.", "Every example is right."} <= set(found.text)
    assert found.pictures() == []
    assert "Places" not in found.text


def test_only_the_worst_are_opened_and_shown() -> None:
    opened = []
    rows = [Prediction(f"c{n:02}", "bin", "now", -float(n)) for n in range(30)]
    found = _html(_report(*rows), lambda row: opened.append(row.id) or _clip(row))
    assert opened == [f"c{n:02}" for n in range(worst_examples.MAX_WORST)]
    assert len(found.pictures()) == 1 + worst_examples.MAX_WORST


def test_what_users_write_is_never_markup() -> None:
    confusion = Counter({(EVIL, EVIL + "x"): 1, (EVIL + "x", EVIL): 2})
    found = _html(_report(Prediction(EVIL, EVIL, EVIL + "x", -1.0), confusion=confusion), _clip)
    assert found.text.count(EVIL) == 5  # a word, two mistakes, the example's name and word
    assert found.text.count(EVIL + "x") == 4  # a word, two mistakes, the example's reading


@pytest.mark.parametrize("unit", ["word", "sentence"])
def test_an_example_is_cut_out_as_the_model_saw_it(tiny: Callable[[str], DatasetDir], unit: str) -> None:
    data = tiny("raw")
    words = Vocabulary.of_words(["at", "bin", "now"]) if unit == "word" else Vocabulary.of_characters()
    clip = score_page.clips(data, "val", DataConfig(words, unit=unit, margin=2))
    whole = datasets.clip("s1/c13", 16, seed=13)
    cut = clip(Prediction("s1/c13#1" if unit == "word" else "s1/c13", "at", "", 0.0))
    first, last = (2, 10) if unit == "word" else (0, 16)  # `at` is said in the frames 4 to 7
    np.testing.assert_array_equal(cut.frames, whole.frames[first:last])
    np.testing.assert_array_equal(cut.tracked, whole.tracked[first:last])
    assert cut.words == ((Word("bin", 0, 2), Word("at", 2, 6), Word("now", 6, 8)) if unit == "word" else whole.words)
    assert cut.id == ("s1/c13#1" if unit == "word" else "s1/c13")
    records = score_page.records(data, "val", DataConfig(words, unit=unit, margin=2))
    own = ["s1/c13#0", "s1/c13#1", "s1/c13#2"] if unit == "word" else ["s1/c13"]
    assert [name for name, record in records.items() if data.index.id[record] == "s1/c13"] == own


def test_a_split_that_is_not_there_is_refused(tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        score_page.clips(tiny("raw"), "dev", DataConfig(Vocabulary.of_characters()))
