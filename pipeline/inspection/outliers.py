"""Clips whose crops are much brighter or darker than the others, or show the mouth elsewhere."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import CROP, DataError
from pipeline.video.opencv import cv2

FAR = 3.5  # robust standard deviations from the median (Iglewicz and Hoaglin 1993)
MIN_CLIPS = 20  # of fewer, the usual spread is unknown
REACH = 24  # pixels by which a mouth may be displaced
MIN_SPREADS = (4.0, 1.0, 1.0)  # of the measures, in their units: smaller differences are never far
BRIGHTNESS, RIGHT, DOWN = "brightness", "mouth to the right", "mouth lower"
MEASURES = (BRIGHTNESS, RIGHT, DOWN)


class Measured(NamedTuple):
    """Measures of some clips.

    Attributes:
      records: int64 [N], rows of the index.
      values: float64 [N, 3], as `MEASURES`: mean gray level, 0 to 255; how many pixels the mouth lies to the right of,
        and lower than, that of the mean crop.
      unread: records that are damaged, so that they were left out.
    """

    records: np.ndarray
    values: np.ndarray
    unread: int


class Outlier(NamedTuple):
    """A clip that is far from the others, the value of its measure, and the median of all."""

    record: int
    measure: str
    value: float
    median: float


def measure(dataset: DatasetDir, records: Iterable[int]) -> Measured:
    """Measures clips by the mean of their frames.

    The mouth's place is where the middle of the mean crop of all these clips correlates best with that of the clip,
    up to `REACH` pixels away.

    Args:
      dataset: an opened dataset directory.
      records: rows of the index; each record is read once, and one mean frame a clip is kept. Damaged records are
        left out and counted.
    """
    rows, means, unread = [], [], 0
    for record in records:
        try:
            frames = directory.read_record(dataset, record).frames
        except DataError:
            unread += 1
            continue
        rows.append(record)
        means.append(frames.mean(0).astype(np.float32))
    if not rows:
        return Measured(np.zeros(0, np.int64), np.zeros((0, len(MEASURES))), unread)
    middle = np.mean(means, axis=0, dtype=np.float32)[REACH : CROP - REACH, REACH : CROP - REACH]
    values = [(float(mean.mean()), *_displacement(mean, middle)) for mean in means]
    return Measured(np.array(rows), np.array(values), unread)


def _displacement(mean: np.ndarray, middle: np.ndarray) -> tuple[int, int]:
    """Returns how many pixels to the right and down `middle` is found in a crop, float32 [112, 112]."""
    likeness = cv2.matchTemplate(mean, middle, cv2.TM_CCOEFF_NORMED)
    down, right = np.unravel_index(likeness.argmax(), likeness.shape)
    return int(right) - REACH, int(down) - REACH


def find(measured: Measured) -> list[Outlier]:
    """Returns the outliers of each measure, in the order of `MEASURES`, the farthest first.

    Far is what lies more than `FAR` robust standard deviations (1.4826 times the median deviation) from the median.
    Fewer than `MIN_CLIPS` clips have no outliers.
    """
    if len(measured.records) < MIN_CLIPS:
        return []
    medians = np.median(measured.values, axis=0)
    off = np.abs(measured.values - medians)  # [N, 3]
    far = off / np.maximum(1.4826 * np.median(off, axis=0), MIN_SPREADS)
    found = []
    for column, name in enumerate(MEASURES):
        order = np.argsort(-far[:, column], kind="stable")
        for row in order[far[order, column] > FAR].tolist():
            value, median = float(measured.values[row, column]), float(medians[column])
            found.append(Outlier(int(measured.records[row]), name, value, median))
    return found


def farthest(outliers: Sequence[Outlier], max_clips: int) -> list[int]:
    """Returns the records of up to `max_clips` outliers of each measure, each record once."""
    counts = dict.fromkeys(MEASURES, 0)
    chosen: dict[int, None] = {}
    for outlier in outliers:
        counts[outlier.measure] += 1
        if counts[outlier.measure] <= max_clips:
            chosen[outlier.record] = None
    return list(chosen)
