"""A dataset of many clips whose shards are holes: seconds and memory of each stage that looks at every row."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks import measure
from scripts.benchmarks.measure import Candidate, Measurement
from scripts.benchmarks.scale_variant import BY_ROW, STAGES
from scripts.common.bars import bar

MAX_BY_ROW = 1_000_000  # clips of the stages that Python goes through one by one


def run(rows: int, rounds: int) -> list[Measurement]:
    """Measures every stage, each in a process of its own, prints the table, and returns every measurement."""
    with tempfile.TemporaryDirectory() as scratch:
        stages = [_stage(name, rows, Path(scratch)) for name in STAGES]
        measured = list(bar(measure.alternate(stages, rounds), total=rounds * len(stages), unit="run"))
    print(table_of(measured))
    return measured


def _stage(name: str, rows: int, scratch: Path) -> Candidate:
    rows = min(rows, MAX_BY_ROW) if name in BY_ROW else rows
    root = scratch / ("corpus" if name in BY_ROW else "dataset")
    root.mkdir(exist_ok=True)
    argument = {"stage": name, "root": str(root), "rows": rows}
    return measure.variant(name, "scripts.benchmarks.scale_variant", argument)


def table_of(measured: Sequence[Measurement]) -> str:
    """Formats a Markdown table of medians, a row for each part of a stage.

    Memory is the peak of the process so far, and what of it was there before the stage: Python and its libraries.
    """
    rows = [["stage", "clips", "part", "seconds", "CPU s", "found", "MB, peak so far", "MB before"]]
    for name, figures in measure.medians(measured).items():
        for part in (key.removesuffix(" found") for key in figures if key.endswith(" found")):
            own = [figures[f"{part} {kind}"] for kind in ("s", "cpu_s", "found", "peak_mb")]
            cells = [f"{own[0]:.2f}", f"{own[1]:.2f}", f"{own[2]:,.0f}", f"{own[3]:,.0f}"]
            rows.append([name, f"{figures['items']:,.0f}", part, *cells, f"{figures['before_mb']:,.0f}"])
    return measure.markdown(rows)
