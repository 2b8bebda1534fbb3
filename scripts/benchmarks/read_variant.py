"""Our reader: what a training run is fed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.loading.dataset import load
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig
from pipeline.loading.plan import PlanConfig
from pipeline.records.directory import open_dataset
from pipeline.schema import BatchKey
from pipeline.vocab import Vocabulary
from scripts.benchmarks.baselines.consumer import consume

EPOCHS = 10**6


def main(
    data: str, unit: str, layout: str, order: str, cache_gb: float, batch: int, seconds: float
) -> dict[str, float]:
    """Reads the split `train`, epoch after epoch.

    Args:
      data: a dataset directory.
      unit: `sentence` or `word`.
      layout: `frames` or `windows`.
      order: `random`, or `stored`, that of the shards.
      cache_gb: memory for decoded frames.
      batch: examples.
      seconds: to measure.
    """
    dataset = open_dataset(Path(data))
    known = dataset.manifest["vocabulary"]
    words = unit == "word"
    vocabulary = Vocabulary.of_words(known["words"]) if words else Vocabulary.of_characters(known["characters"])
    plan, reader = PlanConfig(batch, shuffle=order == "random"), Reader(dataset, int(cache_gb * 1e9))
    batches = load(dataset, "train", DataConfig(vocabulary, unit), plan, epochs=EPOCHS, layout=layout, reader=reader)

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for one in batches:
            yield np.asarray(one[layout]), np.asarray(one[BatchKey.LENGTHS])

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
