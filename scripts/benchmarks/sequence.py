"""The ways of running one CNN over every step: training step, forward, tracing and memory, beside a plain reshape."""

from collections.abc import Sequence

from tqdm import tqdm

from model.sequence import WRAPPERS
from model.vgg_m import TABLES
from pipeline.schema import DataError
from scripts.benchmarks import measure
from scripts.benchmarks.measure import Contender, Measurement
from scripts.benchmarks.sequence_way import PLAIN

BASELINE = "reshape"
FIGURES = {  # title -> figure, its unit's factor, and whether it is set beside that of `reshape`
    "training step ms": ("seconds", 1e3, True),
    "CPU ms": ("train_cpu_s", 1e3, True),
    "forward ms": ("forward_s", 1e3, True),
    "MB training": ("train_mb", 1, True),
    "MB forward": ("forward_mb", 1, True),
    "tracing ms": ("trace_s", 1e3, False),
}
Setting = tuple[int, int, float]  # batch, length, padding


def run(
    table: str, width: float, batches: Sequence[int], lengths: Sequence[int], paddings: Sequence[float], rounds: int
) -> list[Measurement]:
    """Measures every way at every setting, prints one table, and returns every measurement.

    The settings are the first of each list, and each of the others in its place.

    Raises:
      DataError: a list is empty, a padding is no share, or there is no such table.
    """
    for title, values in (("batches", batches), ("lengths", lengths), ("paddings", paddings)):
        if not values:
            raise DataError(f"--{title}: want at least one, got none")
    if wrong := [padding for padding in paddings if not 0 <= padding < 1]:
        raise DataError(f"--paddings: want 0 <= padding < 1, got {wrong[0]}")
    if table not in TABLES:
        raise DataError(f"--table: want one of {', '.join(TABLES)}, got {table!r}")
    chosen = settings(batches, lengths, paddings)
    ways = [_way(way, table, width, setting) for setting in chosen for way in (PLAIN, *WRAPPERS)]
    measured = list(tqdm(measure.alternate(ways, rounds), total=rounds * len(ways), unit="run"))
    print(f"table {table}, width {width}\n\n{table_of(measured, chosen)}")
    return measured


def settings(batches: Sequence[int], lengths: Sequence[int], paddings: Sequence[float]) -> list[Setting]:
    first = batches[0], lengths[0], paddings[0]
    varied = [first]
    varied += [(batch, *first[1:]) for batch in batches[1:]]
    varied += [(first[0], length, first[2]) for length in lengths[1:]]
    return varied + [(*first[:2], padding) for padding in paddings[1:]]


def _way(way: str, table: str, width: float, setting: Setting) -> Contender:
    batch, length, padding = setting
    argument = {"way": way, "table": table, "width": width, "batch": batch, "length": length, "padding": padding}
    return measure.house(name(way, setting), "scripts.benchmarks.sequence_way", {**argument, "repeats": 3})


def name(way: str, setting: Setting) -> str:
    return f"{way}, batch {setting[0]} x {setting[1]}, {setting[2]:.0%} padding"


def table_of(measured: Sequence[Measurement], settings: Sequence[Setting]) -> str:
    """A Markdown table of medians, a row a setting and way; in brackets, times that of `reshape`."""
    summary = measure.medians(measured)
    rows = [["batch", "windows", "padding", "way", *FIGURES, "lowest to highest"]]
    for setting in settings:
        base = summary[name(BASELINE, setting)]
        for way in (PLAIN, *WRAPPERS):
            own = name(way, setting)
            row = [str(setting[0]), str(setting[1]), f"{setting[2]:.0%}", way]
            for figure, factor, compared in FIGURES.values():
                value = summary[own][figure]
                row.append(f"{factor * value:,.0f}" + f" ({value / base[figure]:.2f})" * compared)
            steps = [1e3 * one.figures["seconds"] for one in measured if one.contender == own]
            rows.append([*row, f"{min(steps):,.0f} to {max(steps):,.0f}"])
    return measure.markdown(rows)
