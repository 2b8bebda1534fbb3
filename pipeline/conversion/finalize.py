"""Writes what describes the shards of a conversion, the manifest last."""

import csv
import dataclasses
import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.conversion import progress
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import JOB, PROGRESS, FinishedShard, Rejected
from pipeline.conversion.shard import ShardTask
from pipeline.corpora.splits import SPLITS
from pipeline.records import directory, provenance, storage, tfds_metadata
from pipeline.records.index import Index, Row
from pipeline.records.storage import Place
from pipeline.schema import SCHEMA_VERSION, DataError, Reason

# What a mended file, disk or machine can change: tried again where that is asked for.
RETRYABLE = {
    Reason.UNREADABLE,
    Reason.NO_VIDEO,
    Reason.TRUNCATED,
    Reason.TIMED_OUT,
    Reason.CRASHED,
    Reason.OUT_OF_MEMORY,
    Reason.OUTSIDE_ROOT,
}


def finalize(
    output: Place,
    tasks: list[ShardTask],
    config: ConvertConfig,
    max_reject_fraction: float,
    still_held: Callable[[], None] = lambda: None,
) -> None:
    """Writes `rejected.csv`, the index, the files for tensorflow-datasets and the manifest.

    Calls `still_held`, which may raise an error of its own, before the first and the last of them.

    Raises:
      DataError: too many clips were rejected, or a shard is not finished.
    """
    still_held()
    reasons, left_out = write_rejects(output / directory.REJECTED, output, tasks, config, max_reject_fraction)
    splits = [split for split in SPLITS if any(task.split == split for task in tasks)]
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}

    made_from = provenance.Writer()

    def rows() -> Iterator[tuple[int, int, tuple[Row, ...]]]:
        whole = storage.each(functools.partial(_whole, output), (task.file(config.name) for task in tasks), output)
        for number, (task, (shard, last_crc)) in enumerate(zip(tasks, whole, strict=True)):
            entry = {key: getattr(shard, key) for key in ("file", "records", "bytes", "sha256")}
            entries[task.split].append({**entry, "last_crc": last_crc})
            made_from.extend(shard.provenance)
            yield splits.index(task.split), number, shard.rows

    index = Index.of(rows())
    directory.save_index(output / directory.INDEX, index)
    made_from.write(output / provenance.FILE)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conversion": json.loads(storage.read(output / PROGRESS / JOB).decode()),
        "vocabulary": {"characters": config.characters, "words": sorted({w for t in index.text for w in t.split()})},
        "splits": {split: {"records": sum(e["records"] for e in own), "shards": own} for split, own in entries.items()},
        "rejected": dict(sorted(reasons.items())),
        **({"left_out": dict(sorted(left_out.items()))} if left_out else {}),
        "index": _noted(output, directory.INDEX),
        "provenance": _noted(output, provenance.FILE),
    }
    tfds_metadata.write(output, manifest, index.has_columns)
    still_held()
    storage.write_json(output / directory.MANIFEST, manifest)


def _noted(output: Place, file: str) -> dict[str, str]:
    return {"file": file, "sha256": storage.sha256(output / file)}


def write_rejects(
    table: Place, output: Place, tasks: list[ShardTask], config: ConvertConfig, limit: float
) -> tuple[Counter[str], Counter[str]]:
    """Writes the rejected clips of finished shards, and parts left out of others, to a table.

    Returns:
      The number of rejected clips for each reason, and that of parts left out.

    Raises:
      DataError: they are too many.
    """
    reasons: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    first, whole = None, True
    with storage.replacing(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in dataclasses.fields(Rejected))
        for shard in progress.read_notes(output, (task.file(config.name) for task in tasks)):
            rejected, parts = (shard.rejected, shard.left_out) if shard else ((), ())
            rows.writerows(dataclasses.astuple(reject) for reject in (*rejected, *parts))
            reasons.update(reject.reason for reject in rejected)
            left_out.update(part.reason for part in parts)
            first, whole = first or next(iter(rejected), None), whole and shard is not None
    clips = sum(len(task.sources) for task in tasks)
    if too_many(reasons.total(), clips, limit):
        raise DataError(_too_many(reasons, first, clips, limit, whole, table))
    return reasons, left_out


def _whole(output: Place, shard: str) -> tuple[FinishedShard, str]:
    """A finished shard and the CRC of its last record."""
    return progress.finished_note(output, shard), directory.last_crc(output / shard)


def too_many(rejected: int, clips: int, limit: float) -> bool:
    """Returns whether the job fails: all clips are rejected, or more than the share `limit`."""
    return rejected == clips or rejected / clips > limit


def _too_many(reasons: Counter[str], first: Rejected, clips: int, limit: float, whole: bool, table: Place) -> str:
    """Describes too many rejects; `whole` says that no clip is left to convert."""
    rejected = reasons.total()
    shown = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    head, allowed = f"all {clips} clips rejected", ""
    ways = ["finished shards are kept: convert corrected clips into another --output, and --reuse takes their crops"]
    if reasons.keys() & RETRYABLE:
        ways.append("--retry_rejected tries again what was unreadable, timed out, crashed or out of memory")
    if rejected < clips:
        head = f"{rejected} of {clips} clips rejected{'' if whole else ' already'}"
        allowed = f", more than --max_reject_fraction={limit:g} allows"
        enough = math.ceil(1000 * rejected / clips) / 1000
        ways.append(
            f"--max_reject_fraction={enough:g} accepts the rejects"
            if whole
            else "run again with a higher limit to continue"
        )
    return f"{head} ({shown}){allowed}, such as {first.source}: {first.detail}; see {table}; {'; '.join(ways)}"
