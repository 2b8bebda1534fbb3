"""Converts a corpus into a dataset directory, shard by shard; resumes where it stopped."""

import contextlib
import dataclasses
import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.conversion import array, finalize, lock, pieces, processes, progress, run_log
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.config import CLIP_TIMEOUT_S, MAX_REJECT_FRACTION, ConvertConfig
from pipeline.conversion.processes import CRASHES
from pipeline.conversion.progress import PROGRESS, Outcome, Progress, writing
from pipeline.conversion.run_log import RunLog
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, storage
from pipeline.records.bucket import Url
from pipeline.records.storage import Place
from pipeline.schema import BusyError, DataError

LAST_TASKS_S = 120.0  # for other tasks to end, once all their shards are finished
Engine = Callable[..., Iterator[processes.Event]]  # arguments as of `pieces.run` but for `workers`
MIN_REJECTS = 100  # with so many rejects, and more than allowed, the job fails before it has tried all clips


def convert(
    sources: Sequence[ClipSource],
    root: str | Path,
    output: str | Place,
    config: ConvertConfig,
    *,
    workers: int = 1,
    origin: Url | None = None,
    clip_timeout_s: float = CLIP_TIMEOUT_S,
    max_reject_fraction: float = MAX_REJECT_FRACTION,
    retry_rejected: bool = False,
    flags: dict[str, Any] | None = None,
    engine: Engine | None = None,
    part: Part = WHOLE,
    reuse: Place | None = None,
) -> Iterator[Progress]:
    """Converts clips into a dataset directory, or continues where an earlier run stopped; yields after every clip.

    Args:
      sources: clips below `root`.
      root: of the corpus.
      output: the dataset directory.
      config: what decides the bytes, beside the clips.
      workers: processes.
      origin: of the videos, if `root` is a mirror of it.
      clip_timeout_s: seconds after which a clip is rejected.
      max_reject_fraction: share of rejected clips above which the job fails. Finished shards are kept.
      retry_rejected: make shards with rejects in `finalize.RETRYABLE` again, each old shard kept until its new one.
      flags: logged in `conversion.json`.
      engine: runs the shards in place of `workers`.
      part: what this call makes, while others make the rest.
      reuse: a finished dataset whose crops are taken where video and span are the same; it changes no byte.

    Raises:
      BusyError: another converter is at work there.
      DataError: no clips, an output of another job, too many rejects, or a failed write.
      WorkerError: workers die whatever they are given.
    """
    output, root = storage.place(output), storage.local(root)
    job = lock.Job(root, plan_shards(sources, config), config, origin, reuse)
    if _is_finished(job, output):
        yield _finished(output, len(sources))
        return
    how = {"clip_timeout_s": clip_timeout_s, "max_reject_fraction": max_reject_fraction}
    with lock.locked(output, job, part) as held:
        if storage.exists(output / directory.MANIFEST):
            yield _finished(output, len(sources))
        else:
            yield from _run(job, part, output, engine or _pool(workers, job), how, flags or {}, retry_rejected, held)
        _end(job, part, output, max_reject_fraction, held)


def _pool(workers: int, job: lock.Job) -> Engine:
    return functools.partial(pieces.run, workers=workers, cut=job.reuse is None)


def _end(job: lock.Job, part: Part, output: Place, limit: float, still_held: Callable[[], None]) -> None:
    """Finishes the dataset if all of it is made, and no other task is doing so."""
    still_held()
    if part.is_whole:
        _finalize(job, output, limit, still_held)
    elif not unfinished(job, output, part.tasks):
        with contextlib.suppress(BusyError), lock.left_alone(output, part, LAST_TASKS_S) as still_held:
            _finalize(job, output, limit, still_held)


def finalize_tasks(
    sources: Sequence[ClipSource],
    root: str | Path,
    output: str | Place,
    config: ConvertConfig,
    tasks: int,
    max_reject_fraction: float = MAX_REJECT_FRACTION,
) -> None:
    """Finalizes a dataset whose shards were made by so many `tasks`; arguments as of `convert`.

    Raises:
      DataError: a shard is not finished, or as `convert`.
    """
    output, job = storage.place(output), lock.Job(storage.local(root), plan_shards(sources, config), config)
    if _is_finished(job, output):
        return
    if left := unfinished(job, output, tasks):
        numbers = ",".join(str(task) for task in left)
        raise DataError(f"{output}: shards are missing, those of --task={numbers} of --tasks={tasks}; run these again")
    with lock.locked(output, job) as still_held:
        _finalize(job, output, max_reject_fraction, still_held)


def _is_finished(job: lock.Job, output: Place) -> bool:
    """Returns whether nothing is left to do, not even to clear, so that the output may be read-only."""
    lock.check(output, job)
    return storage.exists(output / directory.MANIFEST) and not storage.is_dir(output / PROGRESS)


