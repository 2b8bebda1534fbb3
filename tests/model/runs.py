"""Short training runs on batches that depend on the step alone."""

import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np

from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader

CONFIG = LipReaderConfig(classes=3, width=0.0625, lstm_units=5, bidirectional=False, dropout=0.3)
QUICK = TrainConfig(epochs=2, warmup=0.34, checkpoint_every=2)
STEPS = 3


def stream(
    batch: Callable, stop: threading.Event | None = None, stop_after: int = 0
) -> Callable[[int], Iterator[dict]]:
    """Batches that depend on the step alone; `stop` is set before the `stop_after`-th batch of the run."""

    def batches(first: int) -> Iterator[dict]:
        for step in itertools.count(first):
            if step + 1 == stop_after:
                stop.set()
            yield batch(seed=step, padding=step % STEPS)

    return batches


def assert_equal(first: LipReader, second: LipReader) -> None:
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
