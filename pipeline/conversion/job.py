"""Converts a corpus into a dataset directory, shard by shard; resumes where it stopped."""

import contextlib
import dataclasses
import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.conversion import finalize, lock, processes, progress
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import PROGRESS, Outcome, Progress, writing
from pipeline.conversion.run_log import RunLog
from pipeline.conversion.shard import ShardTask, plan_shards, shard_work
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, storage
from pipeline.records.bucket import Url
from pipeline.records.storage import Place
from pipeline.schema import DataError

CLIP_TIMEOUT_S = 120.0
MAX_REJECT_FRACTION = 0.05
MIN_REJECTS = 100  # with so many rejects, and more than allowed, the job fails before it has tried all clips


def convert(
    sources: Sequence[ClipSource],
    root: Path,
    output: Place,
    config: ConvertConfig,
    *,
    workers: int = 1,
    origin: Url | None = None,
    clip_timeout_s: float = CLIP_TIMEOUT_S,
    max_reject_fraction: float = MAX_REJECT_FRACTION,
    retry_rejected: bool = False,
    flags: dict[str, Any] | None = None,
) -> Iterator[Progress]:
    """Converts clips into a dataset directory, or continues where an earlier run stopped.

    Yields once at the start and after every clip. The dataset is finished when the iterator ends. Its bytes depend on
    the clips and `config` alone.

    Args:
      sources: clips below `root`.
      root: of the corpus.
      output: the dataset directory.
      config: what decides the bytes.
      workers: processes.
      origin: of the videos, if `root` is a `mirror` of it.
      clip_timeout_s: seconds after which a clip is rejected.
      max_reject_fraction: share of rejected clips above which the job fails. Finished shards are kept.
      retry_rejected: make shards with rejects in `finalize.RETRYABLE` again, each old shard kept until its new one.
      flags: logged in `conversion.json`.

    Raises:
      DataError: no clips, an output of another job or another converter, too many rejects, or a failed write.
      processes.WorkerError: workers die whatever they are given.
    """
    job = lock.Job(root, plan_shards(sources, config), config, origin)
    finished = storage.exists(output / directory.MANIFEST)
    if finished and not storage.is_dir(output / PROGRESS):  # it may be read-only
        lock.check(output, job)
        yield _finished(output, len(sources))
        return
    with lock.locked(output, job) as still_held:
        if storage.exists(output / directory.MANIFEST):
            yield _finished(output, len(sources))
        else:
            limits = {"clip_timeout_s": clip_timeout_s, "max_reject_fraction": max_reject_fraction}
            yield from _run(job, output, workers, retry_rejected, flags or {}, still_held, **limits)
        still_held()
        with writing(output):
            _clear(output)


def _run(
    job: lock.Job,
    output: Place,
    workers: int,
    retry_rejected: bool,
    flags: dict[str, Any],
    still_held: Callable[[], None],
    **limits: float,
) -> Iterator[Progress]:
    """Makes the shards that are not finished, then the manifest."""
    tasks, state = survey(job.tasks, output, job.config, retry_rejected)
    with RunLog(output, {"workers": workers, **limits, **flags}, state.resumed) as run_log:
        if retry_rejected:
            _mark(output, [task.file(job.config.name) for task in tasks])
        setup = functools.partial(shard_work, job.root, job.origin, output, job.config)
        processes_used, logs = min(workers, len(tasks)), storage.local_dir(output / PROGRESS)
        events = processes.run(tasks, setup, processes_used, limits["clip_timeout_s"], logs, DataError)
        with contextlib.closing(events):
            for now in _follow(events, state, run_log, limits["max_reject_fraction"]):
                still_held()
                yield now
        with writing(output):
            finalize.finalize(output, job.tasks, job.config, limits["max_reject_fraction"], still_held)


def _mark(output: Place, files: list[str]) -> None:
    """Marks finished shards that are to be made again, so that a run that is stopped knows them."""
    with writing(output):
        for file in files:
            with storage.replacing(progress.retry_path(output, file)) as temporary:
                temporary.touch()


def _clear(output: Place) -> None:
    """Removes what only an unfinished conversion needs; the log of crashes stays."""
    if (crashes := storage.local_dir(output / PROGRESS) / processes.CRASHES).is_file():
        with storage.replacing(output / processes.CRASHES) as temporary:
            shutil.copyfile(crashes, temporary)
    storage.remove_dir(output / PROGRESS, lock.LOCK)


def _finished(output: Place, clips: int) -> Progress:
    rejected = sum(directory.read_manifest(output)["rejected"].values())
    return Progress(clips, resumed=clips, resumed_rejected=rejected)


def survey(
    tasks: list[ShardTask], output: Place, config: ConvertConfig, retry_rejected: bool
) -> tuple[list[ShardTask], Progress]:
    """Returns the shards to make and the progress of earlier runs, from their notes alone.

    With `retry_rejected`, finished shards with rejects in `finalize.RETRYABLE` are to be made too. If an earlier run
    with it was stopped, these are only the shards that it has not reached.
    """
    reasons: dict[str, Counter[str]] = {}
    for shard in progress.read_notes(output, (task.file(config.name) for task in tasks)):
        if shard:
            reasons[shard.file] = Counter(reject.reason for reject in shard.rejected)
    clips = sum(len(task.sources) for task in tasks)
    if retry_rejected:
        retryable = {file for file, counts in reasons.items() if counts.keys() & finalize.RETRYABLE}
        marked = progress.marked(output)
        again = retryable & marked if marked else retryable
        reasons = {file: counts for file, counts in reasons.items() if file not in again}
    left = [task for task in tasks if task.file(config.name) not in reasons]
    rejected = sum(counts.total() for counts in reasons.values())
    resumed = clips - sum(len(task.sources) for task in left)
    return left, Progress(clips, resumed=resumed, resumed_rejected=rejected, shards=len(left))


def _follow(events: Iterator[Any], state: Progress, run_log: RunLog, limit: float) -> Iterator[Progress]:
    """Follows the workers until all shards are finished, or more than `limit` of the clips are rejected for good."""
    yield state
    settled = state.resumed_rejected
    while not (settled >= MIN_REJECTS and finalize.too_many(settled, state.clips, limit)):
        event = next(events, None)
        if event is None:
            return
        if isinstance(event, processes.Restarted):
            state = _count(state, event.void, -1)
        elif isinstance(event, processes.Finished):
            state = _count(state, (event,), 1)
            state = dataclasses.replace(state, stage_seconds=state.stage_seconds + event.outcome.stage_seconds)
            yield state
        elif isinstance(event, processes.Completed):
            run_log.shard(_outcomes(event.finished), state.stage_seconds)
            settled += sum(outcome.rejected is not None for outcome in _outcomes(event.finished))


def _outcomes(events: Sequence[processes.Finished]) -> list[Outcome]:
    return [event.outcome for event in events]


def _count(state: Progress, events: Sequence[processes.Finished], sign: int) -> Progress:
    outcomes = _outcomes(events)
    rejected = sum(outcome.rejected is not None for outcome in outcomes)
    converted = len(outcomes) - rejected
    return dataclasses.replace(
        state, converted=state.converted + sign * converted, rejected=state.rejected + sign * rejected
    )
