"""Inspects, indexes and upgrades dataset directories."""

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from pipeline.inspection import compare, preview, statistics
from pipeline.loading import augment
from pipeline.loading.config import AugmentConfig
from pipeline.records import directory, reindex, storage
from pipeline.records.directory import DatasetDir
from pipeline.records.storage import Place
from pipeline.schema import Clip, DataError
from scripts.common import cli, records_flags
from scripts.common.bars import bar
from scripts.common.records_flags import MAX_NAMED, PICTURES, VARIANTS
from scripts.reports import dataset_page, origin


def _stats(dataset: DatasetDir) -> None:
    cli.table(statistics.summary(dataset))


def _verify(dataset: DatasetDir) -> None:
    checks = bar(directory.verify(dataset), total=len(dataset.shards) + len(dataset.index), unit="check")
    problems = [problem for problem in checks if problem]
    for problem in problems:
        print(problem)
    if problems:
        raise DataError(f"{dataset.root}: {len(problems)} problems, listed above; restore the shards or convert again")
    print(f"{dataset.root}: {len(dataset.shards)} shards, {len(dataset.index)} records, all sound")


def _show(dataset: DatasetDir) -> None:
    record = _named(dataset, [0])[0]
    clip, row = directory.read_record(dataset, record), dataset.index.row(record)
    place = f"{dataset.shards[dataset.index.shard[record]].name} offset {row.offset}, {row.length:,} bytes"
    frames = clip.frames
    cli.table(
        [
            ("id", clip.id),
            ("speaker", clip.speaker),
            ("text", clip.text),
            ("source", clip.source),
            ("record", place),
            ("frames", f"{len(frames)} at {clip.fps:g} fps, uint8 {frames.min()} to {frames.max()}"),
            ("tracked", f"{int(clip.tracked.sum())} of {len(frames)}"),
            ("doubt", "not scored" if clip.doubt is None else f"{clip.doubt:.2f} {clip.doubt_cause}".rstrip()),
            *[(f"column {name}", value if value.isprintable() else repr(value)) for name, value in clip.columns],
            *[(f"  {word.text}", f"frames {word.start} to {word.stop - 1}") for word in clip.words],
        ]
    )


def _preview(dataset: DatasetDir, augmented: AugmentConfig | None) -> None:
    chosen = _named(dataset, preview.sample(dataset, _clips(4), flags.FLAGS.seed))
    output = _output(dataset, "preview")
    clips = [directory.read_record(dataset, record) for record in chosen]
    clips = clips if augmented is None else _with_variants(clips, augmented)
    with storage.replacing(output) as temporary:
        preview.contact_sheet(clips).save(temporary, PICTURES[output.suffix.lower()])
    print(f"{output}: {', '.join(clip.id for clip in clips)}")


def _with_variants(clips: list[Clip], config: AugmentConfig) -> list[Clip]:
    """Returns each clip, followed by its augmentation in the first epochs of training."""
    seed = flags.FLAGS.seed
    return [each for c in clips for each in (c, *(augment.apply_to_clip(c, config, seed, n) for n in range(VARIANTS)))]


