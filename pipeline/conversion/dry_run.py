"""Reports what a conversion would do, and writes nothing."""

import dataclasses
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.conversion import job, lock
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.precheck import Findings
from pipeline.conversion.progress import Progress
from pipeline.conversion.reuse import Reuse
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource
from pipeline.records import directory, storage
from pipeline.records.bucket import Url
from pipeline.records.storage import Place
from pipeline.schema import FRAME_BYTES, Reason

DEFAULT_S = 3.0  # duration if no header says it


def report(
    sources: Iterable[ClipSource],
    root: str | Path,
    output: str | Place,
    config: ConvertConfig,
    workers: int,
    retry_rejected: bool,
    found: Findings,
    part: Part = WHOLE,
    reuse: Place | None = None,
    anew: bool = False,
) -> list[tuple[str, str]]:
    """Returns rows `(what, value)`: clips, shards, bad transcripts, finished shards, bytes to write, settings.

    Args as of `convert`, and `found`, what `precheck` says of the same clips.
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
        *_transcripts(found),
        *(
            []
            if part.is_whole
            else [("task", f"{part.task} of {part.tasks}: {state.clips} clips, {len(share)} shards")]
        ),
        ("output", f"{output}: {'finished, nothing to do' if finished else _state(len(share), left, state)}"),
        *_reused(catalog, root, config, reuse),
        ("workers", str(workers)),
        ("to write", _bytes(left, found.whole_s, output, config)),
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


def _transcripts(found: Findings) -> Iterator[tuple[str, str]]:
    yield "word times", f"of {found.timed} clips" if found.timed < found.clips else "of all clips"
    counts = ((found.unusable.count, Reason.BAD_TRANSCRIPT), (found.foreign_rejects, Reason.BAD_CHARACTER))
    shown = ", ".join(f"{clips} {reason}" for clips, reason in counts if clips)
    yield "bad transcripts", f"{shown}; would be rejected" if shown else "none"
    yield from found.rows()


def _reused(catalog: Catalog, root: Path, config: ConvertConfig, reuse: Place | None) -> Iterator[tuple[str, str]]:
    if reuse is not None:
        count = Reuse(reuse, config).count(catalog, root)
        yield "reuse", f"{reuse} has crops of {count} of {len(catalog)} clips, taken where the videos are the same"


def _state(shards: int, left: list[ShardTask], state: Progress) -> str:
    if not state.resumed:
        return "not started"
    done = f"{shards - len(left)} of {shards} shards"
    return f"{done} are finished, {state.resumed} clips, {state.resumed_rejected} of them rejected"


def _bytes(left: list[ShardTask], known: list[float], output: Place, config: ConvertConfig) -> str:
    spans = [clip.span for task in left for clip in task.sources]
    whole = spans.count(None)
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


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return repr(value) if isinstance(value, str) else str(value)
