"""Makes the last shards of a job in pieces, so that every process has work until the last clips."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.conversion import progress, shard
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.processes import Completed, Event, Failed, Finished, Pool, Started, Work
from pipeline.conversion.progress import PROGRESS, FinishedShard
from pipeline.conversion.shard import ShardTask
from pipeline.records import storage
from pipeline.records.bucket import Url
from pipeline.records.storage import Place

SHARDS = 2  # a process, that are made in pieces
MAX_CLIPS = 10  # in a piece
PIECES = 4  # or more for a process, in all


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some clips of a shard, made as if they were a shard of their own.

    Attributes:
      whole: the shard, without its clips.
      task: its piece.
    """

    whole: ShardTask
    task: ShardTask


@dataclasses.dataclass(frozen=True)
class Joining:
    """The last work on a shard: to join its pieces, which are finished; all of them without their clips."""

    whole: ShardTask
    pieces: tuple[ShardTask, ...]


def run(
    tasks: list[ShardTask],
    setup: Callable[[], Work],
    timeout_s: float,
    logs: Path,
    fatal: type[Exception],
    *,
    workers: int,
    cut: bool = True,
) -> Iterator[Event]:
    """Makes every shard on `workers` processes, which end with it; other arguments and errors as of `processes.Pool`.

    A shard is completed with all clips of its pieces. Without `cut` all shards are made whole, which takes less where
    a shard takes no longer to make than to write twice.
    """
    whole, pieces = plan(tasks, workers) if cut else (tasks, {})
    finished: dict[ShardTask, list[Finished]] = {}
    left = {bare: list(own) for bare, own in pieces.items()}
    with contextlib.closing(Pool(setup, timeout_s, logs, fatal, workers=workers)) as pool:
        for event in pool.run([*whole, *(piece for own in pieces.values() for piece in own)]):
            if not isinstance(event, Completed) or isinstance(event.task, ShardTask):
                yield event
                continue
            shard_task = event.task.whole
            if isinstance(event.task, Joining):
                yield Completed(shard_task, tuple(finished.pop(shard_task)))
                continue
            finished.setdefault(shard_task, []).extend(event.finished)
            left[shard_task].remove(event.task)
            if not left[shard_task]:
                pool.add(Joining(shard_task, tuple(_bare(piece.task) for piece in pieces[shard_task])))


def plan(tasks: list[ShardTask], workers: int) -> tuple[list[ShardTask], dict[ShardTask, list[Piece]]]:
    """Returns the shards to be made whole, and the pieces of the others, which are without their clips."""
    count = SHARDS * workers if workers > 1 else 0
    whole, rest = tasks[: max(0, len(tasks) - count)], tasks[max(0, len(tasks) - count) :]
    size = max(1, min(MAX_CLIPS, sum(len(task.sources) for task in rest) // (PIECES * workers)))
    return whole, {_bare(task): _cut(task, size) for task in rest}


def _bare(task: ShardTask) -> ShardTask:
    """A shard without its clips, which would be sent to each process."""
    return dataclasses.replace(task, sources=())


def _cut(task: ShardTask, size: int) -> list[Piece]:
    """Cuts a shard into pieces of nearly equal size."""
    count = -(-len(task.sources) // size)
    bounds = [number * len(task.sources) // count for number in range(count + 1)]
    return [
        Piece(_bare(task), dataclasses.replace(task, shard=number, shards=count, sources=task.sources[first:stop]))
        for number, (first, stop) in enumerate(itertools.pairwise(bounds))
    ]


def clear(output: Place, tasks: list[ShardTask], config: ConvertConfig) -> None:
    """Removes the pieces that an earlier run has left of shards."""
    for task in tasks:
        shutil.rmtree(_place(output, config, task), ignore_errors=True)


def work(root: Path, origin: Url | None, output: Place, config: ConvertConfig, reuse: Place | None) -> Work:
    """Loads the landmark models; returns the function that makes a shard, or a piece, or joins pieces."""
    return functools.partial(_make, shard.shard_work(root, origin, config, reuse), output, config)


def _make(
    convert: Callable[..., Iterator[Started | Finished]],
    output: Place,
    config: ConvertConfig,
    task: ShardTask | Piece | Joining,
    failed: dict[str, Failed],
) -> Iterator[Started | Finished]:
    if isinstance(task, Joining):
        _join(output, config, task)
    elif isinstance(task, Piece):
        yield from convert(_folder(output, config, task.whole), task.task, failed)
    else:
        yield from convert(output, task, failed)


def _folder(output: Place, config: ConvertConfig, task: ShardTask) -> Path:
    """The local directory for the pieces of a shard, which is made if missing."""
    folder = _place(output, config, task)
    with progress.writing(folder):
        (folder / PROGRESS).mkdir(parents=True, exist_ok=True)
    return folder


def _place(output: Place, config: ConvertConfig, task: ShardTask) -> Path:
    return storage.local_dir(output / PROGRESS) / "pieces" / task.file(config.name)


def _join(output: Place, config: ConvertConfig, joining: Joining) -> None:
    """Writes a shard out of its pieces, notes that it is finished, and removes them.

    Raises:
      DataError: the shard cannot be written, or a piece is gone.
    """
    folder, path = _folder(output, config, joining.whole), output / joining.whole.file(config.name)
    names = [piece.file(config.name) for piece in joining.pieces]
    with progress.writing(path):
        notes = [progress.finished_note(folder, name) for name in names]
        with storage.replacing(path) as temporary:
            sha256 = _concatenate([folder / name for name in names], temporary)
            progress.void_note(output, path.name)
        progress.write_note(output, _joined(path.name, notes, sha256))
        shutil.rmtree(folder)


def _concatenate(files: list[Path], into: Path) -> str:
    """Copies files one behind the other; returns the SHA-256 of all."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with into.open("wb") as whole:
        for path in files:
            with path.open("rb", buffering=0) as file:
                while read := file.readinto(buffer):
                    digest.update(buffer[:read])
                    whole.write(buffer[:read])
    return digest.hexdigest()


def _joined(name: str, notes: list[FinishedShard], sha256: str) -> FinishedShard:
    rows, size = [], 0
    for note in notes:
        rows += [dataclasses.replace(row, offset=row.offset + size) for row in note.rows]
        size += note.bytes
    rejected, left_out, provenance = (
        tuple(each for note in notes for each in getattr(note, key)) for key in ("rejected", "left_out", "provenance")
    )
    return FinishedShard(name, len(rows), size, sha256, rejected, tuple(rows), left_out, provenance)
