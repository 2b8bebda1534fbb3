"""One CNN over every step, by each wrapper: training step, forward, tracing and memory, compared with a reshape."""

from collections.abc import Sequence

from model.config import PRECISIONS, WRAPPERS
from pipeline.schema import DataError
from scripts.benchmarks import measure
from scripts.benchmarks.measure import Candidate, Measurement
from scripts.common.bars import bar

PLAIN = "keras"  # the layers as one would write them down, over `reshape`
REFERENCE = "reshape"
FIGURES = {  # title -> figure, its unit's factor, and whether it is set beside that of `reshape`
    "training step ms": ("seconds", 1e3, True),
    "CPU ms": ("train_cpu_s", 1e3, True),
    "forward ms": ("forward_s", 1e3, True),
    "MB training": ("train_mb", 1, True),
    "MB forward": ("forward_mb", 1, True),
    "tracing ms": ("trace_s", 1e3, False),
}
VARIANTS = (PLAIN, *WRAPPERS)
Setting = tuple[int, int, float, str]  # batch, length, padding, precision


def run(
    table: str,
    width: float,
    batches: Sequence[int],
    lengths: Sequence[int],
    paddings: Sequence[float],
    rounds: int,
    precisions: Sequence[str] = PRECISIONS[:1],
    variants: Sequence[str] = VARIANTS,
) -> list[Measurement]:
    """Measures every variant at every setting, prints one table, and returns every measurement.

    The settings are the first of each list, and each of the others in its place.

    Raises:
      DataError: as `check`.
    """
    check(table, batches, lengths, paddings, precisions, variants)
    chosen = settings(batches, lengths, paddings, precisions)
    candidates = [_variant(variant, table, width, setting) for setting in chosen for variant in variants]
    measured = list(bar(measure.alternate(candidates, rounds), total=rounds * len(candidates), unit="run"))
    print(f"table {table}, width {width}\n\n{table_of(measured, chosen, variants)}")
    return measured


def check(
    table: str,
    batches: Sequence[int],
    lengths: Sequence[int],
    paddings: Sequence[float],
    precisions: Sequence[str],
    variants: Sequence[str],
) -> None:
    """Refuses what cannot be measured.

    Raises:
      DataError: a list is empty, a padding is no share, or there is no such table, precision or variant.
    """
    lists = {
        "batches": batches,
        "lengths": lengths,
        "paddings": paddings,
        "precisions": precisions,
        "variants": variants,
    }
    if empty := [title for title, values in lists.items() if not values]:
        raise DataError(f"--{empty[0]}: want at least one, got none")
    for title, values, known in (("precisions", precisions, PRECISIONS), ("variants", variants, VARIANTS)):
        if wrong := [value for value in values if value not in known]:
            raise DataError(f"--{title}: want of {', '.join(known)}, got {wrong[0]!r}")
    if wrong := [padding for padding in paddings if not 0 <= padding < 1]:
        raise DataError(f"--paddings: want 0 <= padding < 1, got {wrong[0]}")
    measure.check_table(table)


def settings(
    batches: Sequence[int], lengths: Sequence[int], paddings: Sequence[float], precisions: Sequence[str]
) -> list[Setting]:
    first = batches[0], lengths[0], paddings[0], precisions[0]
    varied = [first]
    varied += [(batch, *first[1:]) for batch in batches[1:]]
    varied += [(first[0], length, *first[2:]) for length in lengths[1:]]
    varied += [(*first[:2], padding, first[3]) for padding in paddings[1:]]
    return varied + [(*first[:3], precision) for precision in precisions[1:]]


def _variant(variant: str, table: str, width: float, setting: Setting) -> Candidate:
    shape = dict(zip(("batch", "length", "padding", "precision"), setting, strict=True))
    argument = {"variant": variant, "table": table, "width": width, **shape, "repeats": 3}
    return measure.variant(name(variant, setting), "scripts.benchmarks.sequence_variant", argument)


def name(variant: str, setting: Setting) -> str:
    return f"{variant}, batch {setting[0]} x {setting[1]}, {setting[2]:.0%} padding, {setting[3]}"


def table_of(measured: Sequence[Measurement], settings: Sequence[Setting], variants: Sequence[str] = VARIANTS) -> str:
    """Formats medians, a row for each setting and variant; in brackets the ratio to `reshape` or the first variant.

    Of the same batch, windows and padding, that is, in the first setting's precision.
    """
    summary = measure.medians(measured)
    reference = REFERENCE if REFERENCE in variants else variants[0]
    rows = [["batch", "windows", "padding", "precision", "variant", *FIGURES, "lowest to highest"]]
    for setting in settings:
        base = summary[name(reference, (*setting[:3], settings[0][3]))]
        for variant in variants:
            own = name(variant, setting)
            row = [str(setting[0]), str(setting[1]), f"{setting[2]:.0%}", setting[3], variant]
            for figure, factor, compared in FIGURES.values():
                value = summary[own][figure]
                row.append(f"{factor * value:,.0f}" + f" ({value / base[figure]:.2f})" * compared)
            steps = [1e3 * one.figures["seconds"] for one in measured if one.candidate == own]
            rows.append([*row, f"{min(steps):,.0f} to {max(steps):,.0f}"])
    return measure.markdown(rows)
