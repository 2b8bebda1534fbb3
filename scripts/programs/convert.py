"""Converts the corpus of the flags, or says what a conversion would do, or finishes one that tasks have made."""

import contextlib
import functools
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from absl import flags
from tqdm import tqdm

from pipeline.conversion import dry_run, overwrite, precheck, run_log
from pipeline.conversion.array import Part
from pipeline.conversion.config import FROM_DATA, ConvertConfig
from pipeline.conversion.finalize import too_many
from pipeline.conversion.job import Engine, Progress, convert, finalize_tasks
from pipeline.conversion.reuse import Reuse
from pipeline.conversion.shard import plan_shards
from pipeline.corpora import CORPORA, Corpus, mirror
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.splits import SplitRule, assign, describe, shared_speakers
from pipeline.inspection.statistics import summary
from pipeline.records import storage
from pipeline.records.bucket import Url
from pipeline.records.directory import MANIFEST, REJECTED, open_dataset
from pipeline.records.storage import Place
from pipeline.schema import DataError
from scripts.common import cli, corpus_flags
from scripts.common.bars import bar

Row = tuple[str, str]  # of a table that is printed


def run(rule: SplitRule, config: ConvertConfig, part: Part) -> None:
    """Converts the corpus of the flags; `rule` splits it, `config` decides the bytes, `part` is this task's share."""
    values = flags.FLAGS
    source, output = _place(values.source), _place(values.output)
    with _at_hand(source) as root:
        _plan_and_convert(CORPORA[values.corpus], root, source, output, rule, config, part)


def _plan_and_convert(
    corpus: Corpus, root: Path, source: Place, output: Place, rule: SplitRule, config: ConvertConfig, part: Part
) -> None:
    values = flags.FLAGS
    how = corpus_flags.options(values.corpus)
    sources = Catalog.of(_bar("reading labels")(corpus.clips(root, **how)))
    if not values["split_by"].present:
        rule = replace(rule, by=corpus.split_by(sources))
    _refuse_amounts(sources, rule)
    allowed = replace(rule, allow_shared_speakers=rule.allow_shared_speakers or not corpus.publishes_split)
    split, sources = describe(sources, rule), assign(sources, allowed)
    if _is_from_data():
        config = replace(config, alphabet=precheck.alphabet_of(sources, config))
        print(f"alphabet of the training clips: {len(config.alphabet)} characters, {config.alphabet!r}", flush=True)
    ends = {} if values.finalize else precheck.read_ends(sources, root, _origin(source), config.fps)
    found = precheck.check(sources, config, ends, _bar("checking labels"))
    for line in [*corpus.left_out(root, sources, **how), *found.lines()] if not values.finalize else ():
        print(line, flush=True)
    _refuse_what_cannot_begin(sources, config, found)  # before anything is removed
    if removal := overwrite.plan(output) if values.overwrite else None:
        print(f"--overwrite: {'would remove' if values.dry_run else 'removes'} {output}: {removal}", flush=True)
    if values.dry_run:
        settings = values.workers, values.retry_rejected, found, part, _reused(), values.overwrite
        rows = dry_run.report(sources, root, output, config, *settings)
        cli.table([rows[0], ("split", split), *rows[1:]])
        if too_many(found.rejects, found.clips, values.max_reject_fraction):
            known = f"{found.rejects} of {found.clips} clips are known to be rejected (see above)"
            print(f"would fail: {known}, more than --max_reject_fraction={values.max_reject_fraction:g} allows")
        _warn(sources)
    elif values.finalize:
        finalize_tasks(sources, root, output, config, values.tasks, values.max_reject_fraction)
        _report(sources, output, [("split", split), *found.rows()])
    else:
        engine = _engine(root, output, _origin(source))
        if removal:
            overwrite.remove(removal)
        _convert(sources, root, output, config, rule, [("split", split), *found.rows()], part, engine)


def _is_from_data() -> bool:
    return flags.FLAGS.alphabet == FROM_DATA


def _bar(what: str) -> precheck.Track:
    return functools.partial(bar, unit="clip", desc=what, delay=1, leave=False)


@contextlib.contextmanager
def _at_hand(source: Place) -> Iterator[Path]:
    """Yields the corpus itself if it lies on a disk, or a mirror of one in a store, which users do not know."""
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="lipflow-") as directory:
        for _ in bar(mirror.make(source, Path(directory)), unit="file", desc="fetching labels", delay=1, leave=False):
            pass
        try:
            yield Path(directory)
        except DataError as error:
            raise DataError(str(error).replace(directory, str(source))) from error


def _place(name: str) -> Place:
    """The place of a path or URL; a path means the same in every directory, since Dask workers have others."""
    place = storage.place(name)
    return place.absolute() if isinstance(place, Path) and flags.FLAGS.dask else place


def _reused() -> Place | None:
    return _place(flags.FLAGS.reuse) if flags.FLAGS.reuse else None


def _origin(source: Place) -> Url | None:
    return source if isinstance(source, Url) else None


def _refuse_amounts(sources: Catalog, rule: SplitRule) -> None:
    """Refuses amounts of validation and test clips that the split of the corpus decides."""
    named = ["test", *(["val"] if "val" in sources.split.values else [])]
    if rule.by == "corpus" and (given := [name for name in named if flags.FLAGS[name].present]):
        way_out = "leave it out, or give --split_by=clip or speaker"
        raise DataError(f"--{given[0]}: the split of the corpus decides which clips are {given[0]}; {way_out}")


