"""One converter an output directory, for the clips and settings that its job was begun with."""

import contextlib
import csv
import dataclasses
import fnmatch
import functools
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.conversion import array, clip, progress
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.config import VERSION, ConvertConfig, with_defaults
from pipeline.conversion.progress import JOB, PROGRESS, writing
from pipeline.conversion.shard import ShardTask
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, identity, locks, storage
from pipeline.records.bucket import Url
from pipeline.records.index import Row
from pipeline.records.storage import Place
from pipeline.schema import BusyError, ClipError, DataError

CLIPS_OF_JOB = ("clips", "clips_sha256")  # keys of it that are no settings
CLIPS = "clips.json"  # their ids
LOCK = "lock"
TURN = "turn"  # the lock of the task that notes the job
POLL_S, TURN_S = 0.2, 120.0  # for a task that is about to end, or to note the job
REMOVAL = "removal.json"  # stands in `PROGRESS` while `overwrite` removes files
LOST = "lost+found"  # stands in the root of a file system, which may be the output


@dataclasses.dataclass(frozen=True)
class Job:
    """What a conversion makes: its shards, from clips below `root`, with `config`.

    Where the videos come from, if `root` is a mirror of an `origin`, decides no bytes, nor does the dataset whose crops
    are taken where they are the same (`reuse`).
    """

    root: Path
    tasks: list[ShardTask]
    config: ConvertConfig
    origin: Url | None = None
    reuse: Place | None = None

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """The identity as JSON: the settings, and a hash of the clips in their places."""
        clips = hashlib.sha256()
        for task in self.tasks:
            for source in task.sources:
                line = identity.canonical([task.file(self.config.name), _given(source, self.root)])
                clips.update(f"{line}\n".encode("utf-8", "surrogateescape"))
        count = sum(len(task.sources) for task in self.tasks)
        settings = {**dataclasses.asdict(self.config), "clips": count, "clips_sha256": clips.hexdigest()}
        return json.loads(identity.canonical({"version": VERSION, **settings}))

    @functools.cached_property
    def ids(self) -> set[str]:
        """The ids of all clips."""
        return {source.id for task in self.tasks for source in task.sources}


def _given(value: Any, root: Path) -> dict[str, Any]:
    """The fields of a clip or word that are not at their default, so that a new field changes no identity."""
    given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if getattr(value, f.name) != f.default}
    if isinstance(value, ClipSource):
        given["video"] = value.video.relative_to(root).as_posix()
        given["words"] = [_given(word, root) for word in value.words]
        given["problem"] = bool(value.problem)  # its wording may change
        for name in ("labels_end", "times_from_first_frame", "untimed"):  # of the layout, not of the clip
            given.pop(name, None)
    return given


def check(output: Place, job: Job) -> None:
    """Refuses an output that is not for this job; writes nothing.

    Raises:
      DataError: a file, a directory of something else, one removed in part, the output of another job, or a damaged
        note of the job.
    """
    finished = storage.exists(output / directory.MANIFEST)
    if storage.is_no_directory(output):
        raise DataError(f"{output}: is a file; --output needs a directory")
    if storage.exists(output / PROGRESS / REMOVAL):
        raise DataError(f"{output}: is removed in part, since --overwrite was stopped; give --overwrite again")
    if not (finished or storage.is_dir(output / PROGRESS)) and storage.entries(output) - {LOST}:
        raise DataError(f"{output}: holds something else than a conversion; name a new directory with --output")
    if finished:
        _check_same(output, directory.read_manifest(output)["conversion"], job)
    elif storage.exists(output / PROGRESS / JOB):
        begun = _read(output, JOB, dict)
        _check_same(output, begun, job)
        if begun.get("version", 1) < VERSION and job.config.crop.mode == "face":
            way_out = "finish it with that version, or name another --output"
            raise DataError(f"{output}: begun by a version of this program that cropped faces otherwise; {way_out}")


def check_free(output: Place, part: Part = WHOLE) -> None:
    """Refuses an output in which another conversion makes the shards of `part`; writes nothing.

    Raises:
      BusyError: another conversion holds it.
    """
    locks.refuse_if_locked(output / PROGRESS / part.file(LOCK), _busy(output))
    _check_others(output, part)


