"""Opens what an unfinished conversion has made, so that another one can take its crops."""

import json

from pipeline.conversion import progress
from pipeline.conversion.progress import JOB, PROGRESS
from pipeline.corpora.splits import SPLITS
from pipeline.records import directory, provenance, storage
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index
from pipeline.records.storage import Place


def is_unfinished(output: Place) -> bool:
    """Returns whether a conversion into `output` has begun and has no manifest yet."""
    return storage.exists(output / PROGRESS / JOB) and not storage.exists(output / directory.MANIFEST)


def open_unfinished(output: Place) -> tuple[DatasetDir, provenance.Table]:
    """Opens the finished shards of an unfinished conversion; the manifest has its settings and splits alone.

    Returns:
      The shards as a dataset, and what each of its records was made from.
    """
    shards = [shard for shard in progress.read_notes(output, _noted(output)) if shard is not None]
    made_from = provenance.Writer()
    for shard in shards:
        made_from.extend(shard.provenance)
    index = Index.of((SPLITS.index(_split(shard.file)), number, shard.rows) for number, shard in enumerate(shards))
    job = json.loads(storage.read(output / PROGRESS / JOB).decode())
    manifest = {"conversion": job, "splits": dict.fromkeys(SPLITS)}
    return DatasetDir(output, manifest, index, tuple(output / shard.file for shard in shards)), made_from.table()


def _noted(output: Place) -> list[str]:
    """The shards that have a note."""
    files = sorted(storage.names(output / PROGRESS))
    return [file.removesuffix(".json") for file in files if ".tfrecord-" in file and file.endswith(".json")]


def _split(shard: str) -> str:
    return shard.partition(".tfrecord-")[0].rpartition("-")[2]
