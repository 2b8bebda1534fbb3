"""Converts talking-face videos into a dataset directory of TFRecord shards.

    python -m scripts.convert --corpus=grid --source=GRID --output=data/grid

The mouth is found, tracked, turned upright and cropped. If the command is stopped or killed, the same command continues
and ends in the same bytes. Clips that cannot be converted are listed in rejected.csv with the reason.

Several machines share a conversion as tasks (--task, --tasks; by default those of a Slurm job array) or as workers of a
Dask cluster (--dask). --source and --output are then on a file system that all of them see, or in a store.
"""

import contextlib
import itertools
import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from absl import flags
from tqdm import tqdm

from pipeline.conversion import dry_run, overwrite, precheck
from pipeline.conversion.array import Part
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import CLIP_TIMEOUT_S, MAX_REJECT_FRACTION, Engine, Progress, convert, finalize_tasks
from pipeline.conversion.reuse import Reuse
from pipeline.corpora import CORPORA, Corpus, mirror
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.splits import SplitRule, assign, describe, shared_speakers
from pipeline.inspection.statistics import summary
from pipeline.mouth.cropping import CropSettings
from pipeline.records import storage
from pipeline.records.bucket import Url
from pipeline.records.codecs import Encoding
from pipeline.records.directory import MANIFEST, REJECTED, open_dataset
from pipeline.records.storage import Place
from pipeline.schema import DataError
from scripts.common import array_flags, cli, corpus_flags

