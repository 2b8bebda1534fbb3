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
TITLES = ("batch", "windows", "padding", "way", "training step ms", "lowest to highest", "x reshape")
TITLES += ("forward ms", "x reshape", "MB training", "x reshape", "MB forward", "tracing s")
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
    settings = _settings(batches, lengths, paddings)
    ways = [_way(way, table, width, setting) for setting in settings for way in (PLAIN, *WRAPPERS)]
    measured = list(tqdm(measure.alternate(ways, rounds), total=rounds * len(ways), unit="run"))
    print(f"table {table}, width {width}\n\n{_table(measured, settings)}")
    return measured


def _settings(batches: Sequence[int], lengths: Sequence[int], paddings: Sequence[float]) -> list[Setting]:
    first = batches[0], lengths[0], paddings[0]
    varied = [first]
    varied += [(batch, *first[1:]) for batch in batches[1:]]
    varied += [(first[0], length, first[2]) for length in lengths[1:]]
    return varied + [(*first[:2], padding) for padding in paddings[1:]]


def _way(way: str, table: str, width: float, setting: Setting) -> Contender:
    batch, length, padding = setting
    argument = {"way": way, "table": table, "width": width, "batch": batch, "length": length, "padding": padding}
    return measure.house(_name(way, setting), "scripts.benchmarks.sequence_way", {**argument, "repeats": 3})


def _name(way: str, setting: Setting) -> str:
    return f"{way}, batch {setting[0]} x {setting[1]}, {setting[2]:.0%} padding"


def _table(measured: Sequence[Measurement], settings: Sequence[Setting]) -> str:
    """A Markdown table of medians, a row a setting and way."""
    summary = measure.medians(measured)
    rows = [list(TITLES)]
    for setting in settings:
        base = summary[_name(BASELINE, setting)]
        for way in (PLAIN, *WRAPPERS):
            name = _name(way, setting)
            own = summary[name]
            steps = [one.figures["seconds"] for one in measured if one.contender == name]
            row = [str(setting[0]), str(setting[1]), f"{setting[2]:.0%}", way, f"{1e3 * own['seconds']:,.0f}"]
            row += [f"{1e3 * min(steps):,.0f} to {1e3 * max(steps):,.0f}", f"{own['seconds'] / base['seconds']:.2f}"]
            row += [f"{1e3 * own['forward_s']:,.0f}", f"{own['forward_s'] / base['forward_s']:.2f}"]
            row += [f"{own['train_mb']:,.0f}", f"{own['train_mb'] / base['train_mb']:.2f}"]
            rows.append([*row, f"{own['forward_mb']:,.0f}", f"{own['trace_s']:.2f}"])
    return measure.markdown(rows)
