"""The end of a conversion: what describes the shards, gathered from one at a time, the manifest last."""

import csv
import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import done, shards, tfds_files
from pipeline.claim import JOB
from pipeline.corpora.splits import SPLITS
from pipeline.done import PROGRESS, Rejected, ShardDone
from pipeline.schema import SCHEMA_VERSION, DataError, Reason
from pipeline.unit import ConvertConfig, ShardTask

# What a mended file, disk or machine can change: tried again where it has failed the job.
MENDABLE = {Reason.UNREADABLE, Reason.NO_VIDEO, Reason.TRUNCATED, Reason.TIMED_OUT, Reason.CRASHED, Reason.OUTSIDE_ROOT}


def finish(output: Path, tasks: list[ShardTask], config: ConvertConfig, max_reject_fraction: float) -> None:
    """Writes `rejected.csv`, the index, the files of tensorflow-datasets and the manifest.

    Raises:
      DataError: too many clips were rejected, or a shard is gone.
    """
    splits = [split for split in SPLITS if any(task.split == split for task in tasks)]
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    parts: list[shards.Index] = []
    reasons: Counter[str] = Counter()
    first = None
    with (
        shards.replacing(output / shards.REJECTED) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(field.name for field in dataclasses.fields(Rejected))
        for number, task in enumerate(tasks):
            shard = _whole(output, task.file(config.name))
            table.writerows(dataclasses.astuple(reject) for reject in shard.rejected)
            reasons.update(reject.reason for reject in shard.rejected)
            first = first or next(iter(shard.rejected), None)
            parts.append(shards.Index.of([(splits.index(task.split), number, list(shard.rows))]))
            entry = {key: getattr(shard, key) for key in ("file", "records", "bytes", "sha256")}
            entries[task.split].append({**entry, "last_crc": shards.last_crc(output / shard.file)})
    _check_rejects(output, reasons, first, sum(len(task.sources) for task in tasks), max_reject_fraction)
    index = joined(parts)
    shards.save_index(output / shards.INDEX, index)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conversion": json.loads((output / PROGRESS / JOB).read_text(encoding="utf-8")),
        "vocabulary": {"characters": config.alphabet, "words": sorted({w for t in index.text for w in t.split()})},
        "splits": {split: {"records": sum(e["records"] for e in own), "shards": own} for split, own in entries.items()},
        "rejected": dict(sorted(reasons.items())),
        "index": {"file": shards.INDEX, "sha256": shards.sha256(output / shards.INDEX)},
    }
    tfds_files.write(output, manifest)
    shards.write_json(output / shards.MANIFEST, manifest)


def _whole(output: Path, shard: str) -> ShardDone:
    found = done.read(output, shard)
    if found is None:
        raise DataError(f"{output / shard}: gone or changed since it was written; run the same command again")
    return found


def joined(parts: list[shards.Index]) -> shards.Index:
    """The index of all shards from those of each, one at least."""
    names = [field.name for field in dataclasses.fields(shards.Index) if field.name != "word_rows"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    words = [np.diff(part.word_rows) for part in parts]
    return shards.Index(**columns, word_rows=np.cumsum(np.concatenate([[0], *words]), dtype=np.int64))


def too_many(rejected: int, clips: int, limit: float) -> bool:
    """Whether so many rejects fail the job: all of the clips, or more than `limit` of them."""
    return rejected == clips or rejected / clips > limit


def _check_rejects(output: Path, reasons: Counter[str], first: Rejected | None, clips: int, limit: float) -> None:
    rejected = reasons.total()
    if not too_many(rejected, clips, limit):
        return
    shown = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    ways = ["what is converted is kept"]
    if reasons.keys() & MENDABLE:
        ways.append("the same command tries again what could not be read, timed out or crashed")
    if rejected < clips:
        enough = math.ceil(1000 * rejected / clips) / 1000
        ways.append(f"--max_reject_fraction={enough:g} accepts the rejects")
    head = f"all {clips}" if rejected == clips else f"{rejected} of {clips}"
    allowed = "" if rejected == clips else f", more than --max_reject_fraction={limit:g} allows"
    example = f"such as {first.source}: {first.detail}; see {output / shards.REJECTED}"
    raise DataError(f"{head} clips rejected ({shown}){allowed}, {example}; {'; '.join(ways)}")
