"""What a conversion would do, told before it is begun: a few videos' headers are read and nothing is written."""

import contextlib
import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import claim, convert, shards, video
from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource
from pipeline.journal import Progress
from pipeline.schema import FRAME_BYTES, ClipError
from pipeline.unit import ConvertConfig, ShardTask, plan_shards, transcript

ASKED = 20  # videos, of which the header says how long they are
UNKNOWN_S = 3.0  # taken where none of them says


def forecast(
    sources: Sequence[ClipSource], root: Path, output: Path, config: ConvertConfig, workers: int, retry_rejected: bool
) -> list[tuple[str, str]]:
    """Rows `(what, value)`: clips and shards, transcripts that are known to be bad, what is done already, settings.

    Raises:
      DataError: as `convert` would.
    """
    tasks = plan_shards(sources, config)
    claim.check(output, claim.job(root, tasks, config), tasks)
    claim.check_free(output)
    left, state = convert.survey(tasks, output, config, retry_rejected)
    if finished := (output / shards.MANIFEST).is_file():
        left = []
    return [
        ("clips", f"{len(sources)}, {_speakers(sources)}"),
        *_splits(tasks, config),
        ("bad transcripts", _bad_transcripts(sources, config)),
        ("output", f"{output}: {'finished, nothing is left to do' if finished else _state(len(tasks), left, state)}"),
        ("workers", _workers(workers, len(left))),
        ("to write", _bytes(left, root, output, config)),
        *((field, _shown(value)) for field, value in dataclasses.asdict(config).items()),
    ]


def _speakers(sources: Sequence[ClipSource]) -> str:
    named = len({source.speaker for source in sources} - {""})
    return f"{named} speakers" if named else "speakers not named"


def _splits(tasks: list[ShardTask], config: ConvertConfig) -> Iterator[tuple[str, str]]:
    for split in dict.fromkeys(task.split for task in tasks):
        own = [task for task in tasks if task.split == split]
        clips = [source for task in own for source in task.sources]
        files = f"{own[0].file(config.name)}{' and on' if len(own) > 1 else ''}"
        yield f"  {split}", f"{len(clips)} clips, {_speakers(clips)}, {len(own)} shards: {files}"


def _bad_transcripts(sources: Sequence[ClipSource], config: ConvertConfig) -> str:
    reasons: Counter[str] = Counter()
    example = ""
    for source in sources:
        try:
            transcript(source, config.alphabet)
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


def _workers(workers: int, left: int) -> str:
    if not 0 < left < workers:
        return str(workers)
    return f"{workers}, {left} of them with work: a shard is one's; a lower --clips_per_shard makes more"


def _bytes(left: list[ShardTask], root: Path, output: Path, config: ConvertConfig) -> str:
    clips = [source for task in left for source in task.sources]
    whole = [clip for clip in clips if clip.span is None]
    known = _known_seconds(whole, root)
    mean = sum(known) / len(known) if known else UNKNOWN_S
    spans = sum(clip.span[1] - clip.span[0] for clip in clips if clip.span is not None)
    size = FRAME_BYTES * config.fps * (spans + mean * len(whole))
    place = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    source = f"as {len(known)} of them say" if known else "a guess"
    taken = f"{mean:.3g} s a whole video, {source}" if whole else "by the times of the clips"
    less = "" if config.encoding.name == "raw" else f", less as {config.encoding.name}"
    short = ": too little" if size > free else ""
    return f"{len(clips)} clips, about {_size(size)} raw ({taken}{less}); {_size(free)} are free{short}"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _known_seconds(clips: Sequence[ClipSource], root: Path) -> list[float]:
    """How long some of `clips` are, spread evenly over all."""
    found = []
    for clip in clips[:: max(1, len(clips) // ASKED)][:ASKED]:
        with contextlib.suppress(ClipError):
            paths.check_video(clip.video, root)
            found.append(video.seconds(clip.video))
    return found


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return repr(value) if isinstance(value, str) else str(value)
