"""Builds the training `tf.data.Dataset`: sample, read, augment, make windows.

A stream is a function of the arguments of `load` alone, and a batch a function of its number. So a run that has taken
`n` steps resumes with `load(…, step=n)`, which reads nothing to get there; `position` keeps `n` in a file.
"""

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline.loading import augment, buffers, mixture, windows
from pipeline.loading.augment import AugmentConfig
from pipeline.loading.batch import KEYS, Batcher
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig, Examples, select_examples
from pipeline.loading.plan import Batches, Plan, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
Batch = dict[str, tf.Tensor]
Draw = Callable[[int], tuple[np.ndarray, np.ndarray]]  # epoch -> frames int64 [N], seeds int64 [N, 2]


def load(
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
    *,
    epoch: int = 0,
    epochs: int | None = 1,
    step: int = 0,
    layout: str = "frames",
    on_bad_record: Literal["raise", "skip"] = "raise",
    skipped: set[str] | None = None,
    reader: Reader | None = None,
) -> tf.data.Dataset:
    """Loads the batches of a split, as `spec` describes them.

    Args:
      dataset: an opened dataset directory, or several, joined by `mixture.join`.
      split: such as `train`.
      config: what an example is.
      order: how examples are ordered and batched.
      augmented: how examples are augmented; None for not at all.
      epoch: the first epoch, from 0.
      epochs: the number of epochs; None for no end.
      step: batches to leave out at the start, any number.
      layout: `frames` uint8 [B, F, 112, 112], for `device.batches`, or `windows` uint8 [B, S, 112, 112, 5].
      on_bad_record: `raise` an error with shard, offset and reason, or `skip` the record; see `Batcher`.
      skipped: receives the error of each skipped record once.
      reader: `Reader(dataset, cache_bytes)`, to share its cache between calls.

    Raises:
      DataError: as `select_examples` and `Plan`, or the split fills no batch.
    """
    expected = spec(order, layout)
    stream = _Stream(dataset, split, config, order, augmented, reader or Reader(dataset), on_bad_record, skipped)
    # Sample first: the plan shuffles examples, not data, so no buffer is filled and resuming is counting.
    ds = _numbers(stream, epoch * stream.steps + step, None if epochs is None else (epoch + epochs) * stream.steps)
    # Augment in the map that reads: another parallel map would hold as many batches again.
    ahead = 4 if layout == BatchKey.FRAMES else 2
    ds = ds.map(_reader(stream, spec(order), augmented), num_parallel_calls=ahead, deterministic=True)
    # Windows last: they take five times the memory of frames.
    ds = ds.map(lambda batch: _windows(batch, config, expected)) if layout == BatchKey.WINDOWS else ds
    return ds.prefetch(ahead // 2)  # the next batches are made during a training step


def spec(order: PlanConfig, layout: str = "frames") -> dict[str, tf.TensorSpec]:
    """The `element_spec` of `load`.

    B is the worker's share of the batch, None where a budget of windows makes it vary. F frames, S windows and L labels
    vary from batch to batch; rows are padded with zeros.

    Raises:
      ValueError: there is no such layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout: want {' or '.join(LAYOUTS)}, got {layout!r}")
    rows = order.batch_size // order.workers if order.max_windows_per_batch is None else None
    pixels = [CROP, CROP] if layout == BatchKey.FRAMES else [CROP, CROP, CONTEXT]
    return {
        layout: tf.TensorSpec([rows, None, *pixels], tf.uint8),
        BatchKey.LENGTHS: tf.TensorSpec([rows], tf.int32),
        BatchKey.IN_WORD: tf.TensorSpec([rows, None], tf.uint8),
        BatchKey.LABELS: tf.TensorSpec([rows, None], tf.int32),
        BatchKey.LABEL_LENGTHS: tf.TensorSpec([rows], tf.int32),
        BatchKey.WEIGHTS: tf.TensorSpec([rows], tf.float32),
        BatchKey.IDS: tf.TensorSpec([rows], tf.string),
    }


def steps_per_epoch(
    dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None = None
) -> int:
    """The number of batches of an epoch, which is the same in every epoch.

    Raises:
      DataError: as `load`.
    """
    return _plan(dataset, split, config, order, augmented)[1].steps


def _plan(
    dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None
) -> tuple[Examples, Plan]:
    examples = select_examples(dataset, split, config)
    frames = augment.max_drawn_frames(examples.frames, config.max_frames, augmented or AugmentConfig())
    plan = Plan(windows.count(frames, config.padding), order, examples.source)
    if not plan.steps:
        raise DataError(
            f"{dataset.root}: split {split!r} has {len(examples)} examples, too few for one batch; "
            f"batch_size: want at most {len(examples)}, got {order.batch_size}"
        )
    return examples, plan


class _Stream:
    """Reads a batch by its number, counted through all epochs from the first batch of epoch 0.

    Attributes:
      steps: batches of an epoch.
    """

    def __init__(
        self,
        dataset: DatasetDir,
        split: str,
        config: DataConfig,
        order: PlanConfig,
        augmented: AugmentConfig | None,
        reader: Reader,
        on_bad_record: str,
        skipped: set[str] | None,
    ) -> None:
        examples, plan = _plan(dataset, split, config, order, augmented)
        keys = augment.example_keys(mixture.own_ids(dataset)[examples.record], examples.word)
        limits = examples.frames, examples.min_frames, config.max_frames
        draw = functools.partial(augment.draw, keys, *limits, augmented or AugmentConfig(), order.seed)
        self.steps = plan.steps
        self._batcher = Batcher(dataset, examples, config, reader, on_bad_record, skipped)
        self._lock = threading.Lock()  # several threads ask for an epoch, one plans it
        epoch = functools.partial(_epoch, plan, draw, config.padding)
        self._epoch = functools.lru_cache(maxsize=2)(epoch)  # where one epoch ends, two are read

    def __call__(self, number: np.int64) -> tuple[np.ndarray, ...]:
        """The arrays of `batch.KEYS`, then the frames of each row, int64 [B], and its seed, int64 [B, 2]."""
        epoch, step = divmod(int(number), self.steps)
        with self._lock:
            batches, frames, seeds = self._epoch(epoch)
        rows = batches.examples[step]
        arrays = self._batcher(rows, batches.weights[step], frames[rows], batches.windows[step])
        rows = rows[rows >= 0]
        return *arrays, frames[rows], seeds[rows]


def _epoch(plan: Plan, draw: Draw, padding: str, epoch: int) -> tuple[Batches, np.ndarray, np.ndarray]:
    frames, seeds = draw(epoch)
    return plan.epoch(epoch, windows.count(frames, padding)), frames, seeds


def _numbers(stream: _Stream, first: int, stop: int | None) -> tf.data.Dataset:
    """Batch numbers `[first, stop)`, each with the tensor that keeps `stream` alive; see `_reader`."""
    numbers = tf.data.Dataset.counter(first) if stop is None else tf.data.Dataset.range(first, stop)
    return tf.data.Dataset.zip(numbers, tf.data.Dataset.from_tensors(buffers.owner(stream)).repeat())


def _reader(
    stream: _Stream, expected: dict[str, tf.TensorSpec], augmented: AugmentConfig | None
) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
    """The function from a batch's number, and the owner of `stream`, to the augmented batch.

    TensorFlow never frees the function of a `numpy_function`. So this one refers weakly to `stream`, which holds the
    memory of batches, and the owner frees it with the last dataset or iterator.
    """
    found = weakref.ref(stream)

    def read(number: tf.Tensor, owner: tf.Tensor) -> Batch:
        types = [*KEYS.values(), tf.int64, tf.int64]
        *arrays, frames, seeds = tf.numpy_function(lambda n, _: found()(n), [number, owner], types)
        batch = _ensure_shapes(dict(zip(KEYS, arrays, strict=True)), expected)
        if augmented:
            drawn = tf.ensure_shape(frames, [None]), tf.ensure_shape(seeds, [None, 2])
            batch[BatchKey.FRAMES] = augment.apply_to_batch(batch[BatchKey.FRAMES], *drawn, augmented)
        return batch

    return read


def _windows(batch: Batch, config: DataConfig, expected: dict[str, tf.TensorSpec]) -> Batch:
    return _ensure_shapes(windows.of_batch(batch, config.padding, host=True), expected)


def _ensure_shapes(batch: Batch, expected: dict[str, tf.TensorSpec]) -> Batch:
    return {key: tf.ensure_shape(batch[key], want.shape) for key, want in expected.items()}
