"""What a conversion would do, told before it is begun: a few videos' headers are read and nothing is written."""

import contextlib
import dataclasses
import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.conversion import job, lock
from pipeline.conversion.clip import transcript
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.progress import Progress
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora import paths
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource
from pipeline.records import directory
from pipeline.schema import FRAME_BYTES, ClipError
from pipeline.video import decode

ASKED = 20  # videos, of which the header says how long they are
UNKNOWN_S = 3.0  # taken where none of them says


def report(
    sources: Iterable[ClipSource], root: Path, output: Path, config: ConvertConfig, workers: int, retry_rejected: bool
) -> list[tuple[str, str]]:
    """Rows `(what, value)`: clips and shards, transcripts that are known to be bad, what is done already, settings.

    Raises:
      DataError: as `convert` would.
    """
    listing = Catalog.of(sources)
    tasks = plan_shards(listing, config)
    lock.check(output, lock.Job(root, tasks, config))
    lock.check_free(output)
    left, state = job.survey(tasks, output, config, retry_rejected)
    if finished := (output / directory.MANIFEST).is_file():
        left = []
    return [
        ("clips", f"{len(listing)}, {_speakers(listing, np.arange(len(listing)))}"),
        *_splits(listing, tasks, config),
        ("bad transcripts", _bad_transcripts(listing, config)),
        ("output", f"{output}: {'finished, nothing is left to do' if finished else _state(len(tasks), left, state)}"),
        ("workers", idle_workers(workers, len(left)) or str(workers)),
        ("to write", _bytes(left, root, output, config)),
        *((field, _shown(value)) for field, value in dataclasses.asdict(config).items()),
    ]


def _speakers(listing: Catalog, rows: np.ndarray) -> str:
    named = len({listing.speaker.values[code] for code in np.unique(listing.speaker.codes[rows])} - {""})
    return f"{named} speakers" if named else "speakers not named"


def _splits(listing: Catalog, tasks: list[ShardTask], config: ConvertConfig) -> Iterator[tuple[str, str]]:
    for split in dict.fromkeys(task.split for task in tasks):
        own, rows = [task for task in tasks if task.split == split], listing.split.rows(split)
        files = f"{own[0].file(config.name)}{' and on' if len(own) > 1 else ''}"
        yield f"  {split}", f"{len(rows)} clips, {_speakers(listing, rows)}, {len(own)} shards: {files}"


def _bad_transcripts(sources: Iterable[ClipSource], config: ConvertConfig) -> str:
    reasons: Counter[str] = Counter()
    example = ""
    for source in sources:
        try:
            transcript(source, config)
        except ClipError as error:
            reasons[error.reason] += 1
            example = example or f"such as {source.id}: {error.detail}"
    shown = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    return f"{shown}, {example}; to be rejected" if reasons else "none"


def _state(shards: int, left: list[ShardTask], state: Progress) -> str:
    if not state.resumed:
        return "to be begun"
    done = f"{shards - len(left)} of {shards} shards"
    return f"{done} are done, {state.resumed} clips, {state.resumed_rejected} of them rejected"


def idle_workers(workers: int, left: int) -> str:
    """What is said of more workers than shards; nothing of others."""
    if not 0 < left < workers:
        return ""
    return f"{workers}, {left} of them with work: a shard is one's; a lower --clips_per_shard makes more"


def _bytes(left: list[ShardTask], root: Path, output: Path, config: ConvertConfig) -> str:
    spans = [clip.span for task in left for clip in task.sources]
    whole = spans.count(None)
    known = _known_seconds(left, whole, root)
    mean = sum(known) / len(known) if known else UNKNOWN_S
    size = FRAME_BYTES * config.fps * (sum(span[1] - span[0] for span in spans if span) + mean * whole)
    place = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    source = f"as {len(known)} of them say" if known else "a guess"
    taken = f"{mean:.3g} s a whole video, {source}" if whole else "by the times of the clips"
    less = "" if config.encoding.name == "raw" else f", less as {config.encoding.name}"
    short = ": too little" if size > free else ""
    return f"{len(spans)} clips, about {_size(size)} raw ({taken}{less}); {_size(free)} are free{short}"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _known_seconds(left: list[ShardTask], count: int, root: Path) -> list[float]:
    """How long some of the `count` clips are that are whole videos, spread evenly over all."""
    whole = (clip for task in left for clip in task.sources if clip.span is None)
    found = []
    for clip in itertools.islice(whole, 0, ASKED * max(1, count // ASKED), max(1, count // ASKED)):
        with contextlib.suppress(ClipError):
            paths.check_video(clip.video, root)
            found.append(decode.duration(clip.video))
    return found


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return repr(value) if isinstance(value, str) else str(value)
