"""The batches of a stream as columns: all that the graph has to know before it reads."""

import dataclasses
import functools
import threading

import numpy as np
import tensorflow as tf

from pipeline.loading import augment, mixture, windows
from pipeline.loading.augment import AugmentConfig
from pipeline.loading.examples import DataConfig, encode_labels, select_examples
from pipeline.loading.plan import Plan, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import FRAME_BYTES, DataError


@dataclasses.dataclass(frozen=True)
class Columns:
    """K batches of at most B rows; the rows behind the first `rows` of a batch are empty.

    Attributes:
      rows: int64 [K], the rows of each batch.
      read_frames, frames: int64 [K], the frames that each row is padded to when it is read, and when it is played.
      record: int64 [K, B], row of the index.
      word: int64 [K, B], which word of the record; -1 for the whole clip.
      shard: int64 [K, B], position in the dataset's shards.
      offset: int64 [K, B], bytes from the shard's start to the record's header.
      skip, size: int64 [K, B], bytes of the payload before those to read, and how many to read: the pixels of the span
        where they are raw, the whole payload otherwise; size 0 for a record that is left out.
      start, stop: int64 [K, B], the frames to read, `[start, stop)` of the clip; equal for a record that is left out.
      played: int64 [K, B], the frames after a change of speed.
      seeds: int64 [K, B, 2], of augmentation.
      lengths: int64 [K, B], the windows.
      in_word: uint8 [K, B, S], 1 for windows whose middle frame is the unit's own.
      labels: int32 [K, B, L], with zeros behind.
      label_lengths: int64 [K, B].
      weights: float32 [K, B].
    """

    rows: np.ndarray
    read_frames: np.ndarray
    frames: np.ndarray
    record: np.ndarray
    word: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    skip: np.ndarray
    size: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    played: np.ndarray
    seeds: np.ndarray
    lengths: np.ndarray
    in_word: np.ndarray
    labels: np.ndarray
    label_lengths: np.ndarray
    weights: np.ndarray

    def packed(self) -> tuple[np.ndarray, ...]:
        """The columns as few arrays, since each costs TensorFlow time: of batches, of rows, and the rest."""
        of_batches = np.stack([getattr(self, name) for name in OF_BATCHES], axis=-1)
        of_rows = np.stack([getattr(self, name) for name in OF_ROWS], axis=-1)
        return of_batches, np.concatenate([of_rows, self.seeds], axis=-1), self.in_word, self.labels, self.weights


OF_BATCHES = ("rows", "read_frames", "frames")
OF_ROWS = tuple(
    field.name
    for field in dataclasses.fields(Columns)
    if field.name not in (*OF_BATCHES, "seeds", "in_word", "labels", "weights")
)


def packed_spec(rows: int) -> tuple[tf.TensorSpec, ...]:
    """What `Columns.packed` holds of one batch of at most `rows` rows."""
    return (
        tf.TensorSpec([len(OF_BATCHES)], tf.int64),
        tf.TensorSpec([rows, len(OF_ROWS) + 2], tf.int64),
        tf.TensorSpec([rows, None], tf.uint8),
        tf.TensorSpec([rows, None], tf.int32),
        tf.TensorSpec([rows], tf.float32),
    )


def unpack(of_batches: tf.Tensor, of_rows: tf.Tensor, *rest: tf.Tensor) -> dict[str, tf.Tensor]:
    """The columns of one batch, by name, as tensors."""
    named = dict(zip(OF_BATCHES, tf.unstack(of_batches), strict=True))
    named |= dict(zip(OF_ROWS, tf.unstack(of_rows[:, : len(OF_ROWS)], axis=-1), strict=True))
    return {
        **named,
        "seeds": of_rows[:, len(OF_ROWS) :],
        **dict(zip(("in_word", "labels", "weights"), rest, strict=True)),
    }


