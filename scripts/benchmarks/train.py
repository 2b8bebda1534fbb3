"""Measures training from shards, against a loop that waits for each step: steps a second, share of the device."""

import itertools
from collections.abc import Sequence

from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from scripts.benchmarks import measure
from scripts.benchmarks.device import device_name
from scripts.benchmarks.measure import Measurement
from scripts.benchmarks.train_variant import BEFORE, LOOPS, UNITS
from scripts.common.bars import bar

TITLES = ["work", "loop", "steps/s", "x before", "ms a step", "ms, step alone", "device computes", "waits for data"]


def run(
    dataset: DatasetDir, table: str, width: float, batches: Sequence[int], rounds: int, seconds: float
) -> list[Measurement]:
    """Measures both loops for words and sentences with every batch size, prints one table, returns every measurement.

    Raises:
      DataError: no batch size, or there is no such table. A batch of more examples than the split `train` has is
        refused by its own process.
    """
    if not batches:
        raise DataError("--batches: want at least one, got none")
    measure.check_table(table)
    usual = {"data": str(dataset.root), "table": table, "width": width, "seconds": seconds}
    variants = [
        measure.variant(
            name(unit, batch, loop),
            "scripts.benchmarks.train_variant",
            {**usual, "unit": unit, "batch": batch, "loop": loop},
        )
        for unit, batch, loop in itertools.product(UNITS, batches, LOOPS)
    ]
    measured = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
    print(f"table {table}, width {width}, on {device_name()}\n\n{table_of(measured)}")
    return measured


def name(unit: str, batch: int, loop: str) -> str:
    return f"{unit}s, batch {batch}: {loop}"


def table_of(measured: Sequence[Measurement]) -> str:
    """Formats a Markdown table of medians, a row for each work and loop."""
    rows, summary = [TITLES], measure.medians(measured)
    for each, own in summary.items():
        work, loop = each.split(": ")
        times = summary[f"{work}: {BEFORE}"]["step_ms"] / own["step_ms"]
        row = [work, loop, f"{1e3 / own['step_ms']:.2f}", f"{times:.2f}", f"{own['step_ms']:.1f}"]
        rows.append([*row, f"{own['alone_ms']:.1f}", f"{own['computing']:.0%}", f"{own['waiting']:.0%}"])
    return measure.markdown(rows)
