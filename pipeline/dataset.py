"""The page: plan -> read and decode into the batch -> augment -> windows."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline import augment, windows
from pipeline.assemble import KEYS, Assembler
from pipeline.augment import AugmentConfig
from pipeline.plan import Plan, PlanConfig
from pipeline.reader import Reader
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError
from pipeline.shards import DatasetDir
from pipeline.table import DataConfig, Examples, examples

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
ENDLESS = 2**62  # epochs
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
    planned = Plan(windows.count(frames, config.edge), order, table.source)
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
        other rows are what they would have been.
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
    plan_epoch = _epoch_planner(table, planned, config, order, augmented)
    first, passed = epoch + step // planned.steps, step % planned.steps
    last = ENDLESS if epochs is None else epoch + epochs

    ds = tf.data.Dataset.range(first, last).flat_map(plan_epoch)
    ds = ds.skip(passed)  # a planned batch is a few integers: nothing is read to be skipped
    # Batches are made side by side, yet come in their order.
    ahead = 4 if layout == BatchKey.FRAMES else 2  # a batch of windows is five of frames: memory
    ds = ds.map(_batch_maker(assembler, augmented, spec(order)), num_parallel_calls=ahead, deterministic=True)
    if layout == BatchKey.WINDOWS:
        ds = ds.map(lambda batch: _shaped(windows.of_batch(batch, config.edge, host=True), expected))
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
        BatchKey.INSIDE: tf.TensorSpec([rows, None], tf.uint8),
        BatchKey.LABELS: tf.TensorSpec([rows, None], tf.int32),
        BatchKey.LABEL_LENGTHS: tf.TensorSpec([rows], tf.int32),
        BatchKey.WEIGHTS: tf.TensorSpec([rows], tf.float32),
        BatchKey.IDS: tf.TensorSpec([rows], tf.string),
    }


def _epoch_planner(
    table: Examples, planned: Plan, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """The function from an epoch's number to its batches, each a row of every example, and the batch's windows."""
    names = {"row": tf.int64, "weight": tf.float32, "frames": tf.int64, "seed": tf.int64}

    def columns(epoch: np.int64) -> tuple[np.ndarray, ...]:
        drawing = (table.frames, table.least, config.max_frames, augmented or AugmentConfig())
        frames, seeds = augment.draw(*drawing, order.seed, int(epoch))
        chosen = planned.epoch(int(epoch), windows.count(frames, config.edge))
        rows = chosen.examples
        return rows, chosen.weights, frames[rows], seeds[rows], chosen.windows

    def plan_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        *rows, longest = tf.numpy_function(columns, [epoch], [*names.values(), tf.int64])
        rows = {name: tf.ensure_shape(c, [None] * (2 + (name == "seed"))) for name, c in zip(names, rows, strict=True)}
        return tf.data.Dataset.from_tensor_slices((rows, tf.ensure_shape(longest, [None])))

    return plan_epoch


def _batch_maker(
    assembler: Assembler, augmented: AugmentConfig | None, expected: dict[str, tf.TensorSpec]
) -> Callable[[Batch, tf.Tensor], Batch]:
    """The function from a planned batch and its windows to the batch."""

    def make(rows: Batch, longest: tf.Tensor) -> Batch:
        made = tf.numpy_function(assembler, [rows["row"], rows["weight"], rows["frames"], longest], list(KEYS.values()))
        batch = _shaped(dict(zip(KEYS, made, strict=True)), expected)
        if augmented:
            there = rows["row"] >= 0
            drawn = rows["frames"][there], rows["seed"][there]
            batch[BatchKey.FRAMES] = augment.batch(batch[BatchKey.FRAMES], *drawn, augmented)
        return batch

    return make


def _shaped(batch: Batch, expected: dict[str, tf.TensorSpec]) -> Batch:
    return {key: tf.ensure_shape(batch[key], want.shape) for key, want in expected.items()}
