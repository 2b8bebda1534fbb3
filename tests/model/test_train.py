import dataclasses
import itertools
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.config import TrainConfig
from model.errors import RunError
from model.evaluate import evaluate
from model.lipreader import LipReader
from model.progress import Epoch, Reporter
from model.train import TrainResult, train
from pipeline.vocab import Vocabulary
from tests.model import runs
from tests.scripts import events


@pytest.mark.usefixtures("eager")
def test_validation_picks_the_best_and_is_logged(tmp_path: Path, batch: Callable) -> None:
    model, values = LipReader(runs.CONFIG), iter([0.7, 0.4])
    result = train(model, runs.QUICK, runs.stream(batch), runs.STEPS, tmp_path, lambda: {"cer": next(values)})
    assert (result.best, result.validation) == (0.4, {"cer": 0.4})
    best = tf.train.load_checkpoint(str(tmp_path / "best"))
    assert best.get_tensor("epoch/.ATTRIBUTES/VARIABLE_VALUE") == 2
    found = events.written(tmp_path / "tensorboard" / "val")
    assert [(step, round(float(value), 6)) for step, value in found["metrics/cer"]] == [(3, 0.7), (6, 0.4)]


@pytest.mark.usefixtures("eager")
def test_training_ends_early_where_validation_gets_no_better(tmp_path: Path, batch: Callable) -> None:
    config, values = dataclasses.replace(runs.QUICK, epochs=9, patience=2), iter([0.4, 0.5, 0.6])
    validate = lambda: {"cer": next(values)}  # noqa: E731
    stop = threading.Event()
    result = train(
        LipReader(runs.CONFIG, seed=1), config, runs.stream(batch, stop, 8), runs.STEPS, tmp_path, validate, stop
    )
    assert (result.interrupted, result.steps) == (True, 8)
    result = train(LipReader(runs.CONFIG, seed=1), config, runs.stream(batch), runs.STEPS, tmp_path, validate)
    assert (result.interrupted, result.steps, result.best) == (False, 9, 0.4)
    result = train(LipReader(runs.CONFIG, seed=1), config, runs.stream(batch), runs.STEPS, tmp_path, validate)
    assert (result.interrupted, result.steps, result.loss) == (False, 9, None)