Row = tuple[str, str]  # of a table that is printed
LAYOUTS = "\n".join(f"{name}: {corpus.layout};" for name, corpus in CORPORA.items())
flags.DEFINE_enum("corpus", None, list(CORPORA), f"how --source is laid out\n{LAYOUTS}", required=True)
flags.DEFINE_string("source", None, "directory or URL of the corpus", required=True)
flags.DEFINE_string(
    "output",
    None,
    "dataset directory or URL to write, or an unfinished one to continue",
    required=True,
)
flags.DEFINE_string("name", None, "prefix of the shards' names; default: the corpus")
flags.DEFINE_integer("workers", len(os.sched_getaffinity(0)), "processes; default: one per core", lower_bound=1)
flags.DEFINE_string(
    "dask",
    None,
    "address of a Dask scheduler whose workers convert, such as tcp://host:8786; local: --workers processes here",
)
flags.DEFINE_bool("dry_run", False, "report what would be done and write nothing")
flags.DEFINE_float("clip_timeout_s", CLIP_TIMEOUT_S, "seconds after which a clip is rejected", lower_bound=0.1)
flags.DEFINE_float(
    "max_reject_fraction",
    MAX_REJECT_FRACTION,
    "share of rejected clips above which the conversion fails",
    lower_bound=0,
    upper_bound=1,
)
array_flags.define()
corpus_flags.define()
flags.DEFINE_bool(
    "retry_rejected",
    False,
    "try again the clips of an earlier run that were unreadable, timed out, crashed or out of memory",
)
flags.DEFINE_string(
    "reuse",
    None,
    "finished dataset, directory or URL: clips of the same part of the same video take their crops from it, and their "
    "labels from the corpus as it is now; needs the same crop settings, --fps and --encoding, and changes no byte",
)
flags.DEFINE_bool("overwrite", False, "remove the dataset or unfinished conversion in --output, and begin anew")
SPLIT = cli.Options(
    SplitRule,
    {
        "by": "how clips are split. clip: draw clips; speaker: draw whole speakers, so that test speakers are unseen; "
        "corpus: keep the published split, the default of lrw, lrs and folder if their clips have one",
        "val": "clips (or speakers) for validation: a count such as 100, or a share such as 10%",
        "test": "the same for test; not with a published split",
        "seed": "of the split and of the order of clips in the shards",
        "allow_shared_speakers": "accept a published split (of grid, lrw, lrs) that has a speaker in two of its parts",
    },
    names={"by": "split_by"},
)
CROP = cli.Options(
    CropSettings,
    {
        "mode": "face: find, track and align the mouth; box: a fixed --box of the picture, the default of lrw; resize: "
        "the whole picture",
        "margin": "side of the crop in inter-ocular distances (face)",
        "box": "x0,y0,x1,y1 as fractions of the picture (box)",
        "smoothing": "sigma in frames of the Gaussian over the mouth's track (face)",
        "max_gap": "largest number of frames without a face that is interpolated (face)",
    },
    names={"mode": "crop", "margin": "crop_margin"},
)
ENCODING = cli.Options(
    Encoding,
    {"name": "how frames are stored: raw, jpeg or png", "quality": "jpeg quality, 1 to 100"},
    names={"name": "encoding"},
)
CONVERT = cli.Options(
    ConvertConfig,
    {
        "fps": "frame rate of the records; other videos are resampled",
        "clips_per_shard": "largest number of clips in a shard",
        "max_frames": "largest number of frames in a clip; --on_too_long says what happens to longer ones",
        "overlong": "reject clips of more than --max_frames, or truncate those with word times",
        "on_gap": "where the face is lost for more than --max_gap frames, and at a cut: reject the clip, or split it "
        "into its stretches with a face, each a clip ID@FRAME with the words that lie in it",
        "text": "as_is: transcripts in lower case, as the labels spell them; spoken: without punctuation and symbols, "
        "each run of which becomes a blank (well-known is two words, 3.5 is 3 5), but with apostrophes beside letters "
        "and digits (don't, dogs'; 'hello' loses both); digits stay. Words with times follow the same rule",
        "alphabet": "characters that a transcript may hold, lower case; from_data: a blank and the characters of the "
        "training clips' transcripts, by the rule --text",
        "unknown": "reject clips with a character outside --alphabet, or write U+FFFD in its place (unk)",
    },
    names={"overlong": "on_too_long"},
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    values = flags.FLAGS
    part = array_flags.part(in_slurm=not values.dask)
    _refuse(part)
    source, output, corpus = _place(values.source), _place(values.output), CORPORA[values.corpus]
    _suit_crop(corpus)
    _refuse_of_faces()
    corpus_flags.options(values.corpus)  # refuses them before a corpus in a store is fetched
    rule = SPLIT.build()
    config = CONVERT.build(
        name=values.name or values.corpus,
        crop=CROP.build(),
        encoding=ENCODING.build(),
        seed=rule.seed,
        **({"alphabet": ConvertConfig.alphabet} if _is_from_data() else {}),  # until labels are read
    )
    with _at_hand(source) as root:
        _plan_and_convert(corpus, root, source, output, rule, config, part)


def _plan_and_convert(
    corpus: Corpus, root: Path, source: Place, output: Place, rule: SplitRule, config: ConvertConfig, part: Part
) -> None:
    values = flags.FLAGS
    how = corpus_flags.options(values.corpus)
    sources = Catalog.of(tqdm(corpus.clips(root, **how), unit="clip", desc="reading labels", delay=1, leave=False))
    if not values["split_by"].present:
        rule = replace(rule, by=corpus.split_by(sources))
    _refuse_amounts(sources, rule)
    allowed = replace(rule, allow_shared_speakers=rule.allow_shared_speakers or not corpus.publishes_split)
    split, sources = describe(sources, rule), assign(sources, allowed)
    if _is_from_data():
        config = replace(config, alphabet=precheck.alphabet_of(sources, config))
        print(f"alphabet of the training clips: {len(config.alphabet)} characters, {config.alphabet!r}", flush=True)
    ends = {} if values.finalize else precheck.read_ends(sources, root, _origin(source), config.fps)
    found = precheck.check(sources, config, ends)
    for line in [*corpus.left_out(root, sources, **how), *found.lines()] if not values.finalize else ():
        print(line, flush=True)
    if values.reuse and not values.finalize:
        Reuse(_reused(), config)  # so that it is refused before anything is removed
    if removal := overwrite.plan(output) if values.overwrite else None:
        print(f"--overwrite: {'would remove' if values.dry_run else 'removes'} {output}: {removal}", flush=True)
    if values.dry_run:
        settings = values.workers, values.retry_rejected, found, part, _reused(), values.overwrite
        rows = dry_run.report(sources, root, output, config, *settings)
        cli.table([rows[0], ("split", split), *rows[1:]])
        _warn(sources)
    elif values.finalize:
        finalize_tasks(sources, root, output, config, values.tasks, values.max_reject_fraction)
        _report(sources, output, [("split", split), *found.rows()])
    else:
        if removal:
            overwrite.remove(removal)
        _convert(sources, root, output, config, rule, [("split", split), *found.rows()], part)


def _is_from_data() -> bool:
    return flags.FLAGS.alphabet == precheck.FROM_DATA


@contextlib.contextmanager
def _at_hand(source: Place) -> Iterator[Path]:
    """Yields the corpus itself if it lies on a disk, or a mirror of one in a store, which users do not know."""
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="lipflow-") as directory:
        for _ in tqdm(mirror.make(source, Path(directory)), unit="file", desc="fetching labels", delay=1, leave=False):
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


