"""Our readers: what a training run is fed."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.loading.dataset import load, portable, steps_per_epoch
from pipeline.records import storage
from pipeline.records.cache import Cache
from pipeline.records.directory import open_dataset
from pipeline.schema import BatchKey
from pipeline.vocab import Vocabulary
from scripts.benchmarks.baselines.consumer import consume

CACHE_BYTES = 10**11


def main(
    data: str, unit: str, layout: str, order: str, reader: str, batch: int, seconds: float, cache: str = ""
) -> dict[str, float]:
    """Reads the split `train`, epoch after epoch.

    Args:
      data: a dataset directory or URL.
      unit: `sentence` or `word`.
      layout: `frames` or `windows`.
      order: `random`, or `stored`, that of the shards.
      reader: `graph`, `direct`, or empty for the usual one; `unchecked` for the usual one in an epoch that checks every
        record, since its shard has changed; `portable` for the dataset without Python.
      batch: examples.
      seconds: to measure.
      cache: directory that keeps the records of a dataset in a store, if any.
    """
    dataset = open_dataset(storage.place(data), Cache(Path(cache), CACHE_BYTES) if cache else None)
    known = dataset.manifest["vocabulary"]
    words = unit == "word"
    vocabulary = Vocabulary.of_words(known["words"]) if words else Vocabulary.of_characters(known["characters"])
    stream = dataset, "train", DataConfig(vocabulary, unit), PlanConfig(batch, shuffle=order == "random")
    named = reader if reader in ("graph", "direct") else None
    batches = (
        portable(*stream, epochs=100, layout=layout).repeat()
        if reader == "portable"
        else load(*stream, epochs=None, layout=layout, reader=named)
    )
    steps = steps_per_epoch(*stream)

    def pixels() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, one in enumerate(batches):
            if reader == "unchecked" and number % steps == 0:
                for shard in dataset.shards:
                    os.utime(shard)
            yield np.asarray(one[layout]), np.asarray(one[BatchKey.LENGTHS])

    return consume(pixels(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # tensorflow-io's file system would abort the process that unloads it