@pytest.mark.usefixtures("eager")
def test_the_share_of_time_that_went_into_waiting_is_told(
    tmp_path: Path, batch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # a second later each time it is looked at: a step takes one, and so does a wait

    def slow(step: int) -> Iterator[dict]:
        for seed in range(step, runs.STEPS):
            for _ in range(9 if seed else 99):  # the first wait does not count
                next(clock)
            yield batch(seed=seed)

    monkeypatch.setattr("model.train.time", types.SimpleNamespace(perf_counter=lambda: float(next(clock))))
    config = dataclasses.replace(runs.QUICK, epochs=1)
    result = train(LipReader(runs.CONFIG), config, slow, runs.STEPS, tmp_path)
    assert result.waiting == 10 / 11
    assert result.input_bound


@pytest.mark.usefixtures("eager")
def test_a_monitor_that_validation_lacks_is_refused(tmp_path: Path, batch: Callable) -> None:
    with pytest.raises(RunError, match="monitor: want one of loss, wer, got 'cer'"):
        train(
            LipReader(runs.CONFIG),
            runs.QUICK,
            runs.stream(batch),
            runs.STEPS,
            tmp_path,
            lambda: {"wer": 1.0, "loss": 2.0},
        )


@pytest.mark.usefixtures("eager")
def test_a_text_longer_than_its_windows_stops_training_and_is_named(tmp_path: Path, batch: Callable) -> None:
    model = LipReader(dataclasses.replace(runs.CONFIG, head="ctc"))
    bad = batch(lengths=(3, 2), labels=((0, 1), (1, 1)))
    with pytest.raises(RunError, match=r"step 0 \(epoch 0\): the loss is not finite, from clips clip1;"):
        train(model, runs.QUICK, lambda step: [bad] * runs.STEPS, runs.STEPS, tmp_path)
    assert not list(tmp_path.glob("last/*"))


@pytest.mark.usefixtures("eager")
def test_a_loss_that_is_not_a_number_names_the_batch(tmp_path: Path, batch: Callable) -> None:
    model = LipReader(runs.CONFIG)
    model.head.bias.assign([np.nan] * 3)
    filled = {**batch(), "weights": tf.constant([1.0, 0.0, 1.0])}
    with pytest.raises(RunError, match="the loss is not finite, from clips clip0, clip2;"):
        train(model, runs.QUICK, lambda step: [filled] * runs.STEPS, runs.STEPS, tmp_path)


def test_the_clips_of_a_step_are_named_after_later_ones_were_given(tmp_path: Path, batch: Callable) -> None:
    model = LipReader(dataclasses.replace(runs.CONFIG, head="ctc"))

    def stream(step: int) -> Iterator[dict]:
        for number in range(step, 9):
            bad = (
                {"lengths": (3, 2), "labels": ((0, 1), (1, 1))}
                if number == 3
                else {"lengths": (3, 3), "labels": ((0, 1), (1, 0))}
            )
            yield {**batch(**bad), "ids": tf.constant([f"first{number}", f"second{number}"])}

    with pytest.raises(RunError, match=r"step 3 \(epoch 0\): the loss is not finite, from clips second3;"):
        train(model, runs.QUICK, stream, 9, tmp_path)
    assert tf.train.load_checkpoint(str(tmp_path / "last")).get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == 2


@pytest.mark.usefixtures("eager")
def test_a_reporter_is_told_every_step_and_epoch(tmp_path: Path, batch: Callable) -> None:
    told, values = [], iter([0.7, 0.4])

    class Listener(Reporter):
        def start(self, step: int, total: int) -> None:
            told.append(("start", step, total))

        def step(self, step: int, values: dict[str, float]) -> None:
            told.append(("step", step, sorted(values)))

        def epoch(self, result: Epoch) -> None:
            told.append(("epoch", result.number, result.epochs, result.step, result.validation, result.best))

        def close(self) -> None:
            told.append(("close",))

    validate = lambda: {"cer": next(values)}  # noqa: E731
    train(LipReader(runs.CONFIG), runs.QUICK, runs.stream(batch), runs.STEPS, tmp_path, validate, reporter=Listener())
    steps = [("step", step, ["loss", "waiting", "windows_per_s"]) for step in range(1, 7)]
    first, second = ("epoch", 1, 2, 3, {"cer": 0.7}, 0.7), ("epoch", 2, 2, 6, {"cer": 0.4}, 0.4)
    assert told == [("start", 0, 6), *steps[:3], first, *steps[3:], second, ("close",)]


@pytest.mark.usefixtures("eager")
def test_data_that_ends_early_is_named(tmp_path: Path, batch: Callable) -> None:
    with pytest.raises(RunError, match="epoch 0: the data ended after 1 of 3 batches"):
        train(LipReader(runs.CONFIG), runs.QUICK, lambda step: [batch()], runs.STEPS, tmp_path)


@pytest.mark.usefixtures("eager")
def test_fewer_examples_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="batch_size: fewer training examples than one batch holds"):
        train(LipReader(runs.CONFIG), runs.QUICK, list, 0, tmp_path)


@pytest.mark.usefixtures("eager")
def test_a_batch_of_which_no_row_counts_moves_the_counters_alone(tmp_path: Path, batch: Callable) -> None:
    empty = {**batch(seed=1), "weights": tf.zeros([3])}
    one, two = _left_by([batch()], tmp_path / "one"), _left_by([batch(), empty], tmp_path / "two")
    moved = [name for name, value in one.items() if not np.array_equal(value, two[name])]
    assert [name.partition("/.")[0] for name in moved] == ["optimizer/_iterations", "step"]
    assert [two[name] for name in moved] == [2, 2]


def _left_by(batches: list[dict], run_dir: Path) -> dict[str, np.ndarray]:
    """The checkpoint of a run that is stopped after `batches`, the first of its nine."""

    stop = threading.Event()

    def stream(step: int) -> Iterator[dict]:
        for number, each in enumerate(batches, 1):
            if number == len(batches):
                stop.set()
            yield each

    config = dataclasses.replace(runs.QUICK, weight_decay=0.5)
    result = train(LipReader(runs.CONFIG, seed=1), config, stream, 9, run_dir, stop=stop)
    assert (result.interrupted, result.steps) == (True, len(batches))
    reader = tf.train.load_checkpoint(str(run_dir / "last"))
    return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}


