"""Clips of a corpus -> a dataset directory: the job over its shards, which resumes and says what it rejected."""

import contextlib
import dataclasses
import functools
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.conversion import finalize, lock, processes, progress
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import PROGRESS, Outcome, writing
from pipeline.conversion.run_log import Progress, RunLog
from pipeline.conversion.shard import ShardTask, plan_shards, shard_work
from pipeline.corpora.source import ClipSource
from pipeline.records import directory
from pipeline.schema import DataError

CLIP_TIMEOUT_S = 120.0
MAX_REJECT_FRACTION = 0.05
TELLING = 100  # rejects, which show what is wrong: with more than are allowed, the job ends before all is done


def convert(
    sources: Sequence[ClipSource],
    root: Path,
    output: Path,
    config: ConvertConfig,
    *,
    workers: int = 1,
    clip_timeout_s: float = CLIP_TIMEOUT_S,
    max_reject_fraction: float = MAX_REJECT_FRACTION,
    retry_rejected: bool = False,
    flags: dict[str, Any] | None = None,
) -> Iterator[Progress]:
    """Converts `sources`, clips below `root`, into the dataset directory `output`, or goes on where a run ended.

    Yields once at the start and after every clip. The directory is a dataset when the iterator has ended: its manifest
    is written last. The bytes of the dataset depend on the clips and `config` alone, not on `workers` nor on how often
    the job was killed; those of `conversion.json`, which says how the runs went and with which `flags`, do.

    A clip that was rejected stays so when the job goes on, unless `retry_rejected`: then the finished shards of clips
    whose file, disk or machine may have been mended are made once more, each left as it is until its turn has come. A
    run with it that is stopped goes on, with it, where it was.

    Raises:
      DataError: no clips; another conversion is writing there; what is there was begun from other clips or settings;
        the output cannot be written; or more than `max_reject_fraction` of the clips were rejected, which ends the job
        as soon as finished shards have `TELLING` of them (the work done stays, without a manifest).
      pool.WorkerError: workers die whatever they are given.
    """
    tasks = plan_shards(sources, config)  # the clips stay in their listing's file until a worker gets its shard's
    job = lock.job(root, tasks, config)
    if (
        not (output / PROGRESS).is_dir() and (output / directory.MANIFEST).is_file()
    ):  # finished, perhaps read-only since
        lock.check(output, job, tasks)
        yield _finished(output, len(sources))
        return
    with lock.locked(output, job, tasks):
        if (output / directory.MANIFEST).is_file():
            yield _finished(output, len(sources))
        else:
            left, state = survey(tasks, output, config, retry_rejected)
            limits = {"clip_timeout_s": clip_timeout_s, "max_reject_fraction": max_reject_fraction}
            with RunLog(output, {"workers": workers, **limits, **(flags or {})}, state.resumed) as run_log:
                if retry_rejected:
                    _mark(output, [task.file(config.name) for task in left])
                setup = functools.partial(shard_work, root, output, config)
                events = processes.run(
                    left, setup, min(workers, len(left)), clip_timeout_s, output / PROGRESS, DataError
                )
                with contextlib.closing(events):
                    yield from _follow(events, state, run_log, max_reject_fraction)
                with writing(output):
                    finalize.finish(output, tasks, config, max_reject_fraction)
        with writing(output):
            _clear(output)


def _mark(output: Path, files: list[str]) -> None:
    with writing(output):
        for file in files:
            progress.again(output, file).touch()


def _clear(output: Path) -> None:
    """Removes what only an unfinished conversion needs; what tells of crashes stays."""
    if (crashes := output / PROGRESS / processes.CRASHES).is_file():
        crashes.replace(output / processes.CRASHES)
    shutil.rmtree(output / PROGRESS)


def _finished(output: Path, clips: int) -> Progress:
    return Progress(clips, resumed=clips, resumed_rejected=sum(directory.read_manifest(output)["rejected"].values()))


def survey(
    tasks: list[ShardTask], output: Path, config: ConvertConfig, retry_rejected: bool
) -> tuple[list[ShardTask], Progress]:
    """What is left to do, and what earlier runs have done; reads their notes alone.

    With `retry_rejected`, finished shards with clips that may be mended since are left to do too; only those that an
    earlier run with it has not come to, where there are any.
    """
    reasons: dict[str, Counter[str]] = {}
    for task in tasks:
        if shard := progress.read(output, task.file(config.name)):
            reasons[shard.file] = Counter(reject.reason for reject in shard.rejected)
    clips = sum(len(task.sources) for task in tasks)
    if retry_rejected:
        mendable = {file for file, counts in reasons.items() if counts.keys() & finalize.MENDABLE}
        marked = {file for task in tasks if progress.again(output, file := task.file(config.name)).exists()}
        again = mendable & marked if marked else mendable
        reasons = {file: counts for file, counts in reasons.items() if file not in again}
    left = [task for task in tasks if task.file(config.name) not in reasons]
    rejected = sum(counts.total() for counts in reasons.values())
    resumed = clips - sum(len(task.sources) for task in left)
    return left, Progress(clips, resumed=resumed, resumed_rejected=rejected, shards=len(left))


def _follow(events: Iterator[Any], state: Progress, run_log: RunLog, limit: float) -> Iterator[Progress]:
    """What the workers do, until all is done or more than `limit` of the clips are rejected for good."""
    yield state
    settled = state.resumed_rejected
    while not (settled >= TELLING and finalize.too_many(settled, state.clips, limit)):
        event = next(events, None)
        if event is None:
            return
        if isinstance(event, processes.Restarted):
            state = _count(state, event.void, -1)
        elif isinstance(event, processes.Finished):
            state = _count(state, (event,), 1)
            state = dataclasses.replace(state, stage_seconds=state.stage_seconds + event.outcome.stage_seconds)
            yield state
        elif isinstance(event, processes.Done):
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