def unfinished(job: lock.Job, output: Place, tasks: int) -> list[int]:
    """Returns the numbers of those of so many tasks that have not finished their shards."""
    if storage.exists(output / directory.MANIFEST):
        return []
    noted = set(storage.names(output / PROGRESS))
    files = (progress.note_path(output, task.file(job.config.name)).name for task in job.tasks)
    return sorted({number % tasks for number, file in enumerate(files) if file not in noted})


def _finalize(job: lock.Job, output: Place, limit: float, still_held: Callable[[], None]) -> None:
    """Writes the manifest, and what goes before it, if there is none; removes what only an unfinished one needs."""
    with writing(output):
        if not storage.exists(output / directory.MANIFEST):
            run_log.merge(output)
            finalize.finalize(output, job.tasks, job.config, limit, still_held)
        still_held()
        _keep_crashes(output)
        storage.remove_dir(output / PROGRESS, lock.LOCK)


def _run(
    job: lock.Job,
    part: Part,
    output: Place,
    engine: Engine,
    how: dict[str, Any],
    flags: dict[str, Any],
    retry_rejected: bool,
    still_held: Callable[[], None],
) -> Iterator[Progress]:
    """Makes the shards of a part that are not finished."""
    share = part.share(job.tasks)
    tasks, state = survey(share, output, job.config, retry_rejected)
    if part.is_whole:
        run_log.merge(output)
    else:
        flags = {"task": part.task, "tasks": part.tasks, **flags}
    with (
        RunLog(output, {**how, **flags}, state.resumed, part) as log,
        _logs(output, part) as logs,
    ):
        if retry_rejected:
            _mark(output, [task.file(job.config.name) for task in tasks])
        pieces.clear(output, tasks, job.config)
        setup = functools.partial(pieces.work, job.root, job.origin, output, job.config, job.reuse)
        with contextlib.closing(engine(tasks, setup, how["clip_timeout_s"], logs, DataError)) as events:
            for now in _follow(events, state, log, how["max_reject_fraction"]):
                still_held()
                yield now
        with writing(output):
            if part.is_whole:
                finalize.finalize(output, job.tasks, job.config, how["max_reject_fraction"], still_held)
            elif now.left:  # it has ended early; whether all are too many is for the last task to say
                table = output / PROGRESS / part.file(directory.REJECTED)
                finalize.write_rejects(table, output, share, job.config, how["max_reject_fraction"])


@contextlib.contextmanager
def _logs(output: Place, part: Part) -> Iterator[Path]:
    """Yields a directory for what workers say on stderr, and keeps what they said before they crashed."""
    logs = storage.local_dir(output / PROGRESS) / part.file("logs")
    logs.mkdir(exist_ok=True)
    try:
        yield logs
    finally:
        if (crashes := logs / CRASHES).is_file():
            with writing(output), storage.replacing(output / PROGRESS / part.file(CRASHES)) as temporary:
                shutil.copyfile(crashes, temporary)


def _mark(output: Place, files: list[str]) -> None:
    """Marks finished shards that are to be made again, so that a run that is stopped knows them."""
    with writing(output):
        for file in files:
            with storage.replacing(progress.retry_path(output, file)) as temporary:
                temporary.touch()


def _keep_crashes(output: Place) -> None:
    """Gathers what crashed workers of all tasks have said."""
    whole = [output / PROGRESS / CRASHES] if storage.exists(output / PROGRESS / CRASHES) else []
    if said := [storage.read(log) for log in whole + array.of_tasks(CRASHES, output / PROGRESS)]:
        with storage.replacing(output / CRASHES) as temporary:
            temporary.write_bytes(b"".join(said))


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
    return left, Progress(clips, resumed=resumed, resumed_rejected=rejected)


def _follow(events: Iterator[Any], state: Progress, log: RunLog, limit: float) -> Iterator[Progress]:
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
            log.shard(_outcomes(event.finished), state.stage_seconds)
            settled += sum(outcome.rejected is not None for outcome in _outcomes(event.finished))


def _outcomes(events: Sequence[processes.Finished]) -> list[Outcome]:
    return [event.outcome for event in events]


def _count(state: Progress, events: Sequence[processes.Finished], sign: int) -> Progress:
    outcomes = _outcomes(events)
    rejected = sum(outcome.rejected is not None for outcome in outcomes)
    converted, reused = len(outcomes) - rejected, sum(outcome.reused for outcome in outcomes)
    return dataclasses.replace(
        state,
        converted=state.converted + sign * converted,
        rejected=state.rejected + sign * rejected,
        reused=state.reused + sign * reused,
    )
