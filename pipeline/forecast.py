"""What a conversion would do, told before it is begun: no video is opened and nothing is written."""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import claim, convert, shards
from pipeline.corpora.source import ClipSource
from pipeline.journal import Progress
from pipeline.schema import FRAME_BYTES, ClipError
from pipeline.unit import ConvertConfig, ShardTask, plan_shards, transcript

UNTIMED_S = 3.0  # taken for a clip of which the corpus says no time


def forecast(
    sources: Sequence[ClipSource], root: Path, output: Path, config: ConvertConfig, retry_rejected: bool
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
        ("to write", _bytes(left, output, config)),
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


def _bytes(left: list[ShardTask], output: Path, config: ConvertConfig) -> str:
    clips = [source for task in left for source in task.sources]
    size = FRAME_BYTES * config.fps * sum(_seconds(clip) for clip in clips)
    place = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    untimed = sum(clip.span is None and not clip.words for clip in clips)
    taken = (
        f"{untimed} clips without times taken for {UNTIMED_S:g} s"
        if untimed
        else "clips taken to end with their last word"
    )
    less = "" if config.encoding.name == "raw" else f", less as {config.encoding.name}"
    short = ": too little" if size > free else ""
    return f"{len(clips)} clips, about {_size(size)} raw ({taken}{less}); {_size(free)} are free{short}"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _seconds(clip: ClipSource) -> float:
    if clip.span is not None:
        return clip.span[1] - clip.span[0]
    return max((word.stop for word in clip.words), default=UNTIMED_S)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return repr(value) if isinstance(value, str) else str(value)
