"""The page: plan -> read -> parse -> select -> decode -> augment -> pad and batch -> windows."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipeline import augment, parse, windows
from pipeline.augment import AugmentConfig
from pipeline.plan import Plan, PlanConfig
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError, Key
from pipeline.shards import DatasetDir
from pipeline.table import DataConfig, Examples, examples

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
ENDLESS = 2**62  # epochs


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
) -> tf.data.Dataset:
    """The batches of `epochs` epochs from `step` of `epoch` on, as an ordinary `tf.data.Dataset`.

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

    Returns:
      Batches with the keys, dtypes and shapes of `spec(config, order, layout)`.

    Raises:
      DataError: as `examples` and `Plan`; or the split is smaller than a batch, and `order` drops what fills none.
    """
    expected = spec(order, layout)
    table, planned = _planned(dataset, split, config, order, augmented)
    example = _example_reader(dataset, table, config, augmented)
    plan_epoch = _epoch_planner(table, planned, config, order, augmented)
    first, passed = epoch + step // planned.steps, step % planned.steps
    last = ENDLESS if epochs is None else epoch + epochs

    def one_batch(rows: dict[str, tf.Tensor], longest: tf.Tensor) -> tf.data.Dataset:
        there = rows["row"] >= 0
        rows = tf.data.Dataset.from_tensor_slices({name: column[there] for name, column in rows.items()})
        full = order.max_windows_per_batch is None
        return rows.map(example).padded_batch(
            order.batch_size // order.workers, _padded_shapes(longest, config.edge), drop_remainder=full
        )

    ds = tf.data.Dataset.range(first, last).flat_map(plan_epoch)
    ds = ds.skip(passed)  # a planned batch is a few integers: nothing is read to be skipped
    # Batches are read side by side, yet come in their order.
    ds = ds.interleave(one_batch, cycle_length=4, num_parallel_calls=4, deterministic=True)
    ds = ds.map(lambda batch: windows.of_batch(batch, config.edge)) if layout == BatchKey.WINDOWS else ds
    ds = ds.map(lambda batch: {key: tf.ensure_shape(batch[key], want.shape) for key, want in expected.items()})
    return ds.prefetch(2)


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


def _example_reader(
    dataset: DatasetDir, table: Examples, config: DataConfig, augmented: AugmentConfig | None
) -> Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """The function from a row of `table` and its draw to an element of a batch."""
    paths = tf.constant([str(path) for path in dataset.shards])
    columns = {field.name: tf.constant(getattr(table, field.name)) for field in dataclasses.fields(table)}
    shards, offsets = tf.constant(dataset.index.shard), tf.constant(dataset.index.offset)
    ids = tf.constant(dataset.index.id)
    lookup = config.vocabulary.lookup()

    def example(drawn: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        span = {name: column[drawn["row"]] for name, column in columns.items()}
        record = parse.read(paths[shards[span["record"]]], offsets[span["record"]])
        features = parse.parse(record, dataset.encoding)
        frames = parse.decode_frames(features, span["start"], span["stop"], dataset.encoding)
        shown = augment.played(span["stop"] - span["start"], drawn["frames"])
        if augmented:
            frames = tf.gather(frames, shown) if augmented.speed else frames
            frames = augment.apply(frames, drawn["seed"], augmented)
        labels = lookup(_text(features, span, config))
        steps = tf.cast(windows.count(drawn["frames"], config.edge), tf.int32)
        return {
            BatchKey.FRAMES: frames,
            BatchKey.LENGTHS: steps,
            BatchKey.INSIDE: _inside(span, shown, config.edge),
            BatchKey.LABELS: labels,
            BatchKey.LABEL_LENGTHS: tf.size(labels),
            BatchKey.WEIGHTS: drawn["weight"],
            BatchKey.IDS: _name(ids[span["record"]], span["word"], config),
        }

    return example


def _text(features: dict[str, tf.Tensor], span: dict[str, tf.Tensor], config: DataConfig) -> tf.Tensor:
    """What is said in the span."""
    if config.unit == "word":
        return features[Key.WORD_TEXT][span["word"]]
    if config.max_frames is None:
        return features[Key.TEXT]
    cut = tf.strings.reduce_join(features[Key.WORD_TEXT][: tf.maximum(span["kept"], 0)], separator=" ")
    return tf.where(span["kept"] < 0, features[Key.TEXT], cut)


def _name(clip: tf.Tensor, word: tf.Tensor, config: DataConfig) -> tf.Tensor:
    return tf.strings.join([clip, "#", tf.strings.as_string(word)]) if config.unit == "word" else clip


def _inside(span: dict[str, tf.Tensor], shown: tf.Tensor, edge: str) -> tf.Tensor:
    """uint8 [S]: 1 where a window's middle frame belongs to the unit itself."""
    border = CONTEXT // 2 if edge == "valid" else 0
    middle = span["start"] + shown[border : tf.size(shown) - border]
    return tf.cast((middle >= span["inside_start"]) & (middle < span["inside_stop"]), tf.uint8)


def _padded_shapes(longest: tf.Tensor, edge: str) -> dict[str, list[tf.Tensor | int]]:
    """What the elements of a batch are filled up to, its longest having `longest` windows."""
    frames = longest + (CONTEXT - 1 if edge == "valid" else 0)
    scalars = (BatchKey.LENGTHS, BatchKey.LABEL_LENGTHS, BatchKey.WEIGHTS, BatchKey.IDS)
    return {
        BatchKey.FRAMES: tf.stack([frames, CROP, CROP]),
        BatchKey.INSIDE: longest[None],
        BatchKey.LABELS: [None],
        **{key: [] for key in scalars},
    }