def _refuse(part: Part) -> None:
    """Refuses flags that other flags leave without effect."""
    values = flags.FLAGS
    names = ("retry_rejected", "dask", "workers", "reuse", "overwrite")
    if values.finalize and (given := [name for name in names if values[name].present]):
        raise DataError(f"--{given[0]}: --finalize converts nothing; leave one out")
    if values.retry_rejected and not part.is_whole:
        raise DataError("--retry_rejected: not for one of several tasks; give it without --task once all have ended")
    if values.overwrite and not part.is_whole:
        raise DataError("--overwrite: not for one of several tasks; remove --output before they are started")
    if values.reuse and storage.same(_place(values.reuse), _place(values.output)):
        raise DataError(f"--reuse={values.reuse}: is --output; name a new directory with --output")
    if values.dask and not part.is_whole:
        raise DataError("--dask: its workers share the conversion already; leave --task and --tasks out (see --help)")
    if values.dask not in (None, "local") and values["workers"].present:
        raise DataError(f"--workers: those of --dask={values.dask} convert; leave --workers out")
    for name in ("max_reject_fraction", "clip_timeout_s"):
        if math.isnan(values[name].value):  # which no bound of a flag excludes
            raise DataError(f"--{name}: want a number, got nan")
    if values["quality"].present and values.encoding != "jpeg":
        raise DataError(f"--quality: needs --encoding=jpeg, and --encoding is {values.encoding}; leave one out")


def _refuse_of_faces() -> None:
    """Refuses flags that have no effect if no face is sought."""
    values = flags.FLAGS
    if values.crop != "face" and (
        given := [name for name in ("crop_margin", "smoothing", "max_gap", "on_gap") if values[name].present]
    ):
        raise DataError(f"--{given[0]}: needs --crop=face, and --crop is {values.crop}; leave one out")


def _refuse_amounts(sources: Catalog, rule: SplitRule) -> None:
    """Refuses amounts of validation and test clips that the published split decides."""
    named = ["test", *(["val"] if "val" in sources.split.values else [])]
    if rule.by == "corpus" and (given := [name for name in named if flags.FLAGS[name].present]):
        way_out = "leave it out, or give --split_by=clip or speaker"
        raise DataError(f"--{given[0]}: the published split decides which clips are {given[0]}; {way_out}")


def _convert(
    sources: Catalog, root: Path, output: Place, config: ConvertConfig, rule: SplitRule, rows: list[Row], part: Part
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
        engine=_engine(root, output, _origin(source)),
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


def _suit_crop(corpus: Corpus) -> None:
    """Makes the corpus's own box the default, if it has one."""
    values = flags.FLAGS
    if corpus.box is not None:
        values.set_default("crop", "box")
        if values.crop == "box":
            values.set_default("box", [str(side) for side in corpus.box])


def _follow(states: Iterator[Progress], part: Part) -> Progress:
    """Shows progress, after the refusals; returns the final progress."""
    first = next(states)
    if not part.is_whole and first.left:
        print(f"task {part.task} of {part.tasks} (--task, --tasks): {first.clips} clips", flush=True)
    with tqdm(total=first.clips, initial=first.resumed, unit="clip", desc="converting") as bar:
        for state in itertools.chain([first], states):
            bar.set_postfix(rejected=state.resumed_rejected + state.rejected, refresh=False)
            bar.update(state.resumed + state.converted + state.rejected - bar.n)
    return state


def _time(seconds: float, state: Progress) -> str:
    """Describes how long it took, and the share of each stage."""
    stage_seconds = asdict(state.stage_seconds)
    shares = [f"{what} {part / sum(stage_seconds.values()):.0%}" for what, part in stage_seconds.items() if part]
    return f"{tqdm.format_interval(seconds)}{': ' if shares else ''}{', '.join(shares)}"


if __name__ == "__main__":
    cli.run(main, resumes=True)
