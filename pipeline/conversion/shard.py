"""Plans and makes shards, the unit of work of a conversion."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.conversion import processes, progress
from pipeline.conversion.clip import Cropper, convert_clip, source_path
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.processes import Failed, Finished, Started
from pipeline.conversion.progress import FinishedShard, Outcome, Rejected, StageSeconds
from pipeline.conversion.reuse import Made, Reuse
from pipeline.corpora import mirror
from pipeline.corpora.catalog import Catalog, Selection
from pipeline.corpora.source import ClipSource, printable
from pipeline.corpora.splits import SPLITS
from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.records import directory, tfrecord
from pipeline.records.bucket import Url
from pipeline.records.example import to_example
from pipeline.records.index import Row
from pipeline.records.provenance import Provenance
from pipeline.records.storage import Place
from pipeline.schema import Clip, ClipError, DataError, Reason
from pipeline.video.fingerprint import fingerprint

MAX_DETAIL = 500  # characters, of a text that may have a million
KILLED = "SIGKILL"  # how Linux ends a process when memory runs out


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard to make: the clips that go into it, in order."""

    split: str
    shard: int
    shards: int
    sources: Sequence[ClipSource]

    def file(self, name: str) -> str:
        return directory.shard_name(name, self.split, self.shard, self.shards)


