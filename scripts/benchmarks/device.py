"""Measures how much of reading, copying and making windows is hidden behind the model's step."""

import itertools
from collections.abc import Sequence

import tensorflow as tf

from pipeline.loading.device import default_device, is_host
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from scripts.benchmarks import measure
from scripts.benchmarks.device_variant import ALONE, FED, READ, SHIPPED, VARIANTS, WORKS
from scripts.benchmarks.measure import Measurement
from scripts.common.bars import bar

TITLES = {
    ALONE: "step alone",
    READ: "input alone",
    FED: "both: `device.batches`",
    SHIPPED: "both: host windows, copied ahead",
    "late": "frames copied when wanted",
    "late_shipped": "host windows copied when wanted",
}


def run(
    dataset: DatasetDir, table: str, width: float, batches: Sequence[int], rounds: int, seconds: float
) -> list[Measurement]:
    """Measures training and forward steps with every batch size, prints one table, and returns every measurement.

    Raises:
      DataError: no batch size, one of more clips than the split `train` has, or there is no such table.
    """
    clips = dataset.manifest["splits"].get("train", {"records": 0})["records"]
    if not batches:
        raise DataError("--batches: want at least one, got none")
    if max(batches) > clips:
        raise DataError(f"--batches: {max(batches)} are more than the {clips} clips of split 'train' (--data)")
    measure.check_table(table)
    argument = {"data": str(dataset.root), "table": table, "width": width, "seconds": seconds}
    variants = [
        measure.variant(
            name(*each), "scripts.benchmarks.device_variant", {**argument, "work": each[0], "batch": each[1]}
        )
        for each in itertools.product(WORKS, batches)
    ]
    measured = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
    print(f"table {table}, width {width}, on {device_name()}; milliseconds a batch\n\n{table_of(measured)}")
    return measured


def name(work: str, batch: int) -> str:
    return f"{work}, batch {batch}"


def device_name() -> str:
    """Describes the device."""
    if is_host(default_device()):
        return "the CPU, for want of an accelerator: nothing is copied, and reading and steps share its cores"
    first = tf.config.list_physical_devices("GPU")[0]
    return tf.config.experimental.get_device_details(first).get("device_name", first.name)


def hidden(step: float, read: float, both: float) -> float:
    """Returns the share of the shorter of two works that is hidden when both are done, 0 to 1."""
    return min(max((step + read - both) / min(step, read), 0.0), 1.0)


def table_of(measured: Sequence[Measurement]) -> str:
    """Formats a Markdown table of medians, a row for each work and batch size."""
    rows = [["work", *TITLES.values(), "input hidden", "MB of frames, of windows"]]
    for work, own in measure.medians(measured).items():
        times = [f"{1e3 * own[f'{variant}_s']:.2f}" for variant in VARIANTS]
        share = hidden(*(own[f"{variant}_s"] for variant in (ALONE, READ, FED)))
        rows.append([work, *times, f"{share:.0%}", f"{own[f'{FED}_mb']:.1f}, {own[f'{SHIPPED}_mb']:.1f}"])
    return measure.markdown(rows)