@pytest.mark.usefixtures("eager")
def test_the_rate_of_the_last_steps_is_like_that_of_the_others(
    tmp_path: Path, batch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last steps of an epoch are settled at once, in no time, but took theirs."""
    monkeypatch.setattr("model.train.LOG_EVERY", 3)
    rates: list[float] = []

    class Listener(Reporter):
        def step(self, step: int, values: dict[str, float]) -> None:
            rates.append(values["windows_per_s"])

    config = dataclasses.replace(runs.QUICK, epochs=1, checkpoint_every=100)
    train(LipReader(runs.CONFIG), config, lambda step: [batch()] * 7, 7, tmp_path, reporter=Listener())
    assert max(rates) < 100 * np.median(rates)  # it was a thousand times as much


@pytest.mark.usefixtures("eager")
def test_tensorboard_gets_the_curves(tmp_path: Path, batch: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.train.LOG_EVERY", 2)
    config = dataclasses.replace(runs.QUICK, epochs=1, learning_rate=0.5, warmup=0.0)
    result = train(LipReader(runs.CONFIG, seed=1), config, lambda step: [batch()] * 4, 4, tmp_path / "run")
    found = events.written(tmp_path / "run" / "tensorboard" / "train")
    optimizer, speed = ("optimizer/gradient_norm", "optimizer/learning_rate"), ("speed/waiting", "speed/windows_per_s")
    assert sorted(found) == ["loss", *optimizer, *speed]
    assert {tag: [step for step, _ in points] for tag, points in found.items()} == {tag: [2, 4] for tag in found}
    value = {tag: [float(value) for _, value in points] for tag, points in found.items()}
    np.testing.assert_allclose(value["optimizer/learning_rate"], [0.426777, 0.073223], rtol=1e-5)  # of half a cosine
    assert min(*value["loss"], *value["speed/windows_per_s"], *value["optimizer/gradient_norm"]) > 0
    assert all(0 < share < 1 for share in value["speed/waiting"])
    assert value["loss"][1] != result.loss  # the mean of two


def test_more_than_a_tenth_of_the_time_is_a_long_wait() -> None:
    bound = [TrainResult(1, False, 0.0, {}, 0.0, waiting).input_bound for waiting in (0.09, 0.1, 0.11)]
    assert bound == [False, False, True]


@pytest.mark.parametrize("head", ["word", "ctc"])
def test_four_patterns_are_learned(head: str, tmp_path: Path) -> None:
    """Each label is a bright quarter of the window: the network must name (or, in order, spell) them."""
    labels, lengths = (
        ([[0], [1], [2], [3]] if head == "word" else [[0, 1], [1, 0], [2], [3, 2]]),
        [6, 5, 6, 4],
    )
    windows = np.zeros([4, 6, 112, 112, 5], np.uint8)
    for row, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        for step in range(length):
            y, x = divmod(label[step * len(label) // length], 2)
            windows[row, step, 56 * y : 56 * y + 56, 56 * x : 56 * x + 56] = 255
    dense = {
        "windows": tf.constant(windows),
        "lengths": tf.constant(lengths),
        "labels": tf.constant([[*row, 0][: len(labels[0])] for row in labels]),
        "label_lengths": tf.constant([len(row) for row in labels]),
        "weights": tf.ones([4]),
        "ids": tf.constant(["a", "b", "c", "d"]),
    }
    model = LipReader(dataclasses.replace(runs.CONFIG, classes=4, lstm_units=16, head=head, dropout=0.0))
    steps = 60
    config = TrainConfig(epochs=1, learning_rate=1e-2, warmup=0.1)
    train(model, config, lambda step: [dense] * steps, steps, tmp_path)
    report = evaluate(model, [dense], Vocabulary.of_words("abcd"))
    assert report.metrics["word_accuracy"] == 1
