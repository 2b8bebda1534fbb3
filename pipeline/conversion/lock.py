"""Who may write into an output directory: one conversion at a time, of the clips and settings it was begun with."""

import contextlib
import csv
import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import PROGRESS, writing
from pipeline.conversion.shard import ShardTask
from pipeline.records import directory, storage
from pipeline.schema import DataError

JOB = "job.json"
CLIPS = "clips.json"  # their ids
LOCK = "lock"
LOST = "lost+found"  # stands in the root of a file system, which may be the output


def job(root: Path, tasks: list[ShardTask], config: ConvertConfig) -> dict[str, Any]:
    """What must be the same for one run to go on with the work of another: the settings, and the clips in place."""
    clips = hashlib.sha256()
    for task in tasks:
        for source in task.sources:
            fields = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
            fields["video"] = source.video.relative_to(root).as_posix()
            clips.update(repr((task.file(config.name), fields)).encode())
    count = sum(len(task.sources) for task in tasks)
    described = {**dataclasses.asdict(config), "clips": count, "clips_sha256": clips.hexdigest()}
    return json.loads(json.dumps(described))


def check(output: Path, job: dict[str, Any], tasks: list[ShardTask]) -> None:
    """Refuses an output that is not for this job; writes nothing.

    Raises:
      DataError: a file, a directory of something else, the work of another job, or of one whose note is damaged.
    """
    progress, manifest = output / PROGRESS, output / directory.MANIFEST
    if output.exists() and not output.is_dir():
        raise DataError(f"{output}: is a file; --output wants a directory")
    begun = progress.is_dir() or manifest.is_file()
    if not begun and output.is_dir() and any(path.name != LOST for path in output.iterdir()):
        raise DataError(f"{output}: holds something else than a conversion; name a new directory with --output")
    if manifest.is_file():
        _check_same(output, directory.read_manifest(output)["conversion"], job, tasks)
    elif (progress / JOB).is_file():
        _check_same(output, _noted(output, JOB, dict), job, tasks)


def check_free(output: Path) -> None:
    """Refuses an output that another conversion holds; writes nothing.

    Raises:
      DataError: it does.
    """
    if (output / PROGRESS / LOCK).is_file():
        with (output / PROGRESS / LOCK).open() as lock:
            _lock(lock.fileno(), output)


@contextlib.contextmanager
def locked(output: Path, job: dict[str, Any], tasks: list[ShardTask]) -> Iterator[None]:
    """Holds the output against a second converter, and against another job than the one begun there.

    Raises:
      DataError: as `check` and `check_free`, or it cannot be written.
    """
    check(output, job, tasks)
    progress = output / PROGRESS
    with writing(output):
        progress.mkdir(parents=True, exist_ok=True)
        lock = (progress / LOCK).open("w")
    with lock:
        _lock(lock.fileno(), output)
        check(output, job, tasks)  # what was there before the lock was had may have changed
        with writing(output):
            _begin(output, job, tasks)
        try:
            yield
        finally:  # a failing worker has the others killed within their shards, which may be what fills the disk
            with contextlib.suppress(OSError):  # the next run begins with it
                _sweep(output)


def _lock(descriptor: int, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(f"{output}: another conversion is writing there; wait, or name another --output") from error


def _begin(output: Path, job: dict[str, Any], tasks: list[ShardTask]) -> None:
    """Removes what killed runs have left half-written, and notes the job where it is a new one."""
    _sweep(output)
    progress = output / PROGRESS
    if not (progress / JOB).is_file():
        storage.write_json(progress / CLIPS, sorted(source.id for task in tasks for source in task.sources))
        storage.write_json(progress / JOB, job)


def _sweep(output: Path) -> None:
    for leftover in (*output.glob(".*.tmp"), *(output / PROGRESS).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def _ids(tasks: list[ShardTask]) -> set[str]:
    return {source.id for task in tasks for source in task.sources}


def _check_same(output: Path, begun: dict[str, Any], job: dict[str, Any], tasks: list[ShardTask]) -> None:
    if begun == job:
        return
    had, now = (dict(_settings(some)) for some in (begun, job))
    changed = [f"{key} was {had.get(key)}, is {now.get(key)}" for key in {**had, **now} if had.get(key) != now.get(key)]
    changed += _other_clips(_ids_begun(output), _ids(tasks))
    shown = ", ".join(changed) or "the same clips, with other files, words, times, speakers or splits"
    raise DataError(f"{output}: holds a conversion of other clips or settings ({shown}); use another --output")


def _settings(job: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """`{"crop": {"margin": 1.6}}` -> `("crop.margin", 1.6)`; without the clips."""
    for key, value in job.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", part) for name, part in value.items())
        elif key not in ("clips", "clips_sha256"):
            yield key, value


def _other_clips(had: set[str], now: set[str]) -> list[str]:
    groups = (("new", sorted(now - had)), ("gone", sorted(had - now)))
    return [f"{len(ids)} clips {what}, such as {ids[0]!r}" for what, ids in groups if ids]


def _ids_begun(output: Path) -> set[str]:
    """The clips of the job that was begun, or of the dataset that it has become."""
    if (output / PROGRESS / CLIPS).is_file():
        return set(_noted(output, CLIPS, list))
    ids = set(directory.open_dataset(output).index.id.tolist())
    rejected = output / directory.REJECTED
    try:
        with rejected.open(encoding="utf-8", newline="") as file:
            return ids | {row["id"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{rejected}: not as a conversion writes it ({error}); restore it, or convert anew") from error


def _noted(output: Path, name: str, kind: type) -> Any:
    """What was noted when the job was begun."""
    path = output / PROGRESS / name
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, output, str(error)) from error
    if not isinstance(noted, kind):
        raise _damaged(path, output, f"want a {kind.__name__}")
    return noted


def _damaged(path: Path, output: Path, problem: str) -> DataError:
    return DataError(f"{path}: damaged ({problem}), so what was begun is not known; remove {output} and convert anew")
