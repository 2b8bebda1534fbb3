"""Damaged records: found before TensorFlow trusts them, named, and left out where that is asked for."""

import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline import mixture, parse, shards
from pipeline.schema import DataError
from pipeline.shards import DatasetDir

ON_BAD_RECORD = ("raise", "skip")
SHOWN = 200  # characters of what an operation says


class Inspector:
    """Looks into records for TensorFlow, which trusts their headers and cannot say which record is at fault.

    Args:
      dataset: where they lie.
      on_bad_record: `raise` a DataError at a damaged record, or `skip` it.
      skipped: gets what is wrong with each record that is skipped, once.
    """

    def __init__(self, dataset: DatasetDir, on_bad_record: str, skipped: set[str]) -> None:
        if on_bad_record not in ON_BAD_RECORD:
            raise ValueError(f"on_bad_record: want {' or '.join(ON_BAD_RECORD)}, got {on_bad_record!r}")
        index = dataclasses.replace(dataset.index, id=mixture.own_ids(dataset))
        self._dataset = dataclasses.replace(dataset, index=index)
        self._skips = on_bad_record == "skip"
        self._skipped = skipped

    def headers(self, records: np.ndarray) -> np.ndarray:
        """Before records int64 [n] are read: bool [n], whether their headers are what the index says."""
        return np.array([shards.header_problem(self._dataset, record) is None for record in records.tolist()], bool)

    def records(self, records: np.ndarray) -> np.ndarray:
        """Where reading has failed: bool [n], false for a record that is to be left out.

        Raises:
          DataError: a record is damaged, and that is not to be skipped.
          OSError: a shard cannot be read, which is no damage to a record.
        """
        problems = [self._problem(record) for record in records.tolist()]
        for problem in filter(None, problems):
            if not self._skips:
                raise DataError(problem)
            if problem not in self._skipped:
                self._skipped.add(problem)
                logging.warning("skipped: %s", problem)
        return np.array([problem is None for problem in problems], bool)

    def _problem(self, record: int) -> str | None:
        if problem := shards.record_problem(self._dataset, record):
            return problem
        index, encoding = self._dataset.index, self._dataset.encoding
        shard, offset = self._dataset.shards[index.shard[record]], index.offset[record]
        try:
            features = parse.parse(parse.read(str(shard), offset), encoding)
            parse.decode_frames(features, tf.zeros([], tf.int64), index.frames[record], encoding)
        except tf.errors.InvalidArgumentError as error:  # Pillow reads images that TensorFlow is not given
            return f"{shard} offset {offset}: {_plain(error)}"
        return None


def _plain(error: tf.errors.OpError) -> str:
    """The first line, without the names of nodes."""
    return re.sub(r"{{.*?}}", "", error.message.splitlines()[0]).strip()[:SHOWN]


def eagerly(make: Callable[..., Any], spec: Any, *inputs: Any) -> tf.data.Dataset:
    """A dataset of one element, of the structure `spec`: `make(*inputs)`, called in Python where it is wanted."""
    flat = tf.nest.flatten(spec)

    def element(*inputs: Any) -> Any:
        def call(*values: tf.Tensor) -> list[tf.Tensor]:
            return tf.nest.flatten(make(*tf.nest.pack_sequence_as(inputs, values)))

        made = tf.py_function(call, tf.nest.flatten(inputs), [one.dtype for one in flat])
        return tf.nest.pack_sequence_as(
            spec, [tf.ensure_shape(t, one.shape) for t, one in zip(made, flat, strict=True)]
        )

    return tf.data.Dataset.from_tensors(inputs).map(element)


def named(error: tf.errors.OpError) -> str | None:
    """The DataError behind an error of a dataset's, None where there is none."""
    found = re.search(r"DataError: (.*)", error.message)
    return found and found[1]