def _report(dataset: DatasetDir) -> None:
    output = _output(dataset, "report")
    head = [*origin.of_data(dataset), *origin.made(origin.now(), origin.command("records", sys.argv[1:]))]
    html = dataset_page.html(dataset, head, _clips(12), flags.FLAGS.measure, flags.FLAGS.seed, _bar("clip"))
    with storage.replacing(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _diff(a: DatasetDir, b: DatasetDir) -> None:
    found = compare.difference(a, b, _bar("shard"))
    limit = None if flags.FLAGS.all else MAX_NAMED
    _print_settings(found)
    for name, dataset, rows in zip("AB", (a, b), found.only, strict=True):
        _print_clips(f"only in {name}", dataset.index.id[rows[:limit]].tolist(), len(rows))
    for what, places in found.changed.items():
        lines = [compare.change(a, b, what, *pair) for pair in found.both[places[:limit]].tolist()]
        _print_clips(f"differ in {what}", lines, len(places))
    _print_opened(a, b, found)
    print(f"{len(found.both):,} clips in both; {_counted(found)}")
    sys.exit(1 if found else 0)


def _counted(found: compare.Difference) -> str:
    clips = len(functools.reduce(np.union1d, found.changed.values(), ()))
    lonely = sum(map(len, found.only))
    counts = {"different clips": clips, "clips in one alone": lonely, "different settings": len(found.settings)}
    return "; ".join(f"{what}: {count:,}" for what, count in counts.items() if count) or "no difference"


def _named(dataset: DatasetDir, otherwise: list[int]) -> list[int]:
    """Returns the index row of --id, or `otherwise`."""
    if not len(dataset.index):
        raise DataError(f"{dataset.root}: holds no clips; convert some")
    if not flags.FLAGS.id:
        return otherwise
    found = np.flatnonzero(dataset.index.id == flags.FLAGS.id)
    if not len(found):
        raise DataError(f"--id: no clip {flags.FLAGS.id!r} in {dataset.root}; ids look like {dataset.index.id[0]}")
    return found.tolist()


def _clips(default: int) -> int:
    return default if flags.FLAGS.clips is None else flags.FLAGS.clips


def _output(dataset: DatasetDir, command: str) -> Path:
    root = dataset.root.resolve() if isinstance(dataset.root, Path) else Path(dataset.root.name)
    default = records_flags.OUTPUTS[command][0]
    output = storage.local(flags.FLAGS.output or root.with_name(f"{root.name}-{default}"))
    records_flags.check_output(command, output)
    return output


def _bar(unit: str) -> Callable[[list[Any]], Iterable[Any]]:
    return functools.partial(bar, unit=unit, leave=False, delay=0.5)


def _print_settings(found: compare.Difference) -> None:
    if found.settings:
        cells = [("setting", "A", "B"), *((key, *map(_value, values)) for key, *values in found.settings)]
        cli.table([(key, f"{a}  ->  {b}") for key, a, b in cells])


def _value(value: Any) -> str:
    return "(none)" if value is None else str(value)


def _print_clips(title: str, lines: list[str], count: int) -> None:
    if count:
        print(f"{title}: {count:,}")
    for line in lines:
        print(f"  {line}")
    if count > len(lines):
        print(f"  and {count - len(lines):,} more (--all names them)")


def _print_opened(a: DatasetDir, b: DatasetDir, found: compare.Difference) -> None:
    rows = compare.worth_opening(a, b, found, _clips(100))
    if not len(rows):
        return
    track = _bar("clip")
    opened = list(compare.look_into(a, b, track(rows.tolist())))
    print(f"opened: {len(rows):,} of them")
    for what, unit in compare.UNITS.items():
        amounts = [by[what] for by in opened if what in by]
        if amounts:
            mean = f", by {np.mean(amounts):.3g} {unit} in the mean" if unit else ""
            print(f"  {len(amounts):,} differ in {what}{mean}")


def _index(root: Place) -> None:
    _describe(root, reindex.index(root))


def _upgrade(root: Place) -> None:
    _describe(root, reindex.upgrade(root))


def _describe(root: Place, shards: Iterable[Place]) -> None:
    read = list(bar(shards, unit="shard"))
    dataset = directory.open_dataset(root)
    print(f"{root}: {len(read)} shards, {len(dataset.index)} records of splits {', '.join(dataset.splits)}")


DESCRIBE: dict[str, Callable[[Place], None]] = {"index": _index, "upgrade": _upgrade}  # of what cannot be opened yet
COMMANDS: dict[str, Callable[..., None]] = {
    "stats": _stats,
    "verify": _verify,
    "show": _show,
    "preview": _preview,
    "report": _report,
    "diff": _diff,
}


def run(command: str, places: list[Place], **how: Any) -> None:
    """Runs a command on the datasets at `places`; preview takes how clips are `augmented`."""
    if command in DESCRIBE:
        DESCRIBE[command](*places)
    else:
        COMMANDS[command](*map(directory.open_dataset, places), **how)
