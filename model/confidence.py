"""Confidence intervals of error rates, by a bootstrap over clips."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from model.evaluate import Prediction
from model.metrics import TextMetrics

LEVEL = 0.95
RESAMPLES = 1000
SEED = 0
BLOCK = 1 << 17  # draws at once, so that memory stays small whatever the number of clips


class Interval(NamedTuple):
    """The bounds of a 95% interval."""

    low: float
    high: float


def by_clip(predictions: Iterable[Prediction], clips: Iterable[int]) -> list[TextMetrics]:
    """Counts the examples of each clip, in the order in which the clips come.

    Args:
      predictions: of an evaluation.
      clips: a number for the clip of each prediction; all words of a clip have the same.
    """
    counted: dict[int, TextMetrics] = {}
    for row, clip in zip(predictions, clips, strict=True):
        counted.setdefault(clip, TextMetrics()).add(row.truth, row.hypothesis)
    return list(counted.values())


def rates(clips: Sequence[TextMetrics]) -> dict[str, float]:
    """Returns each rate of `TextMetrics.ratios` over all clips, at least one, each with at least one word said."""
    above, below = np.array([list(clip.ratios().values()) for clip in clips]).sum(0).T
    return dict(zip(clips[0].ratios(), (above / below).tolist(), strict=True))


def intervals(clips: Sequence[TextMetrics]) -> dict[str, Interval]:
    """Returns the 95% percentile interval (Efron 1979) of each rate of `TextMetrics.ratios`.

    Whole clips are drawn with replacement, since the words of one clip are right or wrong together. The draws are
    seeded, so the same counts give the same intervals.

    Args:
      clips: the counts of each clip, each with at least one word said.

    Returns:
      Name of the rate -> interval. A rate that is the same in all draws is left out: a single clip, or clips that are
      all right, do not tell how clips differ.
    """
    ratios = [clip.ratios() for clip in clips]
    counts = np.array([list(each.values()) for each in ratios], float)  # [clips, rates, 2]
    rng, block = np.random.default_rng(SEED), max(1, BLOCK // len(clips))
    sizes = [min(block, RESAMPLES - done) for done in range(0, RESAMPLES, block)]
    sums = [counts[rng.integers(len(clips), size=(size, len(clips)))].sum(1) for size in sizes]
    above, below = np.moveaxis(np.concatenate(sums), 2, 0)  # [resamples, rates] each
    bounds = np.quantile(above / below, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)  # [2, rates]
    found = {name: Interval(*pair) for name, pair in zip(ratios[0], bounds.T.tolist(), strict=True)}
    return {name: interval for name, interval in found.items() if interval.low < interval.high}