class Planner:
    """Makes the columns of a stream's batches, which are counted through all epochs from the first of epoch 0.

    Attributes:
      steps: batches of an epoch, the same in every epoch.

    Raises:
      DataError: as `select_examples` and `Plan`, or the split fills no batch.
    """

    def __init__(
        self, dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig
    ) -> None:
        self._index, self._examples = dataset.index, (examples := select_examples(dataset, split, config))
        self._raw, self._padding, self._speed = dataset.encoding.name == "raw", config.padding, augmented.speed
        longest = augment.max_drawn_frames(examples.frames, config.max_frames, augmented)
        self._plan = Plan(windows.count(longest, config.padding), order, examples.source)
        self.steps = self._plan.steps
        if not self.steps:
            raise DataError(
                f"{dataset.root}: split {split!r} has {len(examples)} examples, too few for one batch; "
                f"batch_size: want at most {len(examples)}, got {order.batch_size}"
            )
        symbols, self._begins = encode_labels(dataset, examples, config.vocabulary)
        self._symbols = np.append(symbols, np.int32(0))
        keys = augment.example_keys(mixture.own_ids(dataset)[examples.record], examples.word)
        limits = examples.frames, examples.min_frames, config.max_frames
        self._draw = functools.partial(augment.draw, keys, *limits, augmented, order.seed)
        self._epochs: dict[int, tuple[np.ndarray, ...]] = {}  # the last two: where one ends, both are read
        self._lock = threading.Lock()  # several threads ask for an epoch, one plans it

    def __call__(self, first: int, stop: int) -> Columns:
        """The columns of the batches `[first, stop)`."""
        epochs = range(first // self.steps, max(first // self.steps, (stop - 1) // self.steps) + 1)
        planned = [self._slice(epoch, first, stop) for epoch in epochs]
        examples, weights, counts, played, seeds = map(np.concatenate, zip(*planned, strict=True))
        rows = _filled(examples)
        where = self._where(rows)
        border = windows.frame_count(0, self._padding)
        longest = (where["stop"] - where["start"]).max(axis=1)
        return Columns(
            rows=np.count_nonzero(examples >= 0, axis=1),
            read_frames=longest if self._speed else counts + border,
            frames=counts + border,
            played=played,
            seeds=seeds,
            weights=weights,
            **where,
            **self._windows(rows, played, counts.max(initial=0)),
            **self._labels(rows),
        )

    def _epoch(self, epoch: int) -> tuple[np.ndarray, ...]:
        if epoch not in self._epochs:
            frames, seeds = self._draw(epoch)
            batches = self._plan.epoch(epoch, windows.count(frames, self._padding))
            self._epochs = dict([*self._epochs.items()][-1:])
            self._epochs[epoch] = batches.examples, batches.weights, batches.windows, frames, seeds
        return self._epochs[epoch]

    def _slice(self, epoch: int, first: int, stop: int) -> tuple[np.ndarray, ...]:
        """The batches of an epoch that lie in `[first, stop)`."""
        with self._lock:
            examples, weights, counts, frames, seeds = self._epoch(epoch)
        own = slice(max(first - epoch * self.steps, 0), stop - epoch * self.steps)
        rows = _filled(examples[own])
        return examples[own], weights[own], counts[own], frames[rows], seeds[rows]

    def _where(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Where the frames of examples, int64 [K, B], lie."""
        examples, index = self._examples, self._index
        record, start, stop = examples.record[rows], examples.start[rows], examples.stop[rows]
        skip = index.pixels[record] + start * FRAME_BYTES if self._raw else np.zeros_like(record)
        size = (stop - start) * FRAME_BYTES if self._raw else index.length[record]
        place = {"shard": index.shard[record], "offset": index.offset[record], "skip": skip, "size": size}
        return {"record": record, "word": examples.word[rows], "start": start, "stop": stop, **place}

    def _windows(self, rows: np.ndarray, played: np.ndarray, total: int) -> dict[str, np.ndarray]:
        """How many windows there are, and which of them are the word's."""
        examples, lengths = self._examples, windows.count(played, self._padding)
        half = windows.frame_count(0, self._padding) // 2

        def window(frame: np.ndarray) -> np.ndarray:
            """The first window whose middle frame is `frame`, or lies behind it, at the speed that is played."""
            own, total = frame[rows] - examples.start[rows], examples.frames[rows]
            return -((total - 2 * played * own) // (2 * total)) - half  # solves `augment.resample`

        places = np.arange(total)
        begin, end = window(examples.unit_start), np.minimum(window(examples.unit_stop), lengths)
        in_word = (begin[..., np.newaxis] <= places) & (places < end[..., np.newaxis])
        return {"lengths": lengths, "in_word": in_word.view(np.uint8)}

    def _labels(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        begins, lengths = self._begins[rows], self._begins[rows + 1] - self._begins[rows]
        places = np.arange(lengths.max(initial=0))
        valid = places < lengths[..., np.newaxis]
        labels = self._symbols[np.where(valid, begins[..., np.newaxis] + places, -1)]  # the last symbol is 0
        return {"labels": labels, "label_lengths": lengths}


def _filled(examples: np.ndarray) -> np.ndarray:
    """int64 [K, B]: examples, with the first of its batch in each empty place, so that nothing else is looked at."""
    return np.where(examples < 0, examples[:, :1], examples)
