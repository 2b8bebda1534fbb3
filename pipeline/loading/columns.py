"""The batches of a stream as columns: all that the graph has to know before it reads."""

import dataclasses
import functools
import itertools
import threading
import weakref

import numpy as np
import tensorflow as tf

from pipeline.loading import augment, labels, mixture, splice, windows
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.examples import Examples, label_texts, select_examples
from pipeline.loading.plan import Batches, Plan
from pipeline.loading.splice import Splicer, Splices
from pipeline.records.directory import DatasetDir
from pipeline.records.strings import StringArray, blocks
from pipeline.schema import FRAME_BYTES, DataError


@dataclasses.dataclass(frozen=True)
class Columns:
    """K batches of at most B rows; the rows behind the first `rows` of a batch are empty.

    Attributes:
      rows: int64 [K], the rows of each batch.
      read_frames, frames: int64 [K], the frames that each part is padded to when it is read, and each row when played.
      record: int64 [K, B, P], row of the index; of P parts that make up a row, one, or two where words are spliced: the
        clip, and what its donor gives.
      shard: int64 [K, B, P], position in the dataset's shards.
      offset: int64 [K, B, P], bytes from the shard's start to the record's header.
      skip, size: int64 [K, B, P], bytes of the payload before those to read, and how many to read: the pixels of the
        span where they are raw, the whole payload otherwise; size 0 where nothing is read.
      start, stop: int64 [K, B, P], the frames to read, `[start, stop)` of the clip; equal where nothing is read.
      word: int64 [K, B], which word of the record; -1 for the whole clip.
      cut_start, cut_stop: int64 [K, B], the frames of what is read of the clip that give way to the donor's.
      played: int64 [K, B], the frames after a change of speed.
      seeds: int64 [K, B, 2], of augmentation.
      lengths: int64 [K, B], the windows.
      in_word: uint8 [K, B, S], 1 for windows whose middle frame is the unit's own.
      labels: int32 [K, B, L], with zeros behind.
      label_lengths: int64 [K, B].
      weights: float32 [K, B].
      ids: bytes [K, B], the clip ids.
    """

    rows: np.ndarray
    read_frames: np.ndarray
    frames: np.ndarray
    record: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    skip: np.ndarray
    size: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    word: np.ndarray
    cut_start: np.ndarray
    cut_stop: np.ndarray
    played: np.ndarray
    seeds: np.ndarray
    lengths: np.ndarray
    in_word: np.ndarray
    labels: np.ndarray
    label_lengths: np.ndarray
    weights: np.ndarray
    ids: np.ndarray

    def packed(self) -> tuple[np.ndarray, ...]:
        """The columns as few arrays, since each costs TensorFlow time: of batches, of parts, of rows, and the rest."""
        numbers = (OF_BATCHES, OF_PARTS, OF_ROWS)
        batches, parts, rows = (np.stack([getattr(self, name) for name in names], axis=-1) for names in numbers)
        rest = (getattr(self, name) for name in REST)
        return batches, parts, np.concatenate([rows, self.seeds], axis=-1), *rest


OF_BATCHES = ("rows", "read_frames", "frames")
OF_PARTS = ("record", "shard", "offset", "skip", "size", "start", "stop")
OF_ROWS = ("word", "cut_start", "cut_stop", "played", "lengths", "label_lengths")
REST = ("in_word", "labels", "weights", "ids")


def packed_spec(rows: int, parts: int) -> tuple[tf.TensorSpec, ...]:
    """What `Columns.packed` holds of one batch of at most `rows` rows, each of so many parts."""
    return (
        tf.TensorSpec([len(OF_BATCHES)], tf.int64),
        tf.TensorSpec([rows, parts, len(OF_PARTS)], tf.int64),
        tf.TensorSpec([rows, len(OF_ROWS) + 2], tf.int64),
        tf.TensorSpec([rows, None], tf.uint8),
        tf.TensorSpec([rows, None], tf.int32),
        tf.TensorSpec([rows], tf.float32),
        tf.TensorSpec([rows], tf.string),
    )


def unpack(of_batches: tf.Tensor, of_parts: tf.Tensor, of_rows: tf.Tensor, *rest: tf.Tensor) -> dict[str, tf.Tensor]:
    """The columns of one batch, by name, as tensors; those of parts `[B * P]`."""
    named = dict(zip(OF_BATCHES, tf.unstack(of_batches), strict=True))
    flat = tf.reshape(of_parts, [-1, len(OF_PARTS)])  # [B, P, n] -> [B * P, n]
    named |= dict(zip(OF_PARTS, tf.unstack(flat, axis=-1), strict=True))
    named |= dict(zip(OF_ROWS, tf.unstack(of_rows[:, : len(OF_ROWS)], axis=-1), strict=True))
    return {**named, "seeds": of_rows[:, len(OF_ROWS) :], **dict(zip(REST, rest, strict=True))}


