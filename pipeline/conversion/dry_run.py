"""Reports what a conversion would do; reads a few videos' headers and writes nothing."""

import contextlib
import dataclasses
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.conversion import job, lock
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.clip import transcript
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import Progress
from pipeline.conversion.reuse import Reuse
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora import mirror, paths
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, storage
from pipeline.records.bucket import Url
from pipeline.records.storage import Place
from pipeline.schema import FRAME_BYTES, ClipError
from pipeline.video import decode

MAX_HEADERS = 20  # videos whose headers are read for their duration
MAX_FETCHED = 5  # videos that are fetched for it
DEFAULT_S = 3.0  # duration if no header says it


def report(
    sources: Iterable[ClipSource],
    root: str | Path,
    output: str | Place,
    config: ConvertConfig,
    workers: int,
    retry_rejected: bool,
    origin: Url | None = None,
    part: Part = WHOLE,
    reuse: Place | None = None,
    anew: bool = False,
) -> list[tuple[str, str]]:
    """Returns rows `(what, value)`: clips, shards, bad transcripts, finished shards, bytes to write, settings.

    With `anew`, what is in the output does not count, since it would be removed.

    Raises:
      DataError: as `convert` would.
    """
    root, output = storage.local(root), storage.place(output)
    catalog = Catalog.of(sources)
    tasks = plan_shards(catalog, config)
    share = part.share(tasks)
    left, state, finished = share, Progress(sum(len(task.sources) for task in share), resumed=0), False
    if not anew:
        lock.check(output, lock.Job(root, tasks, config))
        lock.check_free(output, part)
        left, state = job.survey(share, output, config, retry_rejected)
        if finished := storage.exists(output / directory.MANIFEST):
            left = []
    return [
        ("clips", f"{len(catalog)}, {_speakers(catalog, np.arange(len(catalog)))}"),
        *_splits(catalog, tasks, config),
        *_transcripts(catalog, config),
        *(
            []
            if part.is_whole
            else [("task", f"{part.task} of {part.tasks}: {state.clips} clips, {len(share)} shards")]
        ),
        ("output", f"{output}: {'finished, nothing to do' if finished else _state(len(share), left, state)}"),
        *_reused(catalog, root, config, reuse),
        ("workers", str(workers)),
        ("to write", _bytes(left, root, origin, output, config)),
        *((field, _shown(value)) for field, value in dataclasses.asdict(config).items()),
    ]


def _speakers(catalog: Catalog, rows: np.ndarray) -> str:
    named = len({catalog.speaker.values[code] for code in np.unique(catalog.speaker.codes[rows])} - {""})
    return f"{named} speakers" if named else "speakers not named"


def _splits(catalog: Catalog, tasks: list[ShardTask], config: ConvertConfig) -> Iterator[tuple[str, str]]:
    for split in dict.fromkeys(task.split for task in tasks):
        own, rows = [task for task in tasks if task.split == split], catalog.split.rows(split)
        files = f"{own[0].file(config.name)}{' and so on' if len(own) > 1 else ''}"
        yield f"  {split}", f"{len(rows)} clips, {_speakers(catalog, rows)}, {len(own)} shards: {files}"


def _transcripts(sources: Sequence[ClipSource], config: ConvertConfig) -> Iterator[tuple[str, str]]:
    reasons: Counter[str] = Counter()
    example, timed = "", 0
    for source in sources:
        timed += bool(source.words)
        try:
            transcript(source, config)
        except ClipError as error:
            reasons[error.reason] += 1
            example = example or f"such as {source.id}: {error.detail}"
    shown = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    yield "word times", f"of {timed} clips" if timed < len(sources) else "of all clips"
    yield "bad transcripts", f"{shown}, {example}; would be rejected" if reasons else "none"


def _reused(catalog: Catalog, root: Path, config: ConvertConfig, reuse: Place | None) -> Iterator[tuple[str, str]]:
    if reuse is not None:
        count = Reuse(reuse, config).count(catalog, root)
        yield "reuse", f"{reuse} has crops of {count} of {len(catalog)} clips, taken where the videos are the same"


def _state(shards: int, left: list[ShardTask], state: Progress) -> str:
    if not state.resumed:
        return "not started"
    done = f"{shards - len(left)} of {shards} shards"
    return f"{done} are finished, {state.resumed} clips, {state.resumed_rejected} of them rejected"


def _bytes(left: list[ShardTask], root: Path, origin: Url | None, output: Place, config: ConvertConfig) -> str:
    spans = [clip.span for task in left for clip in task.sources]
    whole = spans.count(None)
    known = _known_seconds(left, whole, root, origin)
    mean = sum(known) / len(known) if known else DEFAULT_S
    size = FRAME_BYTES * config.fps * (sum(span[1] - span[0] for span in spans if span) + mean * whole)
    source = f"by the headers of {len(known)}" if known else "a guess"
    taken = f"{mean:.3g} s a whole video, {source}" if whole else "by the clips' times"
    less = "" if config.encoding.name == "raw" else f", less as {config.encoding.name}"
    return f"{len(spans)} clips, about {_size(size)} raw ({taken}{less}){_free(output, size)}"


def _free(output: Place, size: float) -> str:
    if isinstance(output, Url):
        return ""
    place = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    return f"; {_size(free)} are free{': too little' if size > free else ''}"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _known_seconds(left: list[ShardTask], count: int, root: Path, origin: Url | None) -> list[float]:
    """Returns the seconds of some of the `count` clips that are whole videos, spread evenly over all."""
    whole = (clip for task in left for clip in task.sources if clip.span is None)
    found = []
    most = MAX_HEADERS if origin is None else MAX_FETCHED
    step = max(1, count // most)
    for clip in itertools.islice(whole, 0, most * step, step):
        with contextlib.suppress(ClipError), mirror.fetched(clip, root, origin) as (at_hand, base):
            paths.check_video(at_hand.video, base)
            found.append(decode.end(at_hand.video))
    return found


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return repr(value) if isinstance(value, str) else str(value)
