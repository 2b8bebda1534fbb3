import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import BatchKey, DataError
from pipeline.vocab import Vocabulary
from scripts.benchmarks import device, device_variant, measure
from tests.scripts import commands


@pytest.mark.parametrize(
    ("step", "read", "both", "share"),
    [(10, 4, 10, 1.0), (10, 4, 14, 0.0), (10, 4, 12, 0.5), (4, 10, 11, 0.75), (10, 4, 9, 1.0), (10, 4, 15, 0.0)],
)
def test_what_is_hidden_is_a_share_of_the_shorter_work(step: float, read: float, both: float, share: float) -> None:
    assert device.hidden(step, read, both) == share


def test_every_way_feeds_the_same_windows(tiny: Callable[[str], DatasetDir]) -> None:
    config, order = DataConfig(Vocabulary.of_characters()), PlanConfig(4, seed=2)
    first: dict[str, list] = {
        variant: list(itertools.islice(device_variant.batches(variant, tiny("raw"), config, order), 2))
        for variant in device_variant.VARIANTS
    }
    for variant, (one, two) in first.items():
        np.testing.assert_array_equal(
            one[BatchKey.WINDOWS], first[device_variant.FED][0][BatchKey.WINDOWS], err_msg=variant
        )
        assert (one is two) == (variant == device_variant.ALONE)


def test_a_turn_settles_first_and_takes_five_batches_at_least() -> None:
    taken: list[int] = []
    times = device_variant.turn(itertools.count(), taken.append, 0)
    assert taken == list(range(device_variant.SETTLING + 5))
    assert len(times) == 5


def test_the_table_has_a_row_a_work_and_batch() -> None:
    figures = {f"{variant}_s": 0.01 for variant in device_variant.VARIANTS} | {"input_s": 0.004, "fed_s": 0.012}
    sizes = {"fed_mb": 7.5, "shipped_mb": 35.6}
    measured = [measure.Measurement(device.name("train", 8), {**figures, **sizes})]
    row = [cell.strip() for cell in device.table_of(measured).splitlines()[2].strip("|").split("|")]
    assert row == ["train, batch 8", "10.00", "4.00", "12.00", "10.00", "10.00", "10.00", "50%", "7.5, 35.6"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"batches": []}, "--batches: want at least one, got none"),
        ({"batches": [4, 14]}, "--batches: 14 are more than the 13 clips of split 'train'"),
        ({"table": "D"}, "--table: want one of A, B, C, got 'D'"),
    ],
)
def test_wrong_settings_are_refused(tiny: Callable[[str], DatasetDir], change: dict, match: str) -> None:
    right = {"table": "B", "width": 0.02, "batches": [4], "rounds": 1, "seconds": 0.1}
    with pytest.raises(DataError, match=match):
        device.run(tiny("raw"), **{**right, **change})


@pytest.mark.slow
def test_the_ways_are_measured(tmp_path: Path, tiny: Callable[[str], DatasetDir]) -> None:
    kept, small = tmp_path / "figures.json", ("--width=0.02", "--batches=2", "--rounds=1", "--seconds=0.01")
    (printed,) = commands.run(["benchmark", "device", f"--data={tiny('raw').root}", *small, f"--output={kept}"])
    figures = json.loads(kept.read_text())["medians"]
    assert list(figures) == [device.name(work, 2) for work in device_variant.WORKS]
    assert all(own["alone_s"] > 0 and own["fed_mb"] < own["shipped_mb"] for own in figures.values())
    assert "| forward, batch 2 |" in printed
