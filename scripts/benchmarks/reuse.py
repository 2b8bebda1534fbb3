"""Conversion from scratch against one that takes the crops of an earlier dataset."""

import tempfile
from pathlib import Path

from scripts.benchmarks import convert_variant, measure
from scripts.benchmarks.measure import Measurement
from scripts.common.bars import bar

SCRATCH, REUSE = "from the videos", "with the crops of an earlier dataset"


def run(source: Path, videos: list[str], workers: int, rounds: int) -> list[Measurement]:
    """Converts `videos` of `source` in both ways, prints a table, and returns every measurement."""
    with tempfile.TemporaryDirectory() as scratch:
        usual = {"source": str(source.absolute()), "videos": videos, "workers": workers, "scratch": scratch}
        old = Path(scratch) / "old"
        convert_variant.made(source.absolute(), videos, workers, old)
        program = "scripts.benchmarks.convert_variant"
        candidates = [
            measure.variant(SCRATCH, program, usual),
            measure.variant(REUSE, program, {**usual, "reuse": str(old)}),
        ]
        turns = measure.alternate(candidates, rounds)
        measured = list(bar(turns, total=rounds * len(candidates), unit="run"))
    print(measure.table(measured, SCRATCH, "frames"))
    rows = [["", "seconds a thousand clips, after the first"]]
    for name, figures in measure.medians(measured).items():
        rows.append([name, f"{1000 * figures['seconds'] / figures['clips']:.2f}"])
    print(f"\n{measure.markdown(rows)}")
    return measured
