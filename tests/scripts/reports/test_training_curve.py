from pathlib import Path

import numpy as np
import tensorflow as tf

from scripts.reports import charts, training_curve
from scripts.reports.training_curve import Curve


def _write(directory: Path, tag: str, points: dict[int, float]) -> None:
    with tf.summary.create_file_writer(str(directory)).as_default():
        tf.summary.image("picture", np.zeros([1, 4, 4, 3], np.uint8), step=1)
        for step, value in points.items():
            tf.summary.scalar(tag, value, step=step)


def test_the_curves_of_both_writers_are_read(tmp_path: Path) -> None:
    _write(tmp_path / "tensorboard" / "train", "loss", {10: 3.0, 20: 2.0})
    _write(tmp_path / "tensorboard" / "train", "speed/waiting", {10: 0.5})
    _write(tmp_path / "tensorboard" / "val", "metrics/wer", {20: 0.25})
    found = training_curve.read(tmp_path)
    assert {key: (steps.tolist(), values.tolist()) for key, (steps, values) in found.items()} == {
        ("train", "loss"): ([10, 20], [3.0, 2.0]),
        ("val", "metrics/wer"): ([20], [0.25]),
    }
    drawn = training_curve.section(found).narrow
    assert [(block.title, block.caption) for block in drawn] == [
        ("Loss", "At the end: training 2 at step 20"),
        ("Error rates of validation", "At the end: words 25 at step 20"),
    ]


def test_a_training_that_was_resumed_replaces_what_it_did_again(tmp_path: Path) -> None:
    val = tmp_path / "tensorboard" / "val"
    for number, points in enumerate([{10: 3.0, 20: 2.0, 30: 1.5}, {20: 1.75, 40: 1.25}]):
        _write(tmp_path, "loss", points)
        (path,) = tmp_path.glob("events*")
        val.mkdir(parents=True, exist_ok=True)
        path.rename(val / f"events.out.tfevents.{number}")
    steps, values = training_curve.read(tmp_path)["val", "loss"]
    assert (steps.tolist(), values.tolist()) == ([10, 20, 40], [3.0, 1.75, 1.25])


def test_a_half_written_event_ends_the_file(tmp_path: Path) -> None:
    _write(tmp_path / "tensorboard" / "val", "loss", {1: 3.0, 2: 2.0})
    (path,) = (tmp_path / "tensorboard" / "val").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert training_curve.read(tmp_path)["val", "loss"].steps.tolist() == [1]


def test_a_run_without_events_has_no_chart(tmp_path: Path) -> None:
    (block,) = training_curve.section(training_curve.read(tmp_path)).narrow
    assert block.text == "The run has no TensorBoard events of its training, so there is no curve."


def test_long_curves_are_thinned_to_means() -> None:
    steps, values = training_curve._thinned(Curve(np.arange(401), np.arange(401) * 2.0))
    assert (len(steps), steps[0], values[0], steps[-1], values[-1]) == (134, 1.0, 2.0, 399.5, 799.0)
    short = Curve(np.array([1, 2]), np.array([3.0, 4.0]))
    assert [column.tolist() for column in training_curve._thinned(short)] == [[1, 2], [3, 4]]


def test_lines_differ_by_more_than_colour() -> None:
    x = np.arange(3.0)
    drawing = charts.lines([charts.Line("training", x, x), charts.Line("validation", x, 2 * x)], "step", "nats")
    assert drawing.count("stroke-dasharray") == 2  # the second line, and in the legend
    assert charts.lines([charts.Line("a", x, x * np.nan)], "step", "nats").startswith("<?xml")