class Planner:
    """Makes the columns of a stream's batches, which are counted through all epochs from the first of epoch 0.

    Attributes:
      steps: batches of an epoch, the same in every epoch.
      parts: how many a row is made of: 2 where sentences are spliced, else 1.

    Raises:
      DataError: as `select_examples` and `Plan`, or the split fills no batch.
      ValueError: words are to be spliced.
    """

    def __init__(
        self, dataset: DatasetDir, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig
    ) -> None:
        self._dataset, self._examples = dataset, (examples := _selected(dataset, split, config))
        self._raw, self._padding, self._augmented = dataset.encoding.name == "raw", config.padding, augmented
        self._config, self.parts, longest = config, 1, examples.frames
        if augmented.splice:
            if config.unit == "word":
                raise ValueError("splice: goes with unit sentence, got unit word")
            self.parts, longest = 2, splice.longest(examples.frames, config.max_frames)
        longest = augment.max_drawn_frames(longest, config.max_frames, augmented)
        self._plan = Plan(windows.count(longest, config.padding), order, examples.source)
        self.steps = self._plan.steps
        if not self.steps:
            raise DataError(
                f"{dataset.root}: split {split!r} has {len(examples)} examples, too few for one batch; "
                f"batch_size: want at most {len(examples)}, got {order.batch_size}"
            )
        self._encode, self._own_ids = labels.LabelEncoder(config.vocabulary), mixture.own_ids(dataset)
        self._max_frames, self._seed = config.max_frames, order.seed
        self._epochs: dict[int, Batches] = {}  # the last two: where one ends, both are read
        self._lock = threading.Lock()  # several threads ask for an epoch, one plans it

    @functools.cached_property
    def splicer(self) -> Splicer | None:
        """What splices the examples; None if nothing does. Counting steps needs none."""
        if not self._augmented.splice:
            return None
        return Splicer(self._dataset, self._examples, self._config, self._augmented.splice)

    def __call__(self, first: int, stop: int) -> Columns:
        """The columns of the batches `[first, stop)`."""
        epochs = range(first // self.steps, max(first // self.steps, (stop - 1) // self.steps) + 1)
        planned, splices = zip(*(self._slice(epoch, first, stop) for epoch in epochs), strict=True)
        examples, weights, counts, rows, played, seeds = map(np.concatenate, zip(*planned, strict=True))
        spliced = Splices.concatenate(splices)
        where, some = self._where(rows, spliced), self._examples.where(rows)
        border = windows.frame_count(0, self._padding)
        longest = (where["stop"] - where["start"]).max(axis=(1, 2))
        return Columns(
            rows=np.count_nonzero(examples >= 0, axis=1),
            read_frames=longest if self._augmented.speed or self.splicer else counts + border,
            frames=counts + border,
            word=some.word.astype(np.int64),
            cut_start=spliced.cut_start,
            cut_stop=spliced.cut_stop,
            played=played,
            seeds=seeds,
            weights=weights,
            ids=_encoded(self._dataset.index.id[some.record.reshape(-1)]).reshape(rows.shape),
            **where,
            **self._windows(some, spliced.frames, played, counts.max(initial=0)),
            **self._labels(rows, spliced),
        )

    def _epoch(self, epoch: int) -> Batches:
        if epoch not in self._epochs:
            frames = self._examples.frames
            if self._augmented.speed or self.splicer:
                drawn = [self._draw(epoch, np.arange(block.start, block.stop))[0] for block in blocks(len(frames))]
                frames = np.concatenate(drawn)
            batches = self._plan.epoch(epoch, windows.count(frames, self._padding))
            self._epochs = dict([*self._epochs.items()][-1:])
            self._epochs[epoch] = batches
        return self._epochs[epoch]

    def _draw(self, epoch: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, Splices]:
        """What `augment.draw` draws for the examples at `rows`, int64 [N], once they are spliced, and their splices."""
        some = self._examples.where(rows)
        keys = augment.example_keys(self._own_ids[some.record], some.word)
        spliced = splice.none(self._examples, rows)
        if self.splicer:
            spliced = self.splicer.draw(rows, keys, self._seed, epoch)
        limits = spliced.frames, spliced.min_frames, self._max_frames
        return *augment.draw(keys, *limits, self._augmented, self._seed, epoch), spliced

    def _slice(self, epoch: int, first: int, stop: int) -> tuple[tuple[np.ndarray, ...], Splices]:
        """The batches of an epoch in `[first, stop)`: columns of `Batches`, rows without gaps, draws; and splices."""
        with self._lock:
            batches = self._epoch(epoch)
        own = slice(max(first - epoch * self.steps, 0), stop - epoch * self.steps)
        examples = batches.examples[own].astype(np.int64)
        rows = _filled(examples)
        frames, seeds, spliced = self._draw(epoch, rows.reshape(-1))
        drawn = frames.reshape(rows.shape), seeds.reshape(*rows.shape, 2)
        planned = examples, batches.weights[own], batches.windows[own].astype(np.int64), rows, *drawn
        return planned, spliced.reshape(*rows.shape)

    def _where(self, rows: np.ndarray, spliced: Splices) -> dict[str, np.ndarray]:
        """Where the frames of examples, int64 [K, B], lie: columns of parts, [K, B, P]."""
        some = self._examples.where(rows)
        parts = [self._span(some.record, some.start, some.stop)]
        if self.splicer:
            donor = self._examples.where(spliced.donor)
            parts.append(self._span(donor.record, spliced.start, spliced.stop))
        return {
            name: np.stack([part[name] for part in parts], axis=-1).astype(np.int64, copy=False) for name in OF_PARTS
        }

    def _span(self, record: np.ndarray, start: np.ndarray, stop: np.ndarray) -> dict[str, np.ndarray]:
        """Where the frames `[start, stop)` of records, integers [K, B], lie."""
        index, record = self._dataset.index, record.astype(np.int64)
        start, stop = start.astype(np.int64), stop.astype(np.int64)
        skip = index.pixels[record] + start * FRAME_BYTES if self._raw else np.zeros_like(record)
        size = (stop - start) * FRAME_BYTES if self._raw else np.where(start < stop, index.length[record], 0)
        place = {"shard": index.shard[record], "offset": index.offset[record], "skip": skip, "size": size}
        return {"record": record, "start": start, "stop": stop, **place}

    def _windows(self, some: Examples, frames: np.ndarray, played: np.ndarray, total: int) -> dict[str, np.ndarray]:
        """How many windows of `frames` there are, once played, and which of them are the word's; integers [K, B]."""
        lengths, half = windows.count(played, self._padding), windows.frame_count(0, self._padding) // 2

        def window(frame: np.ndarray) -> np.ndarray:
            """The first window whose middle frame is `frame`, or lies behind it, at the speed that is played."""
            return -((frames - 2 * played * frame) // (2 * frames)) - half  # solves `augment.resample`

        places, first = np.arange(total), some.start.astype(np.int64)
        begin, end = window(some.unit_start - first), window(some.unit_stop - first + frames - some.frames)
        end = np.minimum(end, lengths)
        in_word = (begin[..., np.newaxis] <= places) & (places < end[..., np.newaxis])
        return {"lengths": lengths, "in_word": in_word.view(np.uint8)}

    def _labels(self, rows: np.ndarray, spliced: Splices) -> dict[str, np.ndarray]:
        flat = rows.reshape(-1)
        if self.splicer:
            texts = self.splicer.texts(flat, spliced.reshape(-1))
        else:
            texts = label_texts(self._dataset, self._examples.where(flat))
        ids, ends = self._encode(texts)
        lengths = np.diff(ends, prepend=0)
        valid = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
        padded = np.zeros(valid.shape, np.int32)
        padded[valid] = ids
        shape = *rows.shape, valid.shape[1]
        return {"labels": padded.reshape(shape), "label_lengths": lengths.reshape(rows.shape)}


_SELECTED: "weakref.WeakKeyDictionary[DatasetDir, dict[str, tuple[DataConfig, Examples]]]" = weakref.WeakKeyDictionary()


def _selected(dataset: DatasetDir, split: str, config: DataConfig) -> Examples:
    """`select_examples`, whose last result of each split is kept as long as the dataset.

    Counting the steps of an epoch, reading it, and each replica's share of it want the same examples.
    """
    selected = _SELECTED.setdefault(dataset, {})
    if split not in selected or selected[split][0] != config:
        selected[split] = config, select_examples(dataset, split, config)
    return selected[split][1]


def _encoded(strings: StringArray) -> np.ndarray:
    """The UTF-8 of each string, an object array [N] of bytes, as TensorFlow takes it."""
    data, ends = strings.data.tobytes(), strings.ends.tolist()
    encoded = np.empty(len(strings), object)
    encoded[:] = [data[start:end] for start, end in itertools.pairwise([0, *ends])]
    return encoded


def _filled(examples: np.ndarray) -> np.ndarray:
    """int64 [K, B]: examples, with the first of its batch in each empty place, so that nothing else is looked at."""
    return np.where(examples < 0, examples[:, :1], examples)
