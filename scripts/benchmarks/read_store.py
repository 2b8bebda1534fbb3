"""Reading a dataset in a store against s3fs: clips and words a second from the same spans."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.loading.columns import Planner
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.dataset import load
from pipeline.records.cache import Cache
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.records.tfrecord import HEADER_BYTES
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.benchmarks import measure
from scripts.benchmarks.measure import Candidate, Measurement
from scripts.common.bars import bar

PLANNED = 400  # batches that the baselines repeat
CACHE, CACHE_BYTES = "cache", 10**11
COLUMNS = {"windows_rate": "windows/s", "cpu_ms": "CPU ms an example", "delivered_mb": "MB in the batch"}
OURS = {  # name -> unit, reader
    "lipflow": ("sentence", ""),
    "lipflow, cache_dir": ("sentence", ""),
    "lipflow, graph": ("sentence", "graph"),
    "lipflow, words": ("word", ""),
    "lipflow, words, cache_dir": ("word", ""),
    "lipflow, words, graph": ("word", "graph"),
}
BASELINES = {  # name -> unit, requests at once
    "s3fs.cat_ranges": ("sentence", 32),
    "s3fs, one request at a time": ("sentence", 1),
    "s3fs.cat_ranges, words": ("word", 32),
}


def run(dataset: DatasetDir, batches: Sequence[int], rounds: int, seconds: float) -> list[Measurement]:
    """Measures all on the split `train`, prints a table for each batch size, and returns every measurement.

    Raises:
      DataError: the frames are not raw, or do not fill a batch.
    """
    if dataset.encoding.name != "raw":
        raise DataError(f"{dataset.root}: holds {dataset.encoding.name} frames; s3fs is compared on raw ones")
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        _fill(dataset, Path(scratch) / CACHE)
        for batch in batches:
            variants = _variants(dataset, Path(scratch), {"batch": batch, "seconds": seconds})
            found = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
            print(f"\n{measure.table(found, f's3fs.cat_ranges, batch {batch}', 'examples', COLUMNS)}")
            measured += [Measurement(one.candidate, {**one.figures, "batch": batch}) for one in found]
    return measured


def _fill(dataset: DatasetDir, directory: Path) -> None:
    """Keeps every record of the split, so that the variants with a cache are measured as a later run finds it."""
    cached = open_dataset(dataset.root, Cache(directory, CACHE_BYTES))
    config = DataConfig(Vocabulary.of_characters(dataset.manifest["vocabulary"]["characters"]), "sentence")
    for _ in bar(load(cached, "train", config, PlanConfig(1)), desc="filling the cache", leave=False):
        pass


def _variants(dataset: DatasetDir, scratch: Path, usual: dict[str, Any]) -> list[Candidate]:
    variants = []
    for name, (unit, reader) in OURS.items():
        cache = str(scratch / CACHE) if "cache_dir" in name else ""
        how = {"data": str(dataset.root), "unit": unit, "layout": "frames", "order": "random", "reader": reader}
        argument = {**how, "cache": cache, **usual}
        variants.append(measure.variant(f"{name}, batch {usual['batch']}", "scripts.benchmarks.read_variant", argument))
    for name, (unit, requests) in BASELINES.items():
        spans = scratch / f"{unit}-{usual['batch']}.json"
        if not spans.exists():
            spans.write_text(json.dumps(_spans(dataset, unit, usual["batch"])))
        argument = {"spans": str(spans), "requests": requests, "seconds": usual["seconds"]}
        variants.append(measure.in_tensorflow("s3fs", f"{name}, batch {usual['batch']}", argument))
    return variants


def _spans(dataset: DatasetDir, unit: str, batch: int) -> list[dict[str, Any]]:
    """Of each batch, the frames that its rows are padded to, and shard, first byte and end of each row."""
    known = dataset.manifest["vocabulary"]
    words = Vocabulary.of_words(known["words"])
    vocabulary = words if unit == "word" else Vocabulary.of_characters(known["characters"])
    planner = Planner(dataset, "train", DataConfig(vocabulary, unit), PlanConfig(batch), AugmentConfig())
    planned = planner(0, PLANNED)
    names = ("shard", "offset", "skip", "size")
    shard, offset, skip, size = (getattr(planned, name)[..., 0] for name in names)  # [K, B, 1] -> [K, B]
    first = offset + HEADER_BYTES + skip
    columns = planned.frames, shard, first, first + size
    objects = [str(shard).partition("://")[2] for shard in dataset.shards]
    return [
        {"frames": int(frames), "paths": [objects[n] for n in shard], "starts": start.tolist(), "ends": end.tolist()}
        for frames, shard, start, end in zip(*map(np.asarray, columns), strict=True)
    ]
