"""Feeds a step from the shards in several variants, in turn within one process: seconds a batch of each."""

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from model import batch as fields
from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader, input_keys
from model.train import make_optimizer, make_step
from pipeline.loading import dataset, device
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.loading.windows import of_batch
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.schema import BatchKey
from pipeline.vocab import Vocabulary

Batch = dict[str, tf.Tensor]
WORKS = ("train", "forward")
ALONE, READ, FED, SHIPPED, LATE, LATE_SHIPPED = VARIANTS = ("alone", "input", "fed", "shipped", "late", "late_shipped")
EPOCHS = 10**6
SETTLING = 6  # batches at the start of a turn: what was prefetched meanwhile, and at first tracing


def main(
    data: str, work: str, batch: int, table: str, width: float, seconds: float, turns: int = 5
) -> dict[str, float]:
    """Reads whole clips of the split `train`, epoch after epoch; an item is a clip of the variant `fed`.

    One process serves all variants, since cuDNN chooses its convolutions anew in each process.

    Args:
      data: a dataset directory.
      work: `train`, a step with CTC; or `forward`, the logits.
      batch: clips.
      table: VGG-M's layers.
      width: of VGG-M.
      seconds: of each variant, over all turns.
      turns: each measures every variant once.
    """
    opened = open_dataset(Path(data))
    vocabulary = Vocabulary.of_characters(opened.manifest["vocabulary"]["characters"])
    worked = _work(work, LipReader(LipReaderConfig(len(vocabulary), head="ctc", table=table, width=width)))
    streams = {
        variant: batches(variant, opened, DataConfig(vocabulary), PlanConfig(batch, seed=0)) for variant in VARIANTS
    }
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _, variant in itertools.product(range(turns), VARIANTS):
        times[variant] += turn(streams[variant], _seen if variant == READ else worked, seconds / turns)
    sizes = {f"{variant}_mb": _megabytes(next(streams[variant]), variant) for variant in (FED, SHIPPED)}
    medians = {f"{variant}_s": statistics.median(values) for variant, values in times.items()}
    return {"items": batch * len(times[FED]), "seconds": sum(times[FED]), **medians, **sizes}


def _work(work: str, model: LipReader) -> Callable[[Batch], object]:
    """Returns the work on a batch, whose result comes before the device has ended it."""
    if work == "forward":
        keys = (*input_keys(model.config), fields.WEIGHTS)
        return lambda one: tf.reduce_sum(model.infer(fields.select(one, keys)))
    config = TrainConfig()
    step = make_step(model, make_optimizer(model, config, EPOCHS), config)
    keys = (*input_keys(model.config), fields.LABELS, fields.LABEL_LENGTHS, fields.WEIGHTS)
    return lambda one: step(fields.select(one, keys))


def wait(results: object) -> None:
    """Waits until the device has made tensors."""
    for each in tf.nest.flatten(results):
        np.asarray(each)


def batches(variant: str, data: DatasetDir, config: DataConfig, order: PlanConfig) -> Iterator[Batch]:
    """Batches with windows.

    alone          one batch, on the device, again and again
    input, fed     frames, copied ahead; windows made on the device
    shipped        windows made on the host, copied ahead
    late           frames, copied when they are wanted; windows made on the device
    late_shipped   windows made on the host, copied by the step that wants them
    """
    layout = BatchKey.WINDOWS if variant in (SHIPPED, LATE_SHIPPED) else BatchKey.FRAMES
    ds = dataset.load(data, "train", config, order, epochs=EPOCHS, layout=layout)
    if variant == LATE_SHIPPED:
        return iter(ds)
    if variant == LATE:
        return map(_copied, ds)
    stream = device.batches(ds)
    return itertools.repeat(next(stream)) if variant == ALONE else stream


def _copied(one: Batch) -> Batch:
    name = device.default_device()
    with tf.device(name):
        moved = {key: value if key == BatchKey.IDS else tf.identity(value) for key, value in one.items()}
        return _made(moved, "valid", device.is_host(name))


_made = tf.function(of_batch, reduce_retracing=True, autograph=False)


def turn(stream: Iterator[Batch], worked: Callable[[Batch], object], seconds: float) -> list[float]:
    """The seconds of each batch, its waiting included, once it has settled; five batches at least.

    The result of a batch is waited for when the device has the next one, so that it never waits for Python.
    """
    times: list[float] = []
    given = worked(next(stream))
    settling = SETTLING - 1
    while len(times) < settling + 5 or sum(times[settling:]) < seconds:
        began = time.perf_counter()
        last, given = given, worked(next(stream))
        wait(last)
        times.append(time.perf_counter() - began)
    wait(given)
    return times[settling:]


def _seen(one: Batch) -> tf.Tensor:
    """A number that is there once the windows are made."""
    return one[BatchKey.WINDOWS][0, 0, 0, 0, 0]


def _megabytes(one: Batch, variant: str) -> float:
    """Returns the megabytes of a batch's pixels as they leave the host."""
    rows, steps, *window = one[BatchKey.WINDOWS].shape
    frames = (steps + window[2] - 1) * window[0] * window[1]  # of which the windows were made
    return rows * (frames if variant == FED else steps * window[0] * window[1] * window[2]) / 1e6


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
