"""The page: plan -> read -> parse -> select -> decode -> windows -> pad and batch."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline import parse, plan, windows
from pipeline.plan import Examples, PlanConfig
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError, Key
from pipeline.shards import DatasetDir
from pipeline.vocab import Vocabulary

UNITS = ("sentence", "word")
MAX_MARGIN = 100  # frames
LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What an example is, and what a batch holds of it.

    Attributes:
      unit: `sentence`, a whole clip; or `word`, each aligned word with its margin.
      margin: frames before and after a word.
      edge: `valid` (F frames give F - 4 windows) or `same` (F windows).
      vocabulary: of the labels.
    """

    vocabulary: Vocabulary
    unit: Literal["sentence", "word"] = "sentence"
    margin: int = 5
    edge: Literal["valid", "same"] = "valid"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit: want {' or '.join(UNITS)}, got {self.unit!r}")
        if not 0 <= self.margin <= MAX_MARGIN:
            raise ValueError(f"margin: want 0 to {MAX_MARGIN} frames, got {self.margin}")
        if self.edge not in windows.EDGES:
            raise ValueError(f"edge: want {' or '.join(windows.EDGES)}, got {self.edge!r}")


def examples(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """The examples of a split.

    Raises:
      DataError: no such split, an empty one, one without word times where words are wanted, or a label that the
        vocabulary does not have.
    """
    if config.unit == "word":
        found = plan.words(dataset, split, config.margin, config.edge)
    else:
        found = plan.sentences(dataset, split)
    if not len(found):
        raise DataError(f"{dataset.root}: split {split!r} is empty; it has {', '.join(dataset.splits)}")
    _check_labels(dataset, found, config)
    return found


def _check_labels(dataset: DatasetDir, found: Examples, config: DataConfig) -> None:
    """Refuses labels outside the vocabulary before anything is read."""
    index = dataset.index
    if config.unit == "word":
        labels = np.unique(index.word_text[index.word_rows[found.record] + found.word]).tolist()
    else:
        labels = sorted(
            {symbol for text in index.text[found.record].tolist() for symbol in config.vocabulary.split(text)}
        )
    known = set(config.vocabulary.symbols)
    if unknown := [label for label in labels if label not in known]:
        raise DataError(
            f"{dataset.root}: {config.vocabulary.unit} {unknown[0]!r} is not among the {len(known)} of the "
            f"vocabulary ({', '.join(config.vocabulary.symbols)}); use data of the same words or characters"
        )


def steps_per_epoch(dataset: DatasetDir, split: str, table: Examples, order: PlanConfig) -> int:
    """How many batches an epoch has.

    Raises:
      DataError: none: the examples fill no batch, and `order` drops what fills none.
    """
    steps = plan.steps_per_epoch(len(table), order)
    if not steps:
        raise DataError(
            f"{dataset.root}: split {split!r} has {len(table)} examples, which fill no batch; "
            f"batch_size: want at most {len(table)}, got {order.batch_size}"
        )
    return steps


def load(
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    *,
    epoch: int = 0,
    epochs: int = 1,
    step: int = 0,
    layout: str = "frames",
) -> tf.data.Dataset:
    """The batches of `epochs` epochs from `step` of `epoch` on, as an ordinary `tf.data.Dataset`.

    The stream is a function of the arguments alone: what a run of `n` steps has left is `load(…, step=n)`.

    Args:
      dataset: an opened dataset directory.
      split: `train`, `val` or `test`.
      config: what an example is.
      order: how they are ordered and batched.
      epoch: first epoch, which seeds its permutation.
      epochs: how many.
      step: batches to leave out at the start.
      layout: `frames` uint8 [B, F, 112, 112], a nineteenth of the bytes of float windows, for windows made on the
        accelerator by `device.batches`; or `windows` uint8 [B, S, 112, 112, 5], made here.

    Returns:
      Batches with the keys of `schema.BatchKey`, `windows` or `frames` by `layout`.

    Raises:
      DataError: as `examples`; or the split is smaller than a batch, and `order` drops what fills none.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout: want {' or '.join(LAYOUTS)}, got {layout!r}")
    table = examples(dataset, split, config)
    steps_per_epoch(dataset, split, table, order)
    example = _example_reader(dataset, table, config, layout)
    shapes = _element_shapes(layout)

    def one_epoch(number: tf.Tensor) -> tf.data.Dataset:
        planned = tf.numpy_function(
            lambda n: plan.batches(table.frames, order, int(n)), [number], [tf.int64, tf.float32]
        )
        return tf.data.Dataset.from_tensor_slices(tuple(tf.ensure_shape(rows, [None, None]) for rows in planned))

    def one_batch(rows: tf.Tensor, weights: tf.Tensor) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices((rows, weights))
        return rows.map(example).padded_batch(order.batch_size // order.workers, shapes, drop_remainder=True)

    ds = tf.data.Dataset.range(epoch, epoch + epochs).flat_map(one_epoch)
    ds = ds.skip(step)  # a planned batch is a few integers: nothing is read to be skipped
    # Batches are read side by side, yet come in their order.
    ds = ds.interleave(one_batch, cycle_length=4, num_parallel_calls=4, deterministic=True)
    return ds.prefetch(2)


def _example_reader(
    dataset: DatasetDir, table: Examples, config: DataConfig, layout: str
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """The function from a row of `table` and its weight to an element of a batch."""
    paths = tf.constant([str(path) for path in dataset.shards])
    columns = {field.name: tf.constant(getattr(table, field.name)) for field in dataclasses.fields(table)}
    shards, offsets = tf.constant(dataset.index.shard), tf.constant(dataset.index.offset)
    lookup = config.vocabulary.lookup()

    def example(row: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        span = {name: column[row] for name, column in columns.items()}
        record = parse.read(paths[shards[span["record"]]], offsets[span["record"]])
        features = parse.parse(record, dataset.encoding)
        frames = parse.decode_frames(features, span["start"], span["stop"], dataset.encoding)
        text, name = features[Key.TEXT], features[Key.ID]
        if config.unit == "word":
            text = features[Key.WORD_TEXT][span["word"]]
            name = tf.strings.join([name, "#", tf.strings.as_string(span["word"])])
        labels = lookup(text)
        steps = tf.cast(windows.count(tf.shape(frames)[0], config.edge), tf.int32)
        pixels = frames if layout == "frames" else windows.make(frames[None], edge=config.edge)[0]
        return {
            layout: pixels,
            BatchKey.LENGTHS: steps,
            BatchKey.INSIDE: _inside(span, steps, config.edge),
            BatchKey.LABELS: labels,
            BatchKey.LABEL_LENGTHS: tf.size(labels),
            BatchKey.WEIGHTS: weight,
            BatchKey.IDS: name,
        }

    return example


def _inside(span: dict[str, tf.Tensor], steps: tf.Tensor, edge: str) -> tf.Tensor:
    """uint8 [S]: 1 where a window's middle frame belongs to the unit itself."""
    first = span["start"] + (CONTEXT // 2 if edge == "valid" else 0)
    middle = first + tf.range(tf.cast(steps, tf.int64))
    return tf.cast((middle >= span["inside_start"]) & (middle < span["inside_stop"]), tf.uint8)


def _element_shapes(layout: str) -> dict[str, list[int | None]]:
    pixels = [None, CROP, CROP] if layout == BatchKey.FRAMES else [None, CROP, CROP, CONTEXT]
    scalars = (BatchKey.LENGTHS, BatchKey.LABEL_LENGTHS, BatchKey.WEIGHTS, BatchKey.IDS)
    return {layout: pixels, BatchKey.INSIDE: [None], BatchKey.LABELS: [None], **{key: [] for key in scalars}}
