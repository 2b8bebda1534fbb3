"""The page: plan -> read and decode into the batch -> augment -> windows."""

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline.loading import augment, buffers, mixture, windows
from pipeline.loading.augment import AugmentConfig
from pipeline.loading.batch import KEYS, Assembler
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig, Examples, examples
from pipeline.loading.plan import Batches, Plan, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
Batch = dict[str, tf.Tensor]


def steps_per_epoch(
    dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None = None
) -> int:
    """How many batches an epoch has, each epoch the same.

    Raises:
      DataError: as `load`.
    """
    return _planned(dataset, split, config, order, augmented)[1].steps


def _planned(
    dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None
) -> tuple[Examples, Plan]:
    table = examples(dataset, split, config)
    frames = augment.longest(table.frames, config.max_frames, augmented) if augmented else table.frames
    planned = Plan(windows.count(frames, config.padding), order, table.source)
    if not planned.steps:
        raise DataError(
            f"{dataset.root}: split {split!r} has {len(table)} examples, which fill no batch; "
            f"batch_size: want at most {len(table)}, got {order.batch_size}"
        )
    return table, planned


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
    """The batches of `epochs` epochs from `step` of `epoch` on, as a `tf.data.Dataset` for this process.

    The stream is a function of the arguments alone: what a run of `n` steps has left is `load(…, step=n)`, and nothing
    is read to get there. `position` keeps `n` in a file.

    Args:
      dataset: an opened dataset directory, or several, joined by `mixture.join`.
      split: `train`, `val` or `test`.
      config: what an example is.
      order: how they are ordered and batched.
      augmented: how they are varied; None for not at all.
      epoch: first epoch, which seeds its permutation.
      epochs: how many; None for no end.
      step: batches to leave out at the start, which may be more than an epoch has.
      layout: `frames` uint8 [B, F, 112, 112], a nineteenth of the bytes of float windows, for windows made on the
        accelerator by `device.batches`; or `windows` uint8 [B, S, 112, 112, 5], made here.
      on_bad_record: `raise` at a damaged record, in an error of TensorFlow's that names shard, offset and reason; or
        `skip` it: its row keeps its place, id and lengths, with nothing of the clip's pixels and with weight 0, and the
        other rows are what they would have been. Where no record of a batch is sound, all its weights are 0.
      skipped: gets what is wrong with each record that is skipped, once, when reading comes to it.
      reader: `Reader(dataset, cache_bytes)`, to be kept from call to call where frames are to stay in memory.

    Returns:
      Batches with the keys, dtypes and shapes of `spec(config, order, layout)`.

    Raises:
      DataError: as `examples` and `Plan`; or the split is smaller than a batch, and `order` drops what fills none.
    """
    expected = spec(order, layout)
    table, planned = _planned(dataset, split, config, order, augmented)
    reader = Reader(dataset) if reader is None else reader
    if reader.dataset is not dataset:
        raise ValueError("reader: is of another dataset")
    assembler = Assembler(dataset, table, config, reader, on_bad_record, set() if skipped is None else skipped)
    clips = augment.keys(mixture.own_ids(dataset)[table.record], table.word)
    numbered = _Numbered(assembler, table, clips, planned, config, order, augmented)
    first = epoch * planned.steps + step

    # A batch is a function of its number: nothing is read to get to it.
    last = None if epochs is None else (epoch + epochs) * planned.steps
    ds = tf.data.Dataset.counter(first) if last is None else tf.data.Dataset.range(first, last)
    ds = tf.data.Dataset.zip(ds, tf.data.Dataset.from_tensors(buffers.owner(numbered)).repeat())  # see `_batch_maker`
    # Batches are made side by side, yet come in their order.
    ahead = 4 if layout == BatchKey.FRAMES else 2  # a batch of windows is five of frames: memory
    ds = ds.map(_batch_maker(numbered, augmented, spec(order)), num_parallel_calls=ahead, deterministic=True)
    if layout == BatchKey.WINDOWS:
        ds = ds.map(lambda batch: _shaped(windows.of_batch(batch, config.padding, host=True), expected))
    return ds.prefetch(ahead // 2)


def spec(order: PlanConfig, layout: str = "frames") -> dict[str, tf.TensorSpec]:
    """What a batch is: the `element_spec` of `load`.

    B is the worker's share of the batch, None where a budget makes it vary; F frames, S windows and L labels vary
    from batch to batch, and rows are filled up with zeros.
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


class _Numbered:
    """A stream's batches by their numbers, counted through all epochs from the first batch of epoch 0 on."""

    def __init__(
        self,
        assembler: Assembler,
        table: Examples,
        clips: np.ndarray,
        planned: Plan,
        config: DataConfig,
        order: PlanConfig,
        augmented: AugmentConfig | None,
    ) -> None:
        self._assembler, self._steps = assembler, planned.steps
        self._lock = threading.Lock()  # an epoch is planned once, whichever threads ask for it
        epoch = functools.partial(_epoch, table, clips, planned, config, augmented or AugmentConfig(), order.seed)
        self._epoch = functools.lru_cache(maxsize=2)(epoch)  # two meet where one ends

    def __call__(self, number: np.int64) -> tuple[np.ndarray, ...]:
        """The arrays of `assemble.KEYS`, then int64 [B], the frames of each row, and [B, 2], the seed of its draw."""
        epoch, step = divmod(int(number), self._steps)
        with self._lock:
            chosen, frames, seeds = self._epoch(epoch)
        rows = chosen.examples[step]
        made = self._assembler(rows, chosen.weights[step], frames[rows], chosen.windows[step])
        there = rows[rows >= 0]
        return *made, frames[there], seeds[there]


def _epoch(
    table: Examples,
    clips: np.ndarray,
    planned: Plan,
    config: DataConfig,
    augmented: AugmentConfig,
    seed: int,
    epoch: int,
) -> tuple[Batches, np.ndarray, np.ndarray]:
    """An epoch's batches, and of each example int64 [N] frames and [N, 2] seeds."""
    frames, seeds = augment.draw(clips, table.frames, table.least, config.max_frames, augmented, seed, epoch)
    return planned.epoch(epoch, windows.count(frames, config.padding)), frames, seeds


def _batch_maker(
    numbered: _Numbered, augmented: AugmentConfig | None, expected: dict[str, tf.TensorSpec]
) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
    """The function from a batch's number, and the owner of `numbered`, to the batch.

    TensorFlow never lets go of the function of a `numpy_function`. This one does not keep `numbered`, which has the
    memory of batches; the owner does, so that it goes with the last dataset or iterator of the stream.
    """
    found = weakref.ref(numbered)

    def make(number: tf.Tensor, owner: tf.Tensor) -> Batch:
        types = [*KEYS.values(), tf.int64, tf.int64]
        *made, counts, seeds = tf.numpy_function(lambda n, _: found()(n), [number, owner], types)
        batch = _shaped(dict(zip(KEYS, made, strict=True)), expected)
        if augmented:
            drawn = tf.ensure_shape(counts, [None]), tf.ensure_shape(seeds, [None, 2])
            batch[BatchKey.FRAMES] = augment.batch(batch[BatchKey.FRAMES], *drawn, augmented)
        return batch

    return make


def _shaped(batch: Batch, expected: dict[str, tf.TensorSpec]) -> Batch:
    return {key: tf.ensure_shape(batch[key], want.shape) for key, want in expected.items()}
