"""What holds for every stream, whatever its options."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.loading import position

Batch = dict[str, np.ndarray]


def same(got: Iterable[Batch], want: Iterable[Batch]) -> None:
    """The same batches bit for bit: keys, shapes, dtypes, values, order."""
    got, want = list(got), list(want)
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def resumes(load: Callable[..., tf.data.Dataset], stream: tuple, whole: list[Batch], path: Path) -> None:
    """Saved after any step and resumed, a stream gives all that is left of it.

    Args:
      load: `load(*stream, step=n)`.
      stream: what decides it.
      whole: all of it.
      path: for the saved position.
    """
    for step in range(len(whole) + 1):
        position.save(path, *stream, step=step)
        assert path.stat().st_size < 1000
        same(read(load(*stream, step=position.load(path, *stream))), whole[step:])


def read(ds: tf.data.Dataset) -> list[Batch]:
    return list(ds.as_numpy_iterator())


def rows(batch: Batch) -> Iterator[tuple[bytes, ...]]:
    """Each row of a batch as bytes."""
    for row in range(len(batch["ids"])):
        yield tuple(np.asarray(batch[key][row]).tobytes() if key != "ids" else batch[key][row] for key in sorted(batch))


def shared(whole: list[Batch], parts: list[list[Batch]]) -> None:
    """The union of the workers' batches is the one worker's batch, step by step."""
    for step, batch in enumerate(whole):
        assert sorted(rows(batch)) == sorted(row for part in parts for row in rows(part[step]))
    assert {len(part) for part in parts} == {len(whole)}