def _check_others(output: Place, part: Part) -> None:
    """Refuses a conversion of the whole beside one of parts, and parts of another number of tasks."""
    own = f"-of-{part.tasks}"
    others = [each for each in array.of_tasks(LOCK, output / PROGRESS) if part.is_whole or not each.name.endswith(own)]
    for other in others if part.is_whole else [*others, output / PROGRESS / LOCK]:
        locks.refuse_if_locked(other, _busy(output))


@contextlib.contextmanager
def locked(output: Place, job: Job, part: Part = WHOLE) -> Iterator[Callable[[], None]]:
    """Holds a part of the output against a second converter, and all against another job than the one begun there.

    Yields a function that raises DataError if the lock has been lost.

    Raises:
      DataError: as `check` and `check_free`, or the output cannot be written.
    """
    check(output, job)
    with writing(output):
        storage.make_dir(output / PROGRESS)
    with locks.locked(output / PROGRESS / part.file(LOCK), _busy(output)) as still_held:
        _check_others(output, part)
        check(output, job)  # it may have changed before the lock was taken
        with writing(output):
            _begin(output, job, part)
        try:
            yield still_held
        finally:  # workers that are killed leave temporary files, which may be what fills the disk
            with contextlib.suppress(OSError):  # the next run removes them first
                _remove_leftovers(output, job, part)


@contextlib.contextmanager
def left_alone(output: Place, part: Part, timeout_s: float) -> Iterator[Callable[[], None]]:
    """Holds all of the output once the other tasks of `part`, which have nothing left to do, have ended.

    Yields as `locked`.

    Raises:
      BusyError: another task holds it to the same end, or one has not ended after `timeout_s` seconds.
    """
    with locks.locked(output / PROGRESS / LOCK, _busy(output)) as still_held:
        end = time.monotonic() + timeout_s
        for other in array.of_tasks(LOCK, output / PROGRESS):
            while other.name != part.file(LOCK) and _is_held(other, time.monotonic() < end):
                time.sleep(POLL_S)
        storage.remove_leftovers(output)  # of one that was killed while it did what this one will do
        yield still_held


def _is_held(lock: Place, allowed: bool) -> bool:
    """Whether a task holds a lock, which raises BusyError if it is not `allowed`."""
    try:
        locks.refuse_if_locked(lock, f"{lock}: a task that has nothing left to do does not end; stop it")
    except BusyError:
        if allowed:
            return True
        raise
    return False


def _busy(output: Place) -> str:
    return f"{output}: another conversion is writing there; wait, or name another --output"


def _begin(output: Place, job: Job, part: Part) -> None:
    """Removes what killed runs have left half-written, and notes the job if it is new."""
    _remove_leftovers(output, job, part)
    if storage.exists(output / PROGRESS / JOB):
        return
    with _in_turn(output):
        check(output, job)  # another task may have begun
        if not storage.exists(output / PROGRESS / JOB):
            if part.is_whole:
                storage.remove_local(output / PROGRESS)  # logs of an earlier job of the same name
            storage.write_json(output / PROGRESS / CLIPS, sorted(job.ids))
            storage.write_json(output / PROGRESS / JOB, job.description)


@contextlib.contextmanager
def _in_turn(output: Place) -> Iterator[None]:
    """Lets one task after the other do what takes a moment."""
    end = time.monotonic() + TURN_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locks.locked(output / PROGRESS / TURN, _busy(output)))
                break
            except BusyError:
                if time.monotonic() > end:
                    raise
                time.sleep(POLL_S)
        yield


def _remove_leftovers(output: Place, job: Job, part: Part) -> None:
    shards = None if part.is_whole else {task.file(job.config.name) for task in part.share(job.tasks)}
    storage.remove_leftovers(output, shards)
    storage.remove_leftovers(output / PROGRESS, shards and {progress.note_path(output, shard).name for shard in shards})


def _check_same(output: Place, begun: dict[str, Any], job: Job) -> None:
    now = job.description
    changed = identity.differences(*(_settings(each) for each in (begun, now)))
    if begun.get("version", 1) == 1:
        changed += _other_ids(_begun_ids(output), job.ids) or _other_labels(output, job)
    elif begun["clips_sha256"] != now["clips_sha256"]:
        changed += _other_ids(_begun_ids(output), job.ids)
        changed = changed or ["the same clips, with other files, labels or splits"]
    if changed:
        shown = ", ".join(changed)
        ways = f"use another --output, where --reuse={output} takes its crops, or --overwrite"
        raise DataError(f"{output}: holds a conversion of other clips or settings ({shown}); {ways}")


