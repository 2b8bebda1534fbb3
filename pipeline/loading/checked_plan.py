"""Plans batches in Python, ahead of the graph, and checks their records before it reads them."""

import dataclasses
import logging
import weakref

import numpy as np
import tensorflow as tf

from pipeline.loading import calls, checker, columns
from pipeline.loading.columns import Columns, Planner
from pipeline.records import fetch
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError

ON_BAD_RECORD = ("raise", "skip")
ROWS_AHEAD = 128  # examples that are planned, and their records checked, at once


class CheckedPlan:
    """The plan of batches whose records are sound, or left out.

    Args:
      planner: of the batches.
      dataset: where the records lie.
      on_bad_record: `raise` at a damaged record, or `skip` it.
      skipped: receives the problem of each skipped record once.

    Raises:
      ValueError: there is no such `on_bad_record`.
    """

    def __init__(self, planner: Planner, dataset: DatasetDir, on_bad_record: str, skipped: set[str]) -> None:
        if on_bad_record not in ON_BAD_RECORD:
            raise ValueError(f"on_bad_record: want {' or '.join(ON_BAD_RECORD)}, got {on_bad_record!r}")
        self._planner, self._checker, self.parts = planner, checker.of(dataset), planner.parts
        self.rows_ahead = _rows_ahead(dataset, planner.parts)
        self._skips, self._skipped = on_bad_record == "skip", skipped

    def __call__(self, first: int, stop: int) -> tuple[np.ndarray, ...]:
        """The packed columns of the batches `[first, stop)`.

        Raises:
          DataError: a record is damaged, and that is not to be skipped.
          OSError: a shard cannot be read.
        """
        planned = self._planner(first, stop)
        if problems := self._checker.problems(planned.record):
            planned = self._without(planned, problems)
        return planned.packed()

    def _without(self, planned: Columns, problems: dict[int, str]) -> Columns:
        """Leaves damaged records out, if that is wanted."""
        for problem in problems.values():
            if not self._skips:
                raise DataError(problem)
            if problem not in self._skipped:
                self._skipped.add(problem)
                logging.warning("skipped: %s", problem)
        bad = np.isin(planned.record, list(problems)).any(axis=-1)
        parts = bad[..., np.newaxis]
        nothing = {name: np.where(parts, 0, getattr(planned, name)) for name in ("size", "start", "stop")}
        return dataclasses.replace(planned, weights=np.where(bad, np.float32(0), planned.weights), **nothing)


def _rows_ahead(dataset: DatasetDir, parts: int) -> int:
    """Examples that are planned at once: of a store as few that the records of three such plans wait in memory."""
    if not dataset.is_remote:
        return ROWS_AHEAD
    return int(min(ROWS_AHEAD, fetch.MEMORY / (3 * parts * max(1, dataset.index.length.mean()))))


def batches(plan: CheckedPlan, first: int, stop: int | None, rows: int) -> tf.data.Dataset:
    """The packed columns of the batches `[first, stop)`, an element a batch; some are planned while others are read."""
    together = max(1, plan.rows_ahead // rows)
    starts = tf.data.Dataset.counter(first, together)
    if stop is not None:
        starts = tf.data.Dataset.range(first, stop, together)
    expected = columns.packed_spec(rows, plan.parts)
    kept = weakref.ref(plan)  # TensorFlow never frees the function of a `numpy_function`

    def planned(start: np.int64, end: np.int64) -> tuple[np.ndarray, ...]:
        if (plan := kept()) is None:
            raise RuntimeError("the dataset of this stream is gone; call load outside of traced functions, and keep it")
        return plan(int(start), int(end))

    @tf.autograph.experimental.do_not_convert
    def make(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
        end = start + together if stop is None else tf.minimum(start + together, stop)
        types = [want.dtype for want in expected]
        arrays = calls.numpy_function(planned, [start, end], types)
        return tuple(tf.ensure_shape(one, [None, *want.shape]) for one, want in zip(arrays, expected, strict=True))

    ds = starts.map(make).prefetch(1).unbatch()
    count = tf.data.INFINITE_CARDINALITY if stop is None else max(0, stop - first)
    ds = ds.apply(tf.data.experimental.assert_cardinality(count))
    ds.plan = plan  # which lives as long as a dataset or iterator that was made of this one
    return ds
