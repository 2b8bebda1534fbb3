"""Talking-face videos -> a dataset directory of TFRecord shards.

    python -m scripts.convert --corpus=grid --source=GRID --output=data/grid

One shard is one unit of work. A killed conversion goes on with the same command and ends in the same bytes. Clips that
cannot be converted are listed in rejected.csv with the reason.
"""

import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from absl import flags
from tqdm import tqdm

from pipeline.conversion import dry_run
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import CLIP_TIMEOUT_S, MAX_REJECT_FRACTION, Progress, convert
from pipeline.corpora import CORPORA, Corpus
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.splits import SplitRule, assign, describe, shared_speakers
from pipeline.inspection.statistics import summary
from pipeline.mouth.crop import CropSettings
from pipeline.records.codecs import Encoding
from pipeline.records.directory import REJECTED, open_dataset
from pipeline.schema import DataError
from scripts.common import cli

LAYOUTS = "\n".join(f"{name}: {corpus.layout};" for name, corpus in CORPORA.items())
flags.DEFINE_enum("corpus", None, list(CORPORA), f"how --source is laid out\n{LAYOUTS}", required=True)
flags.DEFINE_string("source", None, "directory that holds the corpus", required=True)
flags.DEFINE_string("output", None, "directory to write; new, or an unfinished conversion to go on with", required=True)
flags.DEFINE_string("name", None, "beginning of the shards' names; default: the corpus")
flags.DEFINE_integer("workers", len(os.sched_getaffinity(0)), "processes; default: a core each", lower_bound=1)
flags.DEFINE_float("clip_timeout_s", CLIP_TIMEOUT_S, "seconds a clip may take before it is rejected", lower_bound=0.1)
flags.DEFINE_float(
    "max_reject_fraction",
    MAX_REJECT_FRACTION,
    "fail when more clips than this were rejected",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_bool("retry_rejected", False, "try again what could not be read, timed out or crashed in an earlier run")
flags.DEFINE_enum(
    "compression",
    "none",
    ["none", "gzip"],
    "of whole shards; gzip is refused, since records are read at byte offsets: see --encoding",
)
flags.DEFINE_bool("dry_run", False, "say what would be done; write nothing, and read of a few videos how long they are")
SPLIT = cli.Options(
    SplitRule,
    {
        "by": "clip: draw clips; speaker: draw whole speakers, unseen in training; corpus: as it was "
        "published, which lrw, lrs and folder do unless told otherwise, where their clips have a split",
        "val": "clips (speakers) for validation: a count such as 100, or a share such as 10%",
        "test": "the same for test; not with a corpus' own split",
        "seed": "of the split and of the order of clips in the shards",
        "allow_shared_speakers": "keep a corpus' own split that has a speaker in two of its parts",
    },
    names={"by": "split_by"},
)
CROP = cli.Options(
    CropSettings,
    {
        "mode": "face: find, track and align the mouth; box: a fixed --box of the picture; resize: the whole picture; "
        "lrw: box, around where its mouths are",
        "margin": "side of the crop in distances between the eyes (face)",
        "box": "x0,y0,x1,y1 as fractions of the picture (box)",
        "smoothing": "sigma in frames of the Gaussian over the mouth's track (face)",
        "max_gap": "longest run of frames without a face that is interpolated (face)",
    },
    names={"mode": "crop"},
)
ENCODING = cli.Options(
    Encoding,
    {"name": "of frames: raw, jpeg or png", "quality": "of jpeg, 1 to 100"},
    names={"name": "encoding"},
)
CONVERT = cli.Options(
    ConvertConfig,
    {
        "fps": "frames a second of the records; other videos are resampled",
        "clips_per_shard": "at most",
        "max_frames": "of a clip; what becomes of longer ones says --overlong",
        "overlong": "reject clips of more than --max_frames, or truncate them where word times say what is left",
        "alphabet": "characters a transcript may hold, lower case",
        "unknown": "reject clips with a character outside the alphabet, or write one that stands for all of them (unk, "
        "U+FFFD)",
    },
)


GZIP = (
    "--compression=gzip: records are read at byte offsets in random order, and a gzip stream can only be read from its "
    "start; --encoding=png and --encoding=jpeg make records smaller"
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    _refuse()
    values = flags.FLAGS
    source, output, corpus = Path(values.source), Path(values.output), CORPORA[values.corpus]
    _suit_crop(corpus)
    _refuse_of_faces()
    rule = SPLIT.build()
    config = CONVERT.build(
        name=values.name or values.corpus, crop=CROP.build(), encoding=ENCODING.build(), seed=rule.seed
    )
    sources = Catalog.of(tqdm(corpus.clips(source), unit="clip", desc="reading labels", delay=1, leave=False))
    if not values["split_by"].present:
        rule = replace(rule, by=corpus.split_by(sources))
    _refuse_amounts(sources, rule)
    split, sources = describe(sources, rule), assign(sources, rule)
    if values.dry_run:
        rows = dry_run.report(sources, source, output, config, values.workers, values.retry_rejected)
        cli.table([rows[0], ("split", split), *rows[1:]])
        _warn(sources)
    else:
        _convert(sources, source, output, config, rule, split)


def _refuse() -> None:
    """Refuses flags that have no effect beside others."""
    values = flags.FLAGS
    if values.compression == "gzip":
        raise DataError(GZIP)
    for name in ("max_reject_fraction", "clip_timeout_s"):
        if math.isnan(values[name].value):  # which no bound of a flag excludes
            raise DataError(f"--{name}: want a number, got nan")
    if values["quality"].present and values.encoding != "jpeg":
        raise DataError(f"--quality is of jpeg, and --encoding is {values.encoding}: leave it out, or --encoding=jpeg")


def _refuse_of_faces() -> None:
    """Refuses flags that have no effect where no face is sought."""
    values = flags.FLAGS
    if values.crop != "face" and (
        given := [name for name in ("margin", "smoothing", "max_gap") if values[name].present]
    ):
        raise DataError(f"--{given[0]}: goes with --crop=face, and --crop is {values.crop}: leave it out")


def _refuse_amounts(sources: Catalog, rule: SplitRule) -> None:
    """Refuses amounts of validation and test that the corpus' own split does not leave open."""
    named = ["test", *(["val"] if "val" in sources.split.values else [])]
    if rule.by == "corpus" and (given := [name for name in named if flags.FLAGS[name].present]):
        ways = "leave it out, or --split_by=clip or speaker"
        raise DataError(f"--{given[0]}: the corpus' own split is kept, which says what is {given[0]}: {ways}")


def _convert(sources: Catalog, source: Path, output: Path, config: ConvertConfig, rule: SplitRule, split: str) -> None:
    values = flags.FLAGS
    began = time.monotonic()
    states = convert(
        sources,
        source,
        output,
        config,
        workers=values.workers,
        clip_timeout_s=values.clip_timeout_s,
        max_reject_fraction=values.max_reject_fraction,
        retry_rejected=values.retry_rejected,
        flags={
            "corpus": values.corpus,
            "source": str(source),
            "output": str(output),
            "split": asdict(rule),
            **asdict(config),
        },
    )
    with contextlib.closing(states):
        state = _follow(states)
    _report(sources, split, output, state, time.monotonic() - began)


def _report(sources: Catalog, split: str, output: Path, state: Progress, seconds: float) -> None:
    print(
        f"{state.converted} clips converted and {state.rejected} rejected in {seconds:.0f} s; {state.resumed} were done"
    )
    cli.table([*summary(open_dataset(output)), ("split", split), ("time", _time(seconds, state))])
    _warn(sources)
    if rejected := state.rejected + state.resumed_rejected:
        print(f"rejects: {rejected}, with the reason in {output / REJECTED}")
    print(f"dataset: {output}")


def _warn(sources: Catalog) -> None:
    if not len(sources.split.rows("train")) and flags.FLAGS.test != "100%":
        print("no clip to train on: all are of val and test; lower those (--val, --test), or --split_by=clip")
    if shared := shared_speakers(sources):
        print(f"speakers in two splits: {len(shared)}, such as {shared[0]}; --split_by=speaker keeps each in one")


def _suit_crop(corpus: Corpus) -> None:
    """Makes the corpus' own box the default, where it has one."""
    values = flags.FLAGS
    if corpus.box is not None:
        values.set_default("crop", "box")
        if values.crop == "box":
            values.set_default("box", [str(side) for side in corpus.box])


def _follow(states: Iterator[Progress]) -> Progress:
    """Draws the bar; refusals come before it. Returns how far the job has come."""
    first = next(states)
    if not first.resumed and (idle := dry_run.idle_workers(flags.FLAGS.workers, first.shards)):
        print(f"workers: {idle}, which begins anew: stop this one, and name another --output")
    with tqdm(total=first.clips, initial=first.resumed, unit="clip", desc="converting") as bar:
        for state in itertools.chain([first], states):
            bar.set_postfix(rejected=state.resumed_rejected + state.rejected, refresh=False)
            bar.update(state.resumed + state.converted + state.rejected - bar.n)
    return state


def _time(seconds: float, state: Progress) -> str:
    """How long it took, and what the workers did in it."""
    stage_seconds = asdict(state.stage_seconds)
    shares = [f"{what} {part / sum(stage_seconds.values()):.0%}" for what, part in stage_seconds.items() if part]
    return f"{tqdm.format_interval(seconds)}{': ' if shares else ''}{', '.join(shares)}"


if __name__ == "__main__":
    cli.run(main, resumes=True)
