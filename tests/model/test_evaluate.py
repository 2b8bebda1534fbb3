from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from model import alignment, losses
from model.alignment import Word
from model.config import LipReaderConfig
from model.errors import RunError
from model.evaluate import Prediction, evaluate, worst
from model.lipreader import LipReader
from pipeline.vocab import Vocabulary

WORDS = Vocabulary.of_words(("bin", "lay", "place"))


@pytest.fixture(scope="module")
def reader() -> LipReader:
    return LipReader(LipReaderConfig(classes=3, width=0.0625, lstm_units=5))


def _renamed(batch: dict[str, tf.Tensor], name: str) -> dict[str, tf.Tensor]:
    return {**batch, "ids": tf.constant([f"{name}{row}" for row in range(3)])}


def test_every_example_counts_once_and_filling_rows_nowhere(reader: LipReader, batch: Callable) -> None:
    first = _renamed(batch(), "a")
    last = {**_renamed(batch(seed=1), "b"), "weights": tf.constant([1.0, 0.0, 0.0])}
    report = evaluate(reader, [first, last], WORDS)
    assert [row.id for row in report.predictions] == ["a0", "a1", "a2", "b0"]
    assert [row.truth for row in report.predictions] == ["lay", "bin", "place", "lay"]
    assert report.examples == 4

    best = [*reader(first).numpy().argmax(-1), *reader(last).numpy().argmax(-1)[:1]]
    assert [row.hypothesis for row in report.predictions] == [WORDS.symbols[label] for label in best]
    right = np.mean([row.truth == row.hypothesis for row in report.predictions])
    assert report.metrics["word_accuracy"] == pytest.approx(right)
    rows = [losses.rows("word", reader(each), each) for each in (first, last)]
    assert report.metrics["loss"] == pytest.approx(np.sum(rows) / 4, abs=1e-5)


def test_texts_are_read_over_their_true_lengths(batch: Callable) -> None:
    model = LipReader(LipReaderConfig(classes=3, width=0.0625, lstm_units=5, head="ctc"))
    labels = ((1, 2), (0,), ())
    tight, padded = (evaluate(model, [batch(labels=labels, padding=padding)], WORDS) for padding in (0, 3))
    assert [row.truth for row in tight.predictions] == ["lay place", "bin", ""]
    assert [row.hypothesis for row in padded.predictions] == [row.hypothesis for row in tight.predictions]
    assert padded.metrics == pytest.approx(tight.metrics, abs=1e-5)


def test_the_times_of_words_that_are_right_are_compared(batch: Callable) -> None:
    model = LipReader(LipReaderConfig(classes=3, width=0.0625, lstm_units=5, head="ctc"), seed=4)
    batches = [batch(labels=((1, 2), (0,), (2,)))]
    read = {row.id: row.words for row in evaluate(model, batches, WORDS, said=lambda name: ()).predictions}
    assert any(read.values())
    moved = {name: [Word(w.text, w.start - 2, w.stop + 1, 1.0) for w in words] for name, words in read.items()}
    times = evaluate(model, batches, WORDS, said=moved.__getitem__).times
    assert times.result() == {"start": 2, "stop": 1, "start_90": 2, "stop_90": 1}
    assert len(times) == sum(map(len, read.values()))
    others = evaluate(model, batches, WORDS, said=lambda name: [Word("other", 0, 1, 1.0)])
    assert len(others.times) == 0


def test_without_times_to_compare_no_word_is_aligned(
    reader: LipReader, batch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LipReader(LipReaderConfig(classes=3, width=0.0625, lstm_units=5, head="ctc"), seed=4)
    timed = evaluate(model, [batch()], WORDS, said=lambda name: ())
    monkeypatch.delattr(alignment, "motion")
    monkeypatch.delattr(alignment, "read")
    plain = evaluate(model, [batch()], WORDS)
    assert [row.words for row in plain.predictions] == [(), (), ()]
    assert [(row.hypothesis, row.score) for row in plain.predictions] == [
        (" ".join(word.text for word in row.words), row.score) for row in timed.predictions
    ]
    single = evaluate(reader, [batch()], WORDS, said=lambda name: [Word("lay", 0, 1, 1.0)])
    assert len(single.times) == 0


def test_no_example_is_refused(reader: LipReader, batch: Callable) -> None:
    empty = {**batch(), "weights": tf.zeros([3])}
    with pytest.raises(RunError, match="evaluation: the data holds no example"):
        evaluate(reader, [empty], WORDS)


def test_an_example_that_comes_twice_is_refused(reader: LipReader, batch: Callable) -> None:
    with pytest.raises(RunError, match="evaluation: example clip0 came twice"):
        evaluate(reader, [batch(), batch()], WORDS)


def test_the_worst_have_most_edits_a_word_and_of_these_the_surest_come_first() -> None:
    rows = [
        Prediction("right", "bin blue", "bin blue", -0.1),
        Prediction("half", "bin blue", "bin", -0.1),
        Prediction("unsure", "bin", "lay", -3.0),
        Prediction("sure", "bin", "lay", -0.5),
        Prediction("longer", "bin", "lay lay", -9.0),
        Prediction("impossible", "bin", "", -np.inf),
        Prediction("silence", "", "bin", -1.0),
    ]
    names = ["longer", "sure", "silence", "unsure", "impossible", "half"]
    assert [row.id for row in worst(rows, 9)] == names
    assert [row.id for row in worst(rows[::-1], 2)] == names[:2]
