"""CTC by enumeration: every path there is."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

Labels = tuple[int, ...]


def paths(logs: np.ndarray) -> Iterator[tuple[Labels, float, tuple[int, ...]]]:
    """Each path's labels, log probability and units; float `[S, classes + 1]`, blank last."""
    blank = logs.shape[-1] - 1
    for path in itertools.product(range(blank + 1), repeat=len(logs)):
        labels = tuple(unit for unit, _ in itertools.groupby(path) if unit != blank)
        yield labels, sum(logs[step, unit] for step, unit in enumerate(path)), path


def posterior(logs: np.ndarray) -> dict[Labels, float]:
    """The log probability of every text."""
    total: dict[Labels, float] = defaultdict(float)
    for labels, log, _ in paths(logs):
        total[labels] += math.exp(log)
    return {labels: math.log(value) for labels, value in total.items()}
