import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from model import batch as fields
from model import losses
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from scripts.benchmarks import measure, train, train_variant
from tests.scripts import commands


def test_a_feed_settles_first_and_then_ends_training() -> None:
    feed = train_variant.Feed(itertools.count(), 0)
    taken = list(itertools.takewhile(lambda _: not feed.stop.is_set(), feed))
    assert taken == list(range(train_variant.SETTLING + train_variant.LEAST))
    figures = feed.figures()
    assert figures["steps"] == train_variant.LEAST
    assert 0 <= figures["waiting"] <= 1


def test_the_loss_before_is_that_of_training() -> None:
    logits = tf.random.stateless_normal([2, 9, 5], [1, 2])
    batch = {
        fields.LABELS: tf.constant([[1, 1, 3], [2, 0, 0]]),
        fields.LABEL_LENGTHS: tf.constant([3, 1]),
        fields.LENGTHS: tf.constant([9, 4]),
        fields.WEIGHTS: tf.ones([2]),
    }
    now = losses.rows("ctc", logits, batch)
    assert train_variant.dense_ctc(logits, batch).numpy() == pytest.approx(now.numpy(), rel=1e-4)


def test_the_table_sets_each_loop_beside_that_before() -> None:
    before = {"step_ms": 100.0, "alone_ms": 60.0, "computing": 0.6, "waiting": 0.25}
    now = {"step_ms": 50.0, "alone_ms": 45.0, "computing": 0.9, "waiting": 0.1}
    names = [train.name("word", 8, loop) for loop in train_variant.LOOPS]
    measured = [measure.Measurement(name, own) for name, own in zip(names, (before, now), strict=True)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in train.table_of(measured).splitlines()]
    assert rows[2:] == [
        ["words, batch 8", "before", "10.00", "1.00", "100.0", "60.0", "60%", "25%"],
        ["words, batch 8", "now", "20.00", "2.00", "50.0", "45.0", "90%", "10%"],
    ]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"batches": []}, "--batches: want at least one, got none"),
        ({"table": "D"}, "--table: want one of A, B, C, got 'D'"),
    ],
)
def test_wrong_settings_are_refused(tiny: Callable[[str], DatasetDir], change: dict, match: str) -> None:
    right = {"table": "B", "width": 0.02, "batches": [4], "rounds": 1, "seconds": 0.1}
    with pytest.raises(DataError, match=match):
        train.run(tiny("raw"), **{**right, **change})


@pytest.mark.slow
def test_both_loops_are_measured(tmp_path: Path, tiny: Callable[[str], DatasetDir]) -> None:
    kept, small = tmp_path / "figures.json", ("--width=0.02", "--batches=2", "--rounds=1", "--seconds=0.01")
    (printed,) = commands.run(["benchmark", "train", f"--data={tiny('raw').root}", *small, f"--output={kept}"])
    figures = json.loads(kept.read_text())["medians"]
    assert list(figures) == [
        train.name(*each) for each in itertools.product(train_variant.UNITS, [2], ("before", "now"))
    ]
    assert all(own["step_ms"] > 0 and own["alone_ms"] > 0 for own in figures.values())
    assert "| sentences, batch 2 | now " in printed