def _refuse_what_cannot_begin(sources: Catalog, config: ConvertConfig, found: precheck.Findings) -> None:
    """Refuses a dataset whose crops cannot be taken; before a removal also what `convert` would refuse later."""
    values = flags.FLAGS
    if values.reuse and not values.finalize:
        if moved := Reuse(_reused(), config).moved(sources):
            keeps = "a column split in clips.csv keeps clips where they are"
            print(f"--reuse: {moved} clips are in another split than in {values.reuse}; {keeps}", flush=True)
        for difference in run_log.other_versions(_reused()):
            print(f"--reuse: {difference}, so crops may not be those of a conversion from scratch", flush=True)
    if values.overwrite:  # without it `convert` says so before it writes, and ten million clips are planned in 16 s
        plan_shards(sources, config)
        if too_many(found.rejects, found.clips, values.max_reject_fraction):
            advice = "correct them first (see above), or raise --max_reject_fraction"
            raise DataError(f"--overwrite: {found.rejects} of {found.clips} clips cannot be converted; {advice}")


def _convert(
    sources: Catalog,
    root: Path,
    output: Place,
    config: ConvertConfig,
    rule: SplitRule,
    rows: list[Row],
    part: Part,
    engine: Engine | None,
) -> None:
    values = flags.FLAGS
    source, began = _place(values.source), time.monotonic()
    states = convert(
        sources,
        root,
        output,
        config,
        origin=_origin(source),
        workers=values.workers,
        clip_timeout_s=values.clip_timeout_s,
        max_reject_fraction=values.max_reject_fraction,
        retry_rejected=values.retry_rejected,
        flags={
            **({"dask": values.dask} if values.dask else {"workers": values.workers}),
            "corpus": values.corpus,
            "source": str(source),
            "output": str(output),
            **({"reuse": str(_reused())} if values.reuse else {}),
            "split": asdict(rule),
            **corpus_flags.options(values.corpus),
            **asdict(config),
        },
        engine=engine,
        part=part,
        reuse=_reused(),
    )
    with contextlib.closing(states):
        state = _follow(states, part)
    seconds = time.monotonic() - began
    counts = f"{state.converted} clips converted, {state.rejected} rejected"
    taken = f"; {state.reused} with crops of {values.reuse}" if values.reuse else ""
    print(f"{counts} in {seconds:.0f} s{taken}; {state.resumed} were finished")
    if part.is_whole or storage.exists(output / MANIFEST):
        _report(sources, output, [*rows, ("time", _time(seconds, state))])
    else:
        cli.table([("time", _time(seconds, state))])
        last = f"the last of {part.tasks} tasks, or --tasks={part.tasks} --finalize, finishes the dataset"
        print(f"task {part.task}: all its shards are made; {last}")


def _engine(root: Path, output: Place, origin: Url | None) -> Engine | None:
    """Returns what runs the shards in place of this machine's processes, if another does."""
    values = flags.FLAGS
    if not values.dask:
        return None
    try:
        from pipeline.conversion import dask  # optional, and it takes a second to load
    except ModuleNotFoundError as error:
        raise DataError(f"--dask: {error.name} is missing; pip install -r requirements-dask.txt") from error
    return dask.Cluster(values.dask, values.workers, output, root, origin, tqdm.write).run


def _report(sources: Catalog, output: Place, rows: list[Row]) -> None:
    dataset = open_dataset(output)
    cli.table([*summary(dataset), *rows])
    _warn(sources)
    if rejected := sum(dataset.manifest["rejected"].values()):
        print(f"rejects: {rejected}, with the reason in {output / REJECTED}")
    print(f"dataset: {output}")


def _warn(sources: Catalog) -> None:
    if not len(sources.split.rows("train")) and flags.FLAGS.test != "100%":
        print("no clip to train on: all are in val and test; lower --val and --test, or give --split_by=clip")
    if shared := shared_speakers(sources):
        print(f"speakers in two splits: {len(shared)}, such as {shared[0]}; --split_by=speaker keeps each in one")


def _follow(states: Iterator[Progress], part: Part) -> Progress:
    """Shows progress, after the refusals; returns the final progress."""
    first = next(states)
    if not part.is_whole and first.left:
        print(f"task {part.task} of {part.tasks} (--task, --tasks): {first.clips} clips", flush=True)
    with bar(total=first.clips, initial=first.resumed, unit="clip", desc="converting") as shown:
        for state in itertools.chain([first], states):
            shown.set_postfix(rejected=state.resumed_rejected + state.rejected, refresh=False)
            shown.update(state.resumed + state.converted + state.rejected - shown.n)
    return state


def _time(seconds: float, state: Progress) -> str:
    """Describes how long it took, and the share of each stage."""
    stage_seconds = asdict(state.stage_seconds)
    shares = [f"{what} {part / sum(stage_seconds.values()):.0%}" for what, part in stage_seconds.items() if part]
    return f"{tqdm.format_interval(seconds)}{': ' if shares else ''}{', '.join(shares)}"
