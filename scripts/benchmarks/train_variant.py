"""Trains from the shards for some seconds: seconds a step, of which so many wait for data, and the step alone."""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import tensorflow as tf

from model import batch as fields
from model import losses
from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader
from model.train import train
from model.train_step import batch_keys, make_optimizer, make_step
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records.directory import open_dataset
from pipeline.vocab import Vocabulary
from scripts.benchmarks.device_variant import wait
from scripts.common import experiment, training_defaults

BEFORE, NOW = LOOPS = ("before", "now")
UNITS = ("word", "sentence")
SETTLING = 12  # steps at the start: tracing, and batches that were read meanwhile
LEAST = 10  # steps that are measured
KEPT = 4  # batches of the step alone
STEPS = 10**6  # of an epoch, so that no checkpoint is written meanwhile

Batch = dict[str, tf.Tensor]
Step = Callable[[Batch], object]


class Feed:
    """The training batches, which end training when it has lasted long enough.

    Attributes:
      asked: when each batch was asked for, seconds.
      waited: how long each took to come, seconds.
    """

    def __init__(self, batches: Iterable[Batch], seconds: float) -> None:
        self.asked: list[float] = []
        self.waited: list[float] = []
        self.stop = threading.Event()
        self._batches, self._seconds = iter(batches), seconds

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.asked.append(time.perf_counter())
            batch = next(self._batches)
            self.waited.append(time.perf_counter() - self.asked[-1])
            settled = self.asked[SETTLING:]
            if len(settled) > LEAST and settled[-1] - settled[0] > self._seconds:
                self.stop.set()
            yield batch

    def figures(self) -> dict[str, float]:
        """Steps and seconds once it had settled, and the share of them that waited for data."""
        seconds = self.asked[-1] - self.asked[SETTLING]
        return {
            "steps": len(self.asked) - SETTLING - 1,
            "seconds": seconds,
            "waiting": sum(self.waited[SETTLING:-1]) / seconds,
        }


def main(loop: str, data: str, unit: str, batch: int, table: str, width: float, seconds: float) -> dict[str, float]:
    """Trains on the split `train`, epoch after epoch; an item is an example.

    Args:
      loop: `now`, that of `model.train`; or `before`, which waits for the loss of each step and gives CTC its labels as
        a dense tensor.
      data: a dataset directory.
      unit: `word` or `sentence`.
      batch: examples.
      table: VGG-M's layers.
      width: of VGG-M.
      seconds: to measure each, the fed loop and the step alone.

    Returns:
      Milliseconds a step: `step_ms` of the fed loop, `alone_ms` of the step on batches that lie on the device. Shares
      of the loop's time: `computing`, which is their ratio, and `waiting` for data.
    """
    opened = open_dataset(Path(data))
    known = opened.manifest["vocabulary"]
    word = unit == "word"
    vocabulary = Vocabulary.of_words(known["words"]) if word else Vocabulary.of_characters(known["characters"])
    config, head = DataConfig(vocabulary, unit, margin=12), "word" if word else "ctc"
    model = LipReader(LipReaderConfig(len(vocabulary), head=head, table=table, width=width, lstm_units=128))
    how, augmented = TrainConfig(epochs=1, checkpoint_every=STEPS), augmentation(unit)

    def batches(step: int = 0) -> Iterator[Batch]:
        return experiment.batches(opened, "train", config, PlanConfig(batch), augmented, step=step, epochs=None)

    feed = Feed(batches(), seconds)
    step = dense_step(model, how) if loop == BEFORE else make_step(model, make_optimizer(model, how, STEPS), how)
    if loop == BEFORE:
        synchronous(feed, step, batch_keys(model))
    else:
        with tempfile.TemporaryDirectory() as run_dir:
            train(model, how, lambda _: feed, STEPS, run_dir, stop=feed.stop)
    found = feed.figures()
    kept = [fields.select(one, batch_keys(model)) for one in itertools.islice(batches(), KEPT)]
    ms = 1e3 * found["seconds"] / found["steps"]
    alone_ms = 1e3 * alone(step, kept, seconds)
    return {"items": batch * found["steps"], **found, "step_ms": ms, "alone_ms": alone_ms, "computing": alone_ms / ms}


def augmentation(unit: str) -> AugmentConfig:
    """Returns what `scripts.train` does to examples of a unit by default."""
    names = {field.name for field in dataclasses.fields(AugmentConfig)}
    return AugmentConfig(**{name: value for name, value in training_defaults.UNITS[unit].items() if name in names})


def synchronous(feed: Feed, step: Step, keys: tuple[str, ...]) -> None:
    """The loop before: it asks for the loss of a step before it gives the device another one."""
    for one in feed:
        wait(step(fields.select(one, keys)))
        if feed.stop.is_set():
            return


def dense_step(model: LipReader, config: TrainConfig) -> Step:
    """The step before, whose CTC is TensorFlow's scan over dense labels."""
    optimizer, head, variables = make_optimizer(model, config, STEPS), model.config.head, model.trainable_variables

    def learn(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
            rows = dense_ctc(logits, batch) if head == "ctc" else losses.rows(head, logits, batch)
            loss = losses.weighted_mean(rows, batch[fields.WEIGHTS])
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, variables), config.clip_norm)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss, norm

    return tf.function(learn, input_signature=[fields.specs(batch_keys(model))], autograph=False)


def dense_ctc(logits: tf.Tensor, batch: Batch) -> tf.Tensor:
    """The CTC loss of each row, float32 [B], of labels that all have a path."""
    return tf.nn.ctc_loss(
        batch[fields.LABELS],
        logits,
        batch[fields.LABEL_LENGTHS],
        batch[fields.LENGTHS],
        logits_time_major=False,
        blank_index=-1,
    )


def alone(step: Step, batches: list[Batch], seconds: float) -> float:
    """Seconds a step on batches that lie on the device, which has several steps before it is waited for."""
    times: list[float] = []
    wait([step(one) for one in batches])
    while sum(times) < seconds or len(times) < 3:
        began = time.perf_counter()
        wait([step(one) for one in batches])
        times.append(time.perf_counter() - began)
    return statistics.median(times) / len(batches)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
