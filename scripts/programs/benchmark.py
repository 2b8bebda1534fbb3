"""Measures Lipflow against baselines, each by a module of `scripts.benchmarks`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from pipeline.records import storage
from pipeline.records.bucket import Url
from pipeline.records.directory import open_dataset
from scripts.benchmarks import (
    convert,
    device,
    encodings,
    layers,
    memory,
    read,
    read_store,
    reuse,
    scale,
    sequence,
    train,
)
from scripts.benchmarks.measure import Measurement, machine, save


def _convert() -> list[Measurement]:
    values, source = flags.FLAGS, storage.local(flags.FLAGS.source)
    return convert.run(source, convert.draw(source, values.clips, values.seed), values.workers, values.rounds)


def _reuse() -> list[Measurement]:
    values, source = flags.FLAGS, storage.local(flags.FLAGS.source)
    return reuse.run(source, convert.draw(source, values.clips, values.seed), values.workers, values.rounds)


def _memory() -> list[Measurement]:
    return memory.run(storage.local(flags.FLAGS.source), flags.FLAGS.rounds)


def _encodings() -> list[Measurement]:
    values, dataset = flags.FLAGS, open_dataset(storage.local(flags.FLAGS.data))
    return encodings.run(dataset, values.clips, values.seed, values.workers, values.rounds)


def _read(batches: list[int]) -> list[Measurement]:
    values, dataset = flags.FLAGS, open_dataset(storage.place(flags.FLAGS.data))
    if isinstance(dataset.root, Url):
        return read_store.run(dataset, batches, values.rounds, values.seconds)
    return read.run(dataset, values.clips, values.seed, values.workers, values.rounds, batches, values.seconds)


def _sequence(batches: list[int], lengths: list[int], paddings: list[float]) -> list[Measurement]:
    values, shapes = flags.FLAGS, (batches, lengths, paddings)
    return sequence.run(values.table, values.width, *shapes, values.rounds, values.precisions, values.variants)


def _layers(batches: list[int], lengths: list[int]) -> list[Measurement]:
    values = flags.FLAGS
    return layers.run(values.table, values.width, batches[0], lengths[0], values.rounds)


def _device(batches: list[int]) -> list[Measurement]:
    values, dataset = flags.FLAGS, open_dataset(storage.local(flags.FLAGS.data))
    return device.run(dataset, values.table, values.width, batches, values.rounds, values.seconds)


def _train(batches: list[int]) -> list[Measurement]:
    values, dataset = flags.FLAGS, open_dataset(storage.local(flags.FLAGS.data))
    return train.run(dataset, values.table, values.width, batches, values.rounds, values.seconds)


def _scale() -> list[Measurement]:
    return scale.run(flags.FLAGS.rows, flags.FLAGS.rounds)


COMMANDS: dict[str, Callable[..., list[Measurement]]] = {
    "convert": _convert,
    "reuse": _reuse,
    "memory": _memory,
    "encodings": _encodings,
    "read": _read,
    "sequence": _sequence,
    "layers": _layers,
    "device": _device,
    "train": _train,
    "scale": _scale,
}


def run(command: str, lists: dict[str, list[Any]], output: Path | None) -> None:
    """Measures what `command` says, with the `lists` of numbers that it takes, and writes --output."""
    before = machine()
    measured = COMMANDS[command](**lists)
    print(f"\n{before['cores']} cores of {before['processor']}; load {before['load']:.1f} at the start")
    if output:
        save(output, before, measured)
