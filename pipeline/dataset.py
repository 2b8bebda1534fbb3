"""The page: plan -> read -> parse -> select -> decode -> augment -> pad and batch -> windows."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline import augment, damage, mixture, parse, windows
from pipeline.augment import AugmentConfig
from pipeline.plan import Plan, PlanConfig
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError, Key
from pipeline.shards import DatasetDir
from pipeline.table import DataConfig, Examples, examples

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
ENDLESS = 2**62  # epochs
Rows = dict[str, tf.Tensor]


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
      on_bad_record: `raise` at a damaged record, in an error of TensorFlow's that names shard, offset and reason; or
        `skip` it: its row keeps its place, id and lengths, without pixels and with weight 0, and the other rows are
        what they would have been.
      skipped: gets what is wrong with each record that is skipped, once, when reading comes to it.

    Returns:
      Batches with the keys, dtypes and shapes of `spec(config, order, layout)`.

    Raises:
      DataError: as `examples` and `Plan`; or the split is smaller than a batch, and `order` drops what fills none.
    """
    expected = spec(order, layout)
    table, planned = _planned(dataset, split, config, order, augmented)
    inspector = damage.Inspector(dataset, on_bad_record, set() if skipped is None else skipped)
    one_batch = _batch_reader(_example_reader(dataset, table, config, augmented), table, inspector, config.edge)
    plan_epoch = _epoch_planner(table, planned, config, order, augmented)
    first, passed = epoch + step // planned.steps, step % planned.steps
    last = ENDLESS if epochs is None else epoch + epochs

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


def _batch_reader(
    example: Callable[..., Rows], table: Examples, inspector: damage.Inspector, edge: str
) -> Callable[[Rows, tf.Tensor], tf.data.Dataset]:
    """The function from a planned batch and its windows to a dataset of that batch alone."""
    record = tf.constant(table.record)

    def again(records: tf.Tensor, longest: tf.Tensor, rows: Rows) -> Rows:
        sound = inspector.records(records.numpy())
        each = [{name: column[n] for name, column in rows.items()} for n in range(len(sound))]
        read = [tf.data.Dataset.from_tensors(example(row, bool(ok))) for row, ok in zip(each, sound, strict=True)]
        joined = functools.reduce(tf.data.Dataset.concatenate, read)
        return joined.padded_batch(len(read), _padded_shapes(longest, edge)).get_single_element()

    def one_batch(rows: Rows, longest: tf.Tensor) -> tf.data.Dataset:
        there = rows["row"] >= 0
        rows = {name: column[there] for name, column in rows.items()}
        records = tf.gather(record, rows["row"])
        rows["sound"] = tf.ensure_shape(tf.numpy_function(inspector.headers, [records], tf.bool), [None])
        read = tf.data.Dataset.from_tensor_slices(rows).map(example)
        batch = read.padded_batch(tf.size(records, tf.int64), _padded_shapes(longest, edge), drop_remainder=True)
        # What cannot be read in one go is read once more, row by row, in Python.
        mended = damage.eagerly(again, batch.element_spec, records, longest, rows)
        return batch.ignore_errors().concatenate(mended).take(1)

    return one_batch


def _example_reader(
    dataset: DatasetDir, table: Examples, config: DataConfig, augmented: AugmentConfig | None
) -> Callable[..., Rows]:
    """The function from a row of `table` and its draw to an element of a batch, empty where it is not readable."""
    paths = tf.constant([str(path) for path in dataset.shards])
    columns = {field.name: tf.constant(getattr(table, field.name)) for field in dataclasses.fields(table)}
    shards, offsets = tf.constant(dataset.index.shard), tf.constant(dataset.index.offset)
    ids, own_ids = tf.constant(dataset.index.id), tf.constant(mixture.own_ids(dataset))
    texts, totals = tf.constant(dataset.index.text), tf.constant(dataset.index.frames)
    lookup = config.vocabulary.lookup()

    def read(span: Rows, sound: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = span["record"]
        with tf.control_dependencies([tf.debugging.Assert(sound, ["a header is not what the index says"])]):
            record = parse.read(paths[shards[place]], offsets[place])
        features = parse.parse(record, dataset.encoding)
        with tf.control_dependencies(parse.check(features, own_ids[place], texts[place], totals[place])):
            frames = parse.decode_frames(features, span["start"], span["stop"], dataset.encoding)
        return frames, _text(features, span, config)

    def blank(span: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.zeros([span["stop"] - span["start"], CROP, CROP], tf.uint8), config.vocabulary.symbols[0]

    def example(drawn: Rows, readable: bool = True) -> Rows:
        span = {name: column[drawn["row"]] for name, column in columns.items()}
        frames, text = read(span, drawn["sound"]) if readable else blank(span)
        shown = augment.played(span["stop"] - span["start"], drawn["frames"])
        if augmented:
            frames = tf.gather(frames, shown) if augmented.speed else frames
            frames = augment.apply(frames, drawn["seed"], augmented)
        labels = lookup(text)
        steps = tf.cast(windows.count(drawn["frames"], config.edge), tf.int32)
        return {
            BatchKey.FRAMES: frames,
            BatchKey.LENGTHS: steps,
            BatchKey.INSIDE: _inside(span, shown, config.edge),
            BatchKey.LABELS: labels,
            BatchKey.LABEL_LENGTHS: tf.size(labels),
            BatchKey.WEIGHTS: drawn["weight"] if readable else tf.zeros([]),
            BatchKey.IDS: _name(ids[span["record"]], span["word"], config),
        }

    return example


def _text(features: Rows, span: Rows, config: DataConfig) -> tf.Tensor:
    """What is said in the span."""
    if config.unit == "word":
        return features[Key.WORD_TEXT][span["word"]]
    if config.max_frames is None:
        return features[Key.TEXT]
    cut = tf.strings.reduce_join(features[Key.WORD_TEXT][: tf.maximum(span["kept"], 0)], separator=" ")
    return tf.where(span["kept"] < 0, features[Key.TEXT], cut)


def _name(clip: tf.Tensor, word: tf.Tensor, config: DataConfig) -> tf.Tensor:
    return tf.strings.join([clip, "#", tf.strings.as_string(word)]) if config.unit == "word" else clip


def _inside(span: Rows, shown: tf.Tensor, edge: str) -> tf.Tensor:
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
