"""Tiny batches in the shape of the real ones."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf

tf.config.threading.set_inter_op_parallelism_threads(2)


def _batch(
    lengths: Sequence[int] = (3, 1, 2),
    labels: Sequence[Sequence[int]] = ((1,), (0,), (2,)),
    padding: int = 0,
    seed: int = 0,
) -> dict[str, tf.Tensor]:
    """Random windows; rows as `lengths` and `labels` say, `padding` steps of noise behind the longest."""
    rng = np.random.default_rng(seed)
    steps = max(lengths) + padding
    # Clip by clip, so that more padding leaves the valid windows as they are.
    windows = rng.integers(0, 256, [len(lengths), steps, 112, 112, 5], np.uint8)
    for row, length in enumerate(lengths):
        clip = np.random.default_rng([seed, row]).integers(0, 256, [length, 112, 112, 5], np.uint8)
        windows[row, :length] = clip
    width = max(map(len, labels))
    return {
        "windows": tf.constant(windows),
        "lengths": tf.constant(lengths, tf.int32),
        "in_word": tf.constant(rng.integers(0, 2, [len(lengths), steps], np.uint8)),
        "labels": tf.constant([[*row, *[0] * (width - len(row))] for row in labels], tf.int32),
        "label_lengths": tf.constant([len(row) for row in labels], tf.int32),
        "weights": tf.ones([len(lengths)]),
        "ids": tf.constant([f"clip{row}" for row in range(len(lengths))]),
    }


@pytest.fixture(name="batch", scope="session")
def _batch_fixture() -> Callable[..., dict[str, tf.Tensor]]:
    return _batch


@pytest.fixture(name="eager")
def _eager() -> Iterator[None]:
    """Steps run op by op: for few steps that is sooner done than a trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
