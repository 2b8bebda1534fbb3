"""Clips of a corpus -> a dataset directory: the job over its shards, which resumes and says what it rejected."""

import contextlib
import csv
import dataclasses
import fcntl
import functools
import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import pool, shards, tfds_files
from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SPLITS
from pipeline.schema import SCHEMA_VERSION, DataError, Word
from pipeline.unit import PROGRESS, ConvertConfig, Rejected, ShardTask, done_file, plan_shards, shard_work

JOB = "job.json"
CLIP_TIMEOUT_S = 120.0
MAX_REJECT_FRACTION = 0.05


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a conversion is.

    Attributes:
      clips: of the whole job.
      resumed: clips of shards that an earlier run has finished.
      converted, rejected: clips of this run.
    """

    clips: int
    resumed: int
    converted: int = 0
    rejected: int = 0


def convert(
    sources: Sequence[ClipSource],
    root: Path,
    output: Path,
    config: ConvertConfig,
    *,
    workers: int = 1,
    clip_timeout_s: float = CLIP_TIMEOUT_S,
    max_reject_fraction: float = MAX_REJECT_FRACTION,
) -> Iterator[Progress]:
    """Converts `sources`, clips below `root`, into the dataset directory `output`, or goes on where a run ended.

    Yields once at the start and after every clip. The directory is a dataset when the iterator has ended: its manifest
    is written last. The bytes of the dataset depend on the clips and `config` alone, not on `workers` nor on how often
    the job was killed.

    Raises:
      DataError: no clips; another conversion is writing there; what is there was begun from other clips or settings;
        or more than `max_reject_fraction` of the clips were rejected (the work done stays, without a manifest).
      pool.WorkerError: workers die before they begin.
    """
    if not sources:
        raise DataError(f"{root}: the corpus has no clips, nothing to convert")
    tasks = plan_shards(sources, config)
    with _claimed(output, _job(root, tasks, config)):
        if (output / shards.MANIFEST).is_file():
            yield Progress(len(sources), resumed=len(sources))
        else:
            yield from _convert_shards(tasks, root, output, config, workers, clip_timeout_s)
            _finish(output, tasks, config, max_reject_fraction)
        _clean(output)


def _convert_shards(
    tasks: list[ShardTask], root: Path, output: Path, config: ConvertConfig, workers: int, timeout_s: float
) -> Iterator[Progress]:
    left = [task for task in tasks if not done_file(output, task.file(config.name)).is_file()]
    clips, remaining = (sum(len(task.sources) for task in some) for some in (tasks, left))
    state = Progress(clips, resumed=clips - remaining)
    yield state
    setup = functools.partial(shard_work, root, output, config)
    for event in pool.run(left, setup, min(workers, len(left)), timeout_s):
        if isinstance(event, pool.Restarted):
            state = _count(state, event.void, -1)
        elif isinstance(event, pool.Finished):
            state = _count(state, (event,), 1)
            yield state


def _count(state: Progress, events: Sequence[pool.Finished], sign: int) -> Progress:
    rejected = sum(event.outcome is not None for event in events)
    converted = len(events) - rejected
    return dataclasses.replace(
        state, converted=state.converted + sign * converted, rejected=state.rejected + sign * rejected
    )


def _job(root: Path, tasks: list[ShardTask], config: ConvertConfig) -> dict[str, Any]:
    """What must be the same for one run to go on with the work of another: the settings, and the clips in place."""
    clips = [
        (
            task.file(config.name),
            source.video.relative_to(root).as_posix(),
            dataclasses.replace(source, video=Path()),
        )
        for task in tasks
        for source in task.sources
    ]
    job = {"clips": len(clips), "clips_sha256": hashlib.sha256(repr(clips).encode()).hexdigest()}
    return json.loads(json.dumps({**dataclasses.asdict(config), **job}))


@contextlib.contextmanager
def _claimed(output: Path, job: dict[str, Any]) -> Iterator[None]:
    """Holds the output against a second converter, and against another job than the one begun there."""
    progress = output / PROGRESS
    manifest = output / shards.MANIFEST
    if output.exists() and not output.is_dir():
        raise DataError(f"{output}: is a file; --output wants a directory")
    if output.is_dir() and any(output.iterdir()) and not progress.is_dir() and not manifest.is_file():
        raise DataError(f"{output}: holds something else than a conversion; name a new directory with --output")
    if manifest.is_file():
        _check_same_job(output, shards.read_manifest(output)["conversion"], job)
    progress.mkdir(parents=True, exist_ok=True)
    with (progress / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{output}: another conversion is writing there; wait, or name another --output") from error
        if (progress / JOB).is_file():
            _check_same_job(output, json.loads((progress / JOB).read_text(encoding="utf-8")), job)
        else:
            shards.write_json(progress / JOB, job)
        yield


def _check_same_job(output: Path, begun: dict[str, Any], job: dict[str, Any]) -> None:
    if differing := [key for key in job if begun.get(key) != job[key]]:
        differing = [key for key in differing if key != "clips_sha256"] or ["clips_sha256"]  # last resort: not to read
        shown = ", ".join(f"{key} was {begun.get(key)}, is {job[key]}" for key in differing)
        raise DataError(f"{output}: holds a conversion of other clips or settings ({shown}); use another --output")


def _finish(output: Path, tasks: list[ShardTask], config: ConvertConfig, max_reject_fraction: float) -> None:
    """Writes what describes the shards, the manifest last."""
    done = [json.loads(done_file(output, task.file(config.name)).read_text(encoding="utf-8")) for task in tasks]
    rejected = [Rejected(**reject) for shard in done for reject in shard["rejected"]]
    _write_rejected(output / shards.REJECTED, rejected)
    _check_rejects(output, rejected, sum(len(task.sources) for task in tasks), max_reject_fraction)
    splits = [split for split in SPLITS if any(task.split == split for task in tasks)]
    rows = [
        (splits.index(task.split), number, [_row(row) for row in shard["rows"]])
        for number, (task, shard) in enumerate(zip(tasks, done, strict=True))
    ]
    index = shards.Index.of(rows)
    shards.save_index(output / shards.INDEX, index)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conversion": json.loads((output / PROGRESS / JOB).read_text(encoding="utf-8")),
        "vocabulary": {"characters": config.alphabet, "words": sorted(set(" ".join(index.text).split()))},
        "splits": {split: _split(split, tasks, done) for split in splits},
        "rejected": dict(sorted(Counter(reject.reason for reject in rejected).items())),
        "index": {"file": shards.INDEX, "sha256": shards.sha256(output / shards.INDEX)},
    }
    tfds_files.write(output, manifest)
    shards.write_json(output / shards.MANIFEST, manifest)


def _split(split: str, tasks: list[ShardTask], done: list[dict[str, Any]]) -> dict[str, Any]:
    own = [shard for task, shard in zip(tasks, done, strict=True) if task.split == split]
    keys = ("file", "records", "bytes", "sha256")
    return {"records": sum(s["records"] for s in own), "shards": [{key: s[key] for key in keys} for s in own]}


def _row(row: dict[str, Any]) -> shards.Row:
    return shards.Row(**{**row, "words": tuple(Word(**word) for word in row["words"])})


def _write_rejected(path: Path, rejected: list[Rejected]) -> None:
    with shards.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in dataclasses.fields(Rejected))
        rows.writerows(dataclasses.astuple(reject) for reject in rejected)


def _check_rejects(output: Path, rejected: list[Rejected], clips: int, limit: float) -> None:
    reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(r.reason for r in rejected).most_common())
    listed = f"see {output / shards.REJECTED}"
    if len(rejected) == clips:
        first = rejected[0]
        raise DataError(f"all {clips} clips rejected ({reasons}), such as {first.source}: {first.detail}; {listed}")
    if len(rejected) > limit * clips:
        enough = math.ceil(1000 * len(rejected) / clips) / 1000
        raise DataError(
            f"{len(rejected)} of {clips} clips rejected ({reasons}), more than --max_reject_fraction={limit:g} allows; "
            f"{listed}; to accept them, run again with --max_reject_fraction={enough:g}: "
            "what is converted is kept"
        )


def _clean(output: Path) -> None:
    """Removes what only an unfinished conversion needs, an earlier run's temporary files too."""
    for leftover in output.glob(".*.tmp"):
        leftover.unlink()
    shutil.rmtree(output / PROGRESS)