def _settings(described: dict[str, Any]) -> dict[str, Any]:
    """The settings of a job; one that an older job does not have has its default."""
    return with_defaults({key: value for key, value in described.items() if key not in ("version", *CLIPS_OF_JOB)})


def _other_ids(had: set[str], now: set[str]) -> list[str]:
    had = {name if name in now else _whole(name, now) for name in had}
    groups = (("new", sorted(now - had)), ("gone", sorted(had - now)))
    return [f"{len(ids)} clips {what}, such as {ids[0]!r}" for what, ids in groups if ids]


def _whole(name: str, clips: set[str]) -> str:
    """The clip that a stretch, `id@frame`, is of, if it is among `clips`; else the name."""
    clip_id = name.rpartition("@")[0]
    return clip_id if clip_id in clips else name


def _other_labels(output: Place, job: Job) -> list[str]:
    """Compares what a job of version 1 has converted with the shards and labels of today."""
    tasks = {task.file(job.config.name): {source.id: source for source in task.sources} for task in job.tasks}
    for file, rows, rejected in _converted(output, tasks):
        sources = tasks.get(file, {})
        if moved := sources.keys() ^ {*(row.id for row in rows), *rejected}:
            return [f"{file} with other clips, such as {min(moved)!r}"]
        changed = (row.id for row in rows if _relabelled(sources[row.id], row, job.config))
        if clip_id := next(changed, None):
            return [f"clip {clip_id!r} with another speaker, text, words or columns"]
    return []


def _relabelled(source: ClipSource, row: Row, config: ConvertConfig) -> bool:
    truncated = config.overlong == "truncate"
    words = source.words[: len(row.words)] if truncated else source.words
    try:
        text = clip.transcript(source, config)
        spans = tuple(clip.frame_words(dataclasses.replace(source, words=words), config, row.frames))
    except ClipError:
        return True
    same_text = text.startswith(row.text) if truncated else text == row.text
    return not same_text or (source.speaker, spans, source.columns) != (row.speaker, row.words, row.columns)


def _converted(output: Place, tasks: dict[str, dict[str, ClipSource]]) -> Iterator[tuple[str, list[Row], set[str]]]:
    """Yields the name, the rows and the rejected clips of every finished shard, of today's `tasks` or not."""
    if storage.exists(output / directory.MANIFEST):
        dataset = directory.open_dataset(output)
        rejected = _begun_ids(output) - set(dataset.index.id.tolist())
        for number, path in enumerate(dataset.shards):  # a dataset does not note the shard of a reject
            rows = [dataset.index.row(record) for record in dataset.shard_records(number)]
            yield path.name, rows, rejected & tasks.get(path.name, {}).keys()
        return
    notes = [name for name in storage.names(output / PROGRESS) if fnmatch.fnmatch(name, "*.tfrecord-*.json")]
    for shard in progress.read_notes(output, (name.removesuffix(".json") for name in notes)):
        if shard:
            yield shard.file, list(shard.rows), {reject.id for reject in shard.rejected}


def _begun_ids(output: Place) -> set[str]:
    """The clips of the job that was begun, or of the dataset that it has become."""
    if storage.exists(output / PROGRESS / CLIPS):
        return set(_read(output, CLIPS, list))
    ids = set(directory.open_dataset(output).index.id.tolist())
    rejected = output / directory.REJECTED
    try:
        table = io.StringIO(storage.read(rejected).decode(), newline="")
        return ids | {row["id"] for row in csv.DictReader(table)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{rejected}: not as a conversion writes it ({error}); restore it, or convert again") from error


def _read(output: Place, name: str, kind: type) -> Any:
    """Reads what was noted when the job was begun."""
    path = output / PROGRESS / name
    try:
        noted = json.loads(storage.read(path).decode())
    except ValueError as error:
        raise _damaged(path, output, str(error)) from error
    if not isinstance(noted, kind):
        raise _damaged(path, output, f"want a {kind.__name__}")
    return noted


def _damaged(path: Path, output: Place, problem: str) -> DataError:
    return DataError(f"{path}: damaged ({problem}), so the job is not known; remove {output} and convert again")
