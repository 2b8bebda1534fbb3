"""Builds the training `tf.data.Dataset`: plan, read, augment, make windows, prefetch.

A stream is a function of the arguments of `load` alone, and a batch a function of its number. So a run that has taken
`n` steps resumes with `load(…, step=n)`, which reads nothing to get there; `position` keeps `n` in a file.

The plan is made in NumPy, some batches ahead. After it every stage is an operation of TensorFlow's, or NumPy that its
threads call: raw frames are read, and windows on the host copied, into memory that is used again.
"""

import dataclasses
import functools
import os
import re
from typing import Literal

import tensorflow as tf

from pipeline.loading import augment, checked_plan, columns, direct_reader, graph_reader, store_reader, windows
from pipeline.loading.checked_plan import CheckedPlan
from pipeline.loading.columns import Planner
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.graph_reader import Reader
from pipeline.records import storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import CONTEXT, CROP, BatchKey, DataError, StorageError

LAYOUTS = (BatchKey.FRAMES, BatchKey.WINDOWS)
CORES = len(os.sched_getaffinity(0))
READERS = {"graph": graph_reader, "direct": direct_reader, "store": store_reader}
Batch = dict[str, tf.Tensor]


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
    reader: Literal["graph", "direct", "store"] | None = None,
    threads: int | None = None,
) -> tf.data.Dataset:
    """Loads the batches of a split, as `spec` describes them.

    The CRC of a record is checked when it is first read through this `dataset`, and again where its shard has changed.

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
      on_bad_record: `raise` an error with shard, offset and reason at a damaged record, or `skip` it: its row keeps its
        place, id and lengths, with frames and weight 0, as do rows spliced from it; the others stay the same. If no
        record of a batch is sound, all its weights are 0.
      skipped: receives the problem of each skipped record once.
      reader: `graph`, `direct` (of raw frames), or `store` (of shards in one); None for the fastest. The batches are
        the same.
      threads: batches read and augmented at once; None for two more than there are cores, or 2 of windows.

    Raises:
      DataError: as `columns.Planner`.
      ValueError: no such layout, policy or reader, `epoch` or `step` below 0, `threads` below 1, or words to splice.
    """
    _check(epoch, step, threads)
    augmented = augmented or AugmentConfig()
    planner = Planner(dataset, split, config, order, augmented)
    plan = CheckedPlan(planner, dataset, on_bad_record, set() if skipped is None else skipped)
    first, stop = epoch * planner.steps + step, None if epochs is None else (epoch + epochs) * planner.steps
    ds = checked_plan.batches(plan, first, stop, order.batch_size // order.workers)
    read, at_once = _reader(dataset, config, reader), _at_once(layout, threads)
    return _laid_out(_read(ds, read, dataset, config, augmented, order, at_once), config, order, layout, host=True)


def portable(
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
    *,
    epoch: int = 0,
    epochs: int = 1,
    step: int = 0,
    layout: str = "frames",
) -> tf.data.Dataset:
    """The same batches as `load`, as a dataset without Python, for the tf.data service or `tf.data.Dataset.save`.

    It holds the plan of all its epochs: 120 bytes an example, 56 more where words are spliced, its id, and 1 more a
    window and 4 a label of the longest one.
    TensorFlow's own reader takes every record whole and checks its CRC each time, so it is slower; a damaged record is
    TensorFlow's DataLossError. Windows take it fifteen times as long; make them where they are used (`device.batches`).

    Args and errors as of `load`.
    """
    augmented = augmented or AugmentConfig()
    planner = Planner(dataset, split, config, order, augmented)
    planned = planner(epoch * planner.steps + step, (epoch + epochs) * planner.steps)
    ds = tf.data.Dataset.from_tensor_slices(planned.packed())
    read = graph_reader.reader(dataset, checks_crc=True)
    ds = _read(ds, read, dataset, config, augmented, order, _at_once(layout, None))
    return _laid_out(ds, config, order, layout, host=False)


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
    return Planner(dataset, split, config, order, augmented or AugmentConfig()).steps


def problem(error: tf.errors.OpError) -> DataError | StorageError | None:
    """What caused a dataset's error: a damaged record, or a store that refuses or does not answer; None for others."""
    found = re.search(r"(DataError|StorageError|Replaced): (.*)", error.message)
    return found and (DataError if found[1] == "DataError" else StorageError)(found[2])


def _reader(dataset: DatasetDir, config: DataConfig, name: str | None) -> Reader:
    """The reader of this name, or the fastest: `scripts.benchmark read` measures them."""
    remote, raw = dataset.is_remote, dataset.encoding.name == "raw"
    fit = ["graph", *["direct"] * (raw and not remote), *["store"] * remote]
    if name not in (None, *fit):
        kind = f"{dataset.encoding.name} frames {'in a store' if remote else 'on a disk'}"
        raise ValueError(f"reader: want {' or '.join(fit)} for {kind}, got {name!r}")
    fastest = fit[-1] if remote or config.unit == "sentence" else "graph"
    return READERS[name or fastest].reader(dataset)


def _check(epoch: int, step: int, threads: int | None) -> None:
    if epoch < 0 or step < 0:
        raise ValueError(f"epoch, step: want 0 or more, got {epoch}, {step}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads: want at least 1, got {threads}")


def _at_once(layout: str, threads: int | None) -> int:
    """Batches that are read at once. Windows take five times the memory of frames."""
    if threads is not None:
        return threads
    return CORES + 2 if layout == BatchKey.FRAMES else 2


def _read(
    ds: tf.data.Dataset,
    read: Reader,
    dataset: DatasetDir,
    config: DataConfig,
    augmented: AugmentConfig,
    order: PlanConfig,
    at_once: int,
) -> tf.data.Dataset:
    """Packed columns -> batches of frames."""
    varies = order.max_windows_per_batch is not None

    @tf.autograph.experimental.do_not_convert
    def batch(of_batches: tf.Tensor, *of_rows: tf.Tensor) -> Batch:
        if varies:
            of_rows = tuple(each[: of_batches[0]] for each in of_rows)
        planned = columns.unpack(of_batches, *of_rows)
        found = {BatchKey.FRAMES: _frames(planned, read, augmented), **_labels(planned, config)}
        return _ensure_shapes(found, spec(order))

    # Read and augment in one map: another parallel map would hold as many batches again.
    ds = ds.map(batch, num_parallel_calls=at_once, deterministic=True)
    return ds.with_options(_options(dataset.is_remote))


def _options(is_remote: bool) -> tf.data.Options:
    options = tf.data.Options()
    # There is nothing to tune, and the tuner's thread may sleep for up to a minute while a dropped stream waits for it,
    # and all of Python with it.
    options.autotune.enabled = False
    if is_remote:  # whose reads block a thread of the pool each
        options.threading.private_threadpool_size = storage.REQUESTS
    return options


def _laid_out(ds: tf.data.Dataset, config: DataConfig, order: PlanConfig, layout: str, host: bool) -> tf.data.Dataset:
    """Batches of frames -> batches as `spec` describes them, prefetched: the next are made during a training step."""
    if layout == BatchKey.FRAMES:
        return ds.prefetch(2)
    expected = spec(order, layout)  # windows come last: they take five times the memory of frames
    ds = ds.map(lambda frames: _ensure_shapes(windows.of_batch(frames, config.padding, host=host), expected))
    return ds.prefetch(1)


def _frames(planned: dict[str, tf.Tensor], read: Reader, augmented: AugmentConfig) -> tf.Tensor:
    """uint8 [B, F, 112, 112]."""
    frames, played, lengths = read(planned), planned["played"], planned["stop"] - planned["start"]
    kept = planned["size"] > 0
    if augmented.splice:
        frames = _spliced(frames, lengths, planned)
        kept = kept[::2]
    elif augmented.speed:
        frames = augment.play(frames, lengths, played, planned["frames"])
    if dataclasses.replace(augmented, speed=0.0, splice=0.0) != AugmentConfig():
        frames = augment.apply_to_batch(frames, played, planned["seeds"], augmented)
        # What is left out stays black.
        frames = tf.where(kept[:, tf.newaxis, tf.newaxis, tf.newaxis], frames, tf.zeros([], tf.uint8))
    return frames


def _spliced(frames: tf.Tensor, lengths: tf.Tensor, planned: dict[str, tf.Tensor]) -> tf.Tensor:
    """Clips and what their donors give, uint8 `[2B, F, 112, 112]`, int64 `[2B]` -> as they are played, `[B, F', …]`."""
    both = tf.reshape(frames, [-1, 2 * tf.shape(frames)[1], CROP, CROP])  # [2B, F, …] -> [B, 2F, …]
    clip, donor, cut = lengths[::2], lengths[1::2], (planned["cut_start"], planned["cut_stop"])
    place = functools.partial(
        augment.spliced, cut_start=cut[0], cut_stop=cut[1], count=donor, own=planned["read_frames"]
    )
    return augment.play(both, clip - cut[1] + cut[0] + donor, planned["played"], planned["frames"], place)


def _labels(planned: dict[str, tf.Tensor], config: DataConfig) -> Batch:
    """All of a batch but its frames."""
    names = planned["ids"]
    if config.unit == "word":
        names = tf.strings.join([names, tf.strings.as_string(planned["word"])], "#")
    total = windows.count(planned["frames"], config.padding)
    lengths = tf.cast(planned["label_lengths"], tf.int32)
    return {
        BatchKey.LENGTHS: tf.cast(planned["lengths"], tf.int32),
        BatchKey.IN_WORD: planned["in_word"][:, :total],
        BatchKey.LABELS: planned["labels"][:, : tf.reduce_max(lengths)],
        BatchKey.LABEL_LENGTHS: lengths,
        BatchKey.WEIGHTS: planned["weights"],
        BatchKey.IDS: names,
    }


def _ensure_shapes(batch: Batch, expected: dict[str, tf.TensorSpec]) -> Batch:
    return {key: tf.ensure_shape(batch[key], want.shape) for key, want in expected.items()}
