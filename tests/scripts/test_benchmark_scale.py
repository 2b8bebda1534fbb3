import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.records import checks
from pipeline.records.directory import open_dataset
from scripts.benchmarks import scale, scale_variant
from scripts.benchmarks.measure import Measurement
from tests.scripts import commands


def test_a_dataset_of_holes_opens_and_is_planned(tmp_path: Path) -> None:
    assert [part for part, _ in scale_variant.write(tmp_path, 1234)][-1] == "manifest.json and shards"
    index = open_dataset(tmp_path).index
    assert np.bincount(index.split).tolist() == [1100, 100, 34]
    row = index.row(1233)
    assert (row.id[5:], row.speaker, len(row.words)) == ("/v00001233", row.id[:5], 6)
    assert row.text == " ".join(word.text for word in row.words)
    assert row.offset == 33 * (scale_variant.RECORD_BYTES + checks.FRAMING_BYTES)
    assert dict(scale_variant.plan_words(tmp_path, 1234))["epoch and its last batch"] == 1100 * 6 // scale_variant.BATCH
    assert dict(scale_variant.first_batch(tmp_path, 1234))["first batch"] == scale_variant.BATCH


def test_the_stages_that_go_row_by_row(tmp_path: Path) -> None:
    assert dict(scale_variant.index_rows(tmp_path, 7)) == {"index of rows": 7}
    assert dict(scale_variant.list_folder(tmp_path, 250)) == {
        **{"clips.csv written": 250, "listed": 250, "splits": 250},
        "plan_shards": 2 + 1 + 1,
    }


def test_each_part_has_a_row() -> None:
    part = {"a s": 1.5, "a cpu_s": 1.25, "a found": 7000, "a peak_mb": 900}
    figures = {"items": 10, "before_mb": 500, **part, **{f"b{key[1:]}": 2 * value for key, value in part.items()}}
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in scale.table_of([Measurement("open", figures)]).splitlines()
    ]
    assert rows[2:] == [
        ["open", "10", "a", "1.50", "1.25", "7,000", "900", "500"],
        ["open", "10", "b", "3.00", "2.50", "14,000", "1,800", "500"],
    ]


@pytest.mark.slow
def test_scale_is_measured(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    (printed,) = commands.run(["benchmark", "scale", "--rows=4000", "--rounds=1", f"--output={kept}"])
    assert list(json.loads(kept.read_text())["medians"]) == list(scale_variant.STAGES)
    assert "| sentences   | 4,000 | epoch and its last batch |" in printed
