"""The part of a dataset's page on clips of unusual brightness, or with the mouth elsewhere in the crop."""

from collections.abc import Sequence

import numpy as np

from pipeline.inspection import outliers
from pipeline.inspection.outliers import FAR, MIN_CLIPS, Measured, Outlier
from pipeline.records.directory import DatasetDir
from scripts.common import cli
from scripts.reports import charts, page
from scripts.reports.page import Block, Picture, Section, Table, Text

MAX_LISTED = 30
UNITS = {
    outliers.BRIGHTNESS: "gray level of 255",
    outliers.RIGHT: "pixels to the right",
    outliers.DOWN: "pixels down",
}
TITLE = "Outliers"


def section(
    dataset: DatasetDir, measured: Measured, found: Sequence[Outlier], pictures: Sequence[Picture], legend: str
) -> Section:
    """Draws the measures, lists the outliers above their pictures, and counts the records that could not be read."""
    count, total = len(measured.records), len(dataset.index)
    damage = f" {cli.counted(measured.unread, 'record')} could not be read: scripts.records verify names damage."
    unread = damage if measured.unread else ""
    if count < MIN_CLIPS:
        few = f"Brightness and the mouth's place are compared among at least {MIN_CLIPS} clips; {count} were measured."
        return Section(TITLE, wide=[Text(few + unread)])
    how = (
        f"{count:,} of {total:,} clips were measured (--measure), by the mean of their frames: its gray level, and "
        "where it shows the mouth, compared with the mean of all. "
        f"A clip is listed from {FAR:g} robust standard deviations on.{unread}"
    )
    if not found:
        return Section(TITLE, _charts(measured), [Text(f"No clip is far from the others. {how}")])
    rows = [_row(dataset, outlier) for outlier in found[:MAX_LISTED]]
    columns = ("clip", "split", "measure", "value", "median", "unit", "text")
    table = Table(columns, rows, "Far from the others", len(found) - len(rows))
    return Section(TITLE, _charts(measured), [table, Text(f"{how} {legend}"), *pictures])


def _charts(measured: Measured) -> list[Block]:
    gray, *place = measured.values.T  # [N, 3] -> 3 of [N]
    drawn = [
        ("Brightness", gray, "mean gray level of the clip"),
        ("Mouth off its usual place", np.hypot(*place), "pixels"),
    ]
    blocks: list[Block] = []
    for title, values, label in drawn:
        caption = f"{values.min():.0f} to {values.max():.0f}, median {np.median(values):.0f}"
        drawing = charts.histogram(values.round().astype(int), label, "clips")
        blocks.append(Picture(page.svg(drawing), f"{title}: {caption}", title, caption))
    return blocks


def _row(dataset: DatasetDir, outlier: Outlier) -> tuple[str | int, ...]:
    row, split = dataset.index.row(outlier.record), dataset.splits[dataset.index.split[outlier.record]]
    value, median = round(outlier.value), round(outlier.median)
    return (row.id, split, outlier.measure, value, median, UNITS[outlier.measure], row.text)