def plan_shards(sources: Iterable[ClipSource], config: ConvertConfig) -> list[ShardTask]:
    """Deals the clips of each split to shards of nearly equal size, in a seeded permutation of their sorted ids.

    Raises:
      DataError: there are no clips.
    """
    catalog = Catalog.of(sources)
    if not len(catalog):
        raise DataError("the corpus has no clips, nothing to convert; see how --source has to be laid out (--help)")
    if strays := set(catalog.split.values) - set(SPLITS):
        stray = catalog.ids[catalog.split.rows(*strays)[0]]
        raise ValueError(f"split: want one of {', '.join(SPLITS)} for every clip, not so for {stray}")
    tasks = []
    for number, split in enumerate(SPLITS):
        members = catalog.split.rows(split)
        order = np.random.default_rng((config.seed, number)).permutation(len(members))
        count = -(-len(members) // config.clips_per_shard)
        for shard, chosen in enumerate(np.array_split(order, count) if count else []):
            tasks.append(ShardTask(split, shard, count, Selection(catalog, members[chosen])))
    return tasks


def shard_work(
    root: Path, origin: Url | None, config: ConvertConfig, reuse: Place | None = None
) -> Callable[..., Iterator[Started | Finished]]:
    """Loads the landmark models; returns `convert_shard` of this corpus, for an output, a shard and failed clips.

    It takes crops from the dataset at `reuse`, if one is given.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)  # every worker has one core
    crops = None if reuse is None else Reuse(reuse, config)
    return functools.partial(convert_shard, root, origin, config, MouthCropper(config.crop, config.on_gap), reuse=crops)


def convert_shard(
    root: Path,
    origin: Url | None,
    config: ConvertConfig,
    cropper: Cropper,
    output: Place,
    task: ShardTask,
    failed: dict[str, Failed],
    reuse: Reuse | None = None,
) -> Iterator[Started | Finished]:
    """Writes one shard, then the note that it is finished. Memory holds one clip at a time.

    Args and errors as of `job.convert`.

    Raises:
      DataError: the shard cannot be written.
    """
    path = output / task.file(config.name)
    rows, made_from, rejects, left_out = [], [], [], []
    with _Writer(path) as writer:
        for source in task.sources:
            watch = _Watch(cropper)
            try:
                if source.id in failed:
                    yield Started(source.id)
                    raise _failed(failed[source.id])
                with mirror.fetched(source, root, origin) as (at_hand, base):
                    yield Started(source.id)  # now, since a store that is slow must not cost a clip
                    made, parts, reused = _made(at_hand, base, config, watch.crop, reuse)
            except ClipError as error:
                rejects.append(_rejected(source, root, error))
                yield Finished(source.id, Outcome(rejects[-1], watch.stage_seconds()))
                continue
            for each in made:
                rows.append(dataclasses.replace(each.row, offset=writer.write(each.record)))
                made_from.append(each.provenance)
            left_out += [_rejected(_part(source, frame), root, error) for frame, error in parts]
            yield Finished(source.id, Outcome(None, watch.stage_seconds(), reused))
        with progress.writing(path):
            progress.void_note(output, path.name)
    with progress.writing(path):
        figures = len(rows), writer.shard.bytes, writer.shard.sha256
        lists = map(tuple, (rejects, rows, left_out, made_from))
        progress.write_note(output, FinishedShard(path.name, *figures, *lists))


def _made(
    source: ClipSource, root: Path, config: ConvertConfig, crop: Cropper, reuse: Reuse | None
) -> tuple[Iterator[Made], tuple[tuple[int, ClipError], ...], bool]:
    """Returns the records of a clip, the parts of it that are left out, and whether its crops were taken.

    Raises:
      ClipError: it cannot be converted.
    """
    if reuse is not None and (taken := reuse.take(source, root)):
        return iter([taken]), (), True
    converted = convert_clip(source, root, config, crop)
    shown, video = converted.shown, fingerprint(source.video)
    places = source.span, shown.begins, shown.truncated, converted.is_whole
    provenance = Provenance(source_path(source, root), *video, *places)
    return (_record(clip, config, provenance) for clip in converted.clips), converted.left_out, False


def _record(clip: Clip, config: ConvertConfig, provenance: Provenance) -> Made:
    record = to_example(clip, config.encoding)
    return Made(record, Row.of(clip, record, 0), provenance)


class _Writer:
    """A `ShardWriter` whose own errors name the file; errors of its block pass as they are."""

    def __init__(self, path: Place) -> None:
        self._path, self.shard = path, tfrecord.ShardWriter(path)

    def __enter__(self) -> "_Writer":
        with progress.writing(self._path):
            self.shard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        with progress.writing(self._path):
            self.shard.__exit__(*error)

    def write(self, record: bytes) -> int:
        with progress.writing(self._path):
            return self.shard.write(record)


class _Watch:
    """Measures the stages of a clip: cropping, of it the reading of frames, and writing after it has returned."""

    def __init__(self, cropper: Cropper) -> None:
        self._cropper = cropper
        self._marks = [time.monotonic()]
        self._read = 0.0  # seconds, while cropping

    def crop(self, frames: Iterable[np.ndarray]) -> list[Crops]:
        self._marks.append(time.monotonic())
        try:
            return self._cropper(self._timed(frames))
        finally:
            self._marks.append(time.monotonic())

    def _timed(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        frames = iter(frames)
        while True:
            asked = time.monotonic()
            frame = next(frames, None)
            self._read += time.monotonic() - asked
            if frame is None:
                return
            yield frame

    def stage_seconds(self) -> StageSeconds:
        before, cropping, writing = [*np.diff([*self._marks, time.monotonic()]).tolist(), 0.0, 0.0][:3]
        return StageSeconds(before + self._read, cropping - self._read, writing)


def _part(source: ClipSource, frame: int) -> ClipSource:
    return dataclasses.replace(source, id=f"{source.id}@{frame}")


def _rejected(source: ClipSource, root: Path, error: ClipError) -> Rejected:
    path = source_path(source, root)
    detail = printable(error.detail.removeprefix(f"{root}/")).removeprefix(f"{path}: ")  # the corpus may lie anywhere
    detail = detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…"
    return Rejected(source.id, path, str(error.reason), detail)


def _failed(end: Failed) -> ClipError:
    if end.how == processes.HUNG:
        return ClipError(Reason.TIMED_OUT, "took longer than --clip_timeout_s")
    twice = f"the process that converted it {processes.ATTEMPTS} times ({end.cause})"
    if end.cause == KILLED or "MemoryError" in end.cause:
        advice = "as happens where memory runs out; free some, or give fewer --workers"
        return ClipError(Reason.OUT_OF_MEMORY, f"ended {twice}, {advice}")
    return ClipError(Reason.CRASHED, f"ended {twice}")
