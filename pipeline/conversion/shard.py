"""The unit of work of a conversion: which clips make a shard, and the shard made from them."""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.conversion import processes, progress
from pipeline.conversion.clip import convert_clip, source_path
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import Outcome, Rejected, StageSeconds
from pipeline.corpora.catalog import Catalog, Selection
from pipeline.corpora.source import ClipSource, printable
from pipeline.corpora.splits import SPLITS
from pipeline.mouth.crop import Crops, MouthCropper
from pipeline.records import directory, tfrecord
from pipeline.records.example import to_example
from pipeline.records.index import Row
from pipeline.schema import ClipError, DataError, Reason

LONGEST_DETAIL = 500  # characters, of a text that may have a million


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """The unit of work: which clips go into which shard, in which order."""

    split: str
    shard: int
    shards: int
    sources: Sequence[ClipSource]

    def file(self, name: str) -> str:
        return directory.shard_name(name, self.split, self.shard, self.shards)


def plan_shards(sources: Iterable[ClipSource], config: ConvertConfig) -> list[ShardTask]:
    """Every split's clips in a seeded permutation of their sorted ids, cut into shards of nearly equal size.

    Raises:
      DataError: there are no clips.
    """
    listing = Catalog.of(sources)
    if not len(listing):
        raise DataError("the corpus has no clips, nothing to convert; see how --source has to be laid out (--help)")
    if strays := set(listing.split.values) - set(SPLITS):
        stray = listing.ids[listing.split.rows(*strays)[0]]
        raise ValueError(f"split: want one of {', '.join(SPLITS)} for every clip, not so for {stray}")
    tasks = []
    for number, split in enumerate(SPLITS):
        members = listing.split.rows(split)
        order = np.random.default_rng((config.seed, number)).permutation(len(members))
        count = -(-len(members) // config.clips_per_shard)
        for shard, chosen in enumerate(np.array_split(order, count) if count else []):
            tasks.append(ShardTask(split, shard, count, Selection(listing, members[chosen])))
    return tasks


def shard_work(root: Path, output: Path, config: ConvertConfig) -> processes.Work:
    """Loads the landmark models once; returns the work on one shard."""
    tf.config.threading.set_intra_op_parallelism_threads(1)  # every worker has one core
    return functools.partial(convert_shard, root, output, config, MouthCropper(config.crop))


def convert_shard(
    root: Path,
    output: Path,
    config: ConvertConfig,
    cropper: MouthCropper,
    task: ShardTask,
    failed: dict[str, processes.Failed],
) -> Iterator[processes.Started | processes.Finished]:
    """Writes one shard and, after it, the file that says so; memory holds one clip at a time.

    Raises:
      DataError: the shard cannot be written.
    """
    path = output / task.file(config.name)
    rows, rejects = [], []
    with _Writer(path) as writer:
        for source in task.sources:
            yield processes.Started(source.id)
            watch = _Watch(cropper)
            try:
                if source.id in failed:
                    raise _failed(failed[source.id])
                clip = convert_clip(source, root, config, watch.crop)
            except ClipError as error:
                rejects.append(_rejected(source, root, error))
                yield processes.Finished(source.id, Outcome(rejects[-1], watch.stage_seconds()))
                continue
            record = to_example(clip, config.encoding)
            rows.append(Row.of(clip, writer.write(record), len(record)))
            yield processes.Finished(source.id, Outcome(None, watch.stage_seconds()))
        with progress.writing(path):  # until here, a stop leaves the shard that this one replaces finished
            progress.place(output, path.name).unlink(missing_ok=True)
    with progress.writing(path):
        progress.note(output, path.name, rows, rejects)


class _Writer:
    """A `ShardWriter` that says in a line what the system refuses it; what its block raises passes as it is."""

    def __init__(self, path: Path) -> None:
        self._path, self._shard = path, tfrecord.ShardWriter(path)

    def __enter__(self) -> "_Writer":
        with progress.writing(self._path):
            self._shard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        with progress.writing(self._path):
            self._shard.__exit__(*error)

    def write(self, record: bytes) -> int:
        with progress.writing(self._path):
            return self._shard.write(record)


class _Watch:
    """Where the time of a clip goes: reading until `crop` is called, writing once it has returned."""

    def __init__(self, cropper: MouthCropper) -> None:
        self._cropper = cropper
        self._marks = [time.monotonic()]

    def crop(self, luma: np.ndarray) -> Crops:
        self._marks.append(time.monotonic())
        try:
            return self._cropper(luma)
        finally:
            self._marks.append(time.monotonic())

    def stage_seconds(self) -> StageSeconds:
        return StageSeconds(*np.diff([*self._marks, time.monotonic()]).tolist())


def _rejected(source: ClipSource, root: Path, error: ClipError) -> Rejected:
    place = source_path(source, root)
    detail = printable(error.detail.removeprefix(f"{root}/")).removeprefix(f"{place}: ")  # the corpus may lie anywhere
    detail = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}…"
    return Rejected(source.id, place, str(error.reason), detail)


def _failed(end: processes.Failed) -> ClipError:
    if end.how == processes.HUNG:
        return ClipError(Reason.TIMED_OUT, "took longer than --clip_timeout_s")
    return ClipError(Reason.CRASHED, f"ended the process that converted it {processes.ATTEMPTS} times ({end.cause})")
