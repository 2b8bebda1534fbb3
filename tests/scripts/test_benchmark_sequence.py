import json
import re
from pathlib import Path

import pytest

from model.sequence import WRAPPERS
from pipeline.schema import DataError
from scripts.benchmarks import measure, sequence, sequence_variant
from tests.scripts import commands


@pytest.mark.parametrize(
    ("batch", "length", "padding", "want"),
    [
        (3, 10, 0.0, [10, 10, 10]),
        (3, 9, 4 / 9, [9, 5, 1]),
        (5, 20, 0.25, [20, 18, 15, 12, 10]),
        (1, 10, 0.5, [5]),
        (2, 10, 0.8, [3, 1]),
    ],
)
def test_lengths_are_spread_around_their_mean(batch: int, length: int, padding: float, want: list[int]) -> None:
    assert sequence_variant.spread(batch, length, padding) == want


def test_each_setting_differs_from_the_first_in_one_thing() -> None:
    whole, half = "float32", "mixed_bfloat16"
    want = [(8, 25, 0, whole), (32, 25, 0, whole), (8, 75, 0, whole), (8, 25, 0.5, whole), (8, 25, 0, half)]
    assert sequence.settings([8, 32], [25, 75], [0, 0.5], [whole, half]) == want


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"batches": []}, "--batches: want at least one, got none"),
        ({"paddings": [0.5, 1.0]}, r"--paddings: want 0 <= padding < 1, got 1.0"),
        ({"precisions": ["float32", "half"]}, "--precisions: want of float32, mixed_bfloat16, .*, got 'half'"),
        ({"variants": ["packed", "loop"]}, "--variants: want of keras, packed, .*, got 'loop'"),
        ({"variants": []}, "--variants: want at least one, got none"),
        ({"table": "D"}, "--table: want one of A, B, C, got 'D'"),
    ],
)
def test_wrong_settings_are_refused(change: dict, match: str) -> None:
    right = {"table": "B", "width": 0.125, "batches": [1], "lengths": [2], "paddings": [0.0], "rounds": 1}
    with pytest.raises(DataError, match=match):
        sequence.run(**{**right, **change})


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_sets_each_way_beside_the_reshape() -> None:
    setting = (2, 3, 0.5, "float32")
    figures = {"seconds": 2.0, "train_cpu_s": 3.0, "forward_s": 0.5, "trace_s": 0.25, "train_mb": 100, "forward_mb": 50}
    halved = {name: value / 2 for name, value in figures.items()}
    variants = (sequence.PLAIN, *WRAPPERS)
    measured = [
        measure.Measurement(sequence.name(variant, setting), halved if variant == "packed" else figures)
        for variant in variants
    ]
    rows = {row[4]: row for row in map(_cells, sequence.table_of(measured, [setting]).splitlines())}
    assert rows["packed"][:4] == ["2", "3", "50%", "float32"]
    assert rows["packed"][5:10] == ["1,000 (0.50)", "1,500 (0.50)", "250 (0.50)", "50 (0.50)", "25 (0.50)"]
    assert rows["packed"][10:] == ["125", "1,000 to 1,000"]
    assert rows["reshape"][5] == "2,000 (1.00)"


def test_a_precision_is_set_beside_the_first() -> None:
    asked = [(1, 2, 0.0, "float32"), (1, 2, 0.0, "mixed_bfloat16")]
    variant = "chunked"  # where reshape is not measured
    base = dict.fromkeys(("seconds", "train_cpu_s", "forward_s", "trace_s", "train_mb", "forward_mb"), 4.0)
    measured = [
        measure.Measurement(sequence.name(variant, setting), {name: value * share for name, value in base.items()})
        for setting, share in zip(asked, (1, 0.25), strict=True)
    ]
    rows = [_cells(line) for line in sequence.table_of(measured, asked, [variant]).splitlines()[2:]]
    assert [row[3:6] for row in rows] == [
        ["float32", variant, "4,000 (1.00)"],
        ["mixed_bfloat16", variant, "1,000 (0.25)"],
    ]


@pytest.mark.slow
def test_the_ways_are_measured(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    small = ("--width=0.03125", "--batches=2", "--lengths=4", "--paddings=0.5", "--rounds=1")
    (printed,) = commands.run(["benchmark", "sequence", *small, f"--output={kept}"])
    figures = json.loads(kept.read_text())["medians"]
    assert list(figures) == [sequence.name(variant, (2, 4, 0.5, "float32")) for variant in (sequence.PLAIN, *WRAPPERS)]
    assert all(own["items"] == 4 and own["seconds"] > 0 and own["train_mb"] > 0 for own in figures.values())
    assert re.search(r"\| packed +\| [\d,]+ \(\d\.\d\d\) ", printed)


@pytest.mark.slow
def test_mistakes_are_one_line() -> None:
    commands.mistakes(
        (["benchmark", "sequence", "--lengths=0"], ["--lengths", "'0'"]),
        (["benchmark", "sequence", "--paddings=half"], ["--paddings", "half"]),
        (["benchmark", "sequence", "--table=D"], ["--table: want one of A, B, C"]),
    )
