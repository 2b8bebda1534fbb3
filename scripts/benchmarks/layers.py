"""Time of a training step by layer, compared with what the cores can do."""

from collections.abc import Sequence

from model.vgg_m import TABLES, Pool
from scripts.benchmarks import measure
from scripts.benchmarks.layers_variant import FORWARD, GFLOP, GRADIENTS, PEAK, SHARED, STEP
from scripts.benchmarks.measure import Measurement
from scripts.benchmarks.sequence import PLAIN
from scripts.common.bars import bar

OURS = "reshape"
REPEATS = 3


def run(table: str, width: float, batch: int, length: int, rounds: int) -> list[Measurement]:
    """Measures both variants, prints one table, and returns every measurement.

    Raises:
      DataError: there is no such table.
    """
    measure.check_table(table)
    argument = {"table": table, "width": width, "batch": batch, "length": length, "repeats": REPEATS}
    variants = [
        measure.variant(variant, "scripts.benchmarks.layers_variant", {**argument, "variant": variant})
        for variant in (PLAIN, OURS)
    ]
    measured = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
    print(f"table {table}, width {width}, {batch} rows of {length} windows\n\n{table_of(measured, table)}")
    return measured


def table_of(measured: Sequence[Measurement], table: str) -> str:
    """Formats a Markdown table of medians, a row for each part of the step.

    GFLOP/s count a direct convolution's operations, whatever was done in their place, so that Toom-Cook's may pass the
    peak, a matrix product's. Gradients are two such convolutions, of conv1 one.
    """
    summary = measure.medians(measured)
    usual, ours = summary[PLAIN], summary[OURS]
    peak = max(usual[PEAK], ours[PEAK])
    rows = [["part of a training step", "Keras ms", "ours ms", "GFLOP", "ours GFLOP/s", "of a matrix product's"]]
    for number, layer in enumerate(name for name, row in TABLES[table].items() if not isinstance(row, Pool)):
        for variant, times in ((FORWARD, 1), (GRADIENTS, 2 if number else 1)):
            key, work = f"{layer} {variant}", times * ours[f"{layer} {GFLOP}"]
            rate = 1e3 * work / ours[key]
            rows.append([key, *_both(key, usual, ours), f"{work:.1f}", f"{rate:.0f}", f"{rate / peak:.0%}"])
    rows += [[key, *_both(key, usual, ours), "", "", ""] for key in (*SHARED, STEP)]
    return f"{measure.markdown(rows)}\n\nmatrix product: {peak:.0f} GFLOP/s"


def _both(key: str, usual: dict[str, float], ours: dict[str, float]) -> tuple[str, str]:
    return f"{usual[key]:.1f}", f"{ours[key]:.1f} ({usual[key] / ours[key]:.2f})"
