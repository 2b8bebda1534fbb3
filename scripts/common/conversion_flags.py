"""The flags of `scripts.convert`: what each decides, and which exclude each other."""

import dataclasses
import math
import os

from absl import flags

from pipeline.conversion.array import Part
from pipeline.conversion.config import CLIP_TIMEOUT_S, FROM_DATA, MAX_REJECT_FRACTION, ConvertConfig
from pipeline.corpora import CORPORA, Corpus
from pipeline.corpora.splits import SplitRule
from pipeline.mouth.settings import CropSettings
from pipeline.records import storage
from pipeline.records.codecs import Encoding
from pipeline.schema import DataError
from scripts.common import array_flags, cli, corpus_flags

flags.disclaim_key_flags()

GROUPS = {  # of --help, the often used first
    "What to convert": ("corpus", "source", "output", "name", *corpus_flags.NAMES),
    "Splits": ("split_by", "val", "test", "seed", "allow_shared_speakers"),
    "Transcripts": ("text", "alphabet", "unknown"),
    "Crops": ("crop", "crop_margin", "box", "smoothing", "max_gap", "on_gap"),
    "Records": ("encoding", "quality", "fps", "max_frames", "on_too_long", "clips_per_shard"),
    "How it runs": (
        *("workers", "dry_run", "max_reject_fraction", "clip_timeout_s", "retry_rejected", "reuse", "overwrite"),
    ),
    "Several machines": ("task", "tasks", "finalize", "dask"),
}
LAYOUTS = "\n".join(f"{name}: {corpus.layout};" for name, corpus in CORPORA.items())


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of the dataclasses that decide a conversion."""

    split: cli.Options
    crop: cli.Options
    encoding: cli.Options
    convert: cli.Options

    def build(self) -> tuple[SplitRule, ConvertConfig]:
        """Builds what the flags ask for; an alphabet from the data is the default one until labels are read.

        Raises:
          DataError: a value is refused; the flag is named.
        """
        rule, values = self.split.build(), flags.FLAGS
        known = {"alphabet": ConvertConfig.alphabet} if values.alphabet == FROM_DATA else {}
        parts = {"crop": self.crop.build(), "encoding": self.encoding.build()}
        return rule, self.convert.build(name=values.name or values.corpus, seed=rule.seed, **parts, **known)


def define() -> Options:
    """Defines all flags of a conversion."""
    _define_job()
    array_flags.define()
    corpus_flags.define()
    return Options(_split_options(), _crop_options(), _encoding_options(), _convert_options())


def _define_job() -> None:
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
    flags.DEFINE_bool(
        "retry_rejected",
        False,
        "try again the clips of an earlier run that were unreadable, timed out, crashed or out of memory",
    )
    flags.DEFINE_string(
        "reuse",
        None,
        "dataset or unfinished conversion, directory or URL. Clips of the same part of the same video take their crops "
        "from it, and their labels from the corpus as it is now. It needs the same crop settings, --fps and "
        "--encoding, and changes no byte",
    )
    flags.DEFINE_bool("overwrite", False, "remove the dataset or unfinished conversion in --output, and begin anew")


def _split_options() -> cli.Options:
    return cli.Options(
        SplitRule,
        {
            "by": "how clips are split. clip: draw clips; speaker: draw whole speakers, so that test speakers are "
            "unseen; corpus: keep the published split, the default of lrw, lrs and folder if their clips have one",
            "val": "clips (or speakers) for validation: a count such as 100, or a share such as 10%",
            "test": "clips (or speakers) for test, in the same way; not with a published split",
            "seed": "decides the split and the order of clips in the shards",
            "allow_shared_speakers": "accept a published split (of grid, lrw, lrs) that has a speaker in two of its "
            "parts",
        },
        names={"by": "split_by"},
    )


def _crop_options() -> cli.Options:
    return cli.Options(
        CropSettings,
        {
            "mode": "face: find, track and align the mouth; box: a fixed --box of the picture, the default of lrw; "
            "resize: the whole picture",
            "margin": "side of the crop in inter-ocular distances (face)",
            "box": "x0,y0,x1,y1 as fractions of the picture (box)",
            "smoothing": "sigma in frames of the Gaussian over the mouth's track (face)",
            "max_gap": "largest number of frames without a face that is interpolated (face)",
        },
        names={"mode": "crop", "margin": "crop_margin"},
    )


def _encoding_options() -> cli.Options:
    return cli.Options(
        Encoding,
        {"name": "how frames are stored: raw, jpeg or png", "quality": "jpeg quality, 1 to 100"},
        names={"name": "encoding"},
    )


def _convert_options() -> cli.Options:
    return cli.Options(
        ConvertConfig,
        {
            "fps": "frame rate of the records; other videos are resampled",
            "clips_per_shard": "largest number of clips in a shard",
            "max_frames": "largest number of frames in a clip; --on_too_long says what happens to longer ones",
            "overlong": "reject clips of more than --max_frames, or truncate those with word times",
            "on_gap": "where the face is lost for more than --max_gap frames, and at a cut: reject the clip, or split "
            "it into its stretches with a face, each a clip ID@FRAME with the words that lie in it",
            "text": "as_is: transcripts in lower case, as the labels spell them; spoken: without punctuation and "
            "symbols, each run of which becomes a blank (well-known is two words, 3.5 is 3 5), but with apostrophes "
            "beside letters and digits (don't, dogs'; 'hello' loses both); digits stay. Words with times follow the "
            "same rule",
            "alphabet": "characters that a transcript may hold, lower case; from_data: a blank and the characters of "
            "the training clips' transcripts, by the rule --text",
            "unknown": "reject clips with a character outside --alphabet, or write U+FFFD in its place (unk)",
        },
        names={"overlong": "on_too_long"},
    )


def refuse(part: Part) -> None:
    """Refuses flags that other flags leave without effect.

    Raises:
      DataError: naming one of them, and the way out.
    """
    for name in ("source", "output"):
        storage.place(flags.FLAGS[name].value)  # refuses URLs of no store
    _refuse_of_jobs(part)
    _refuse_of_faces()
    corpus_flags.options(flags.FLAGS.corpus)


def _refuse_of_jobs(part: Part) -> None:
    values = flags.FLAGS
    names = ("retry_rejected", "dask", "workers", "reuse", "overwrite")
    if values.finalize and (given := [name for name in names if values[name].present]):
        raise DataError(f"--{given[0]}: --finalize converts nothing; leave one out")
    if values.retry_rejected and not part.is_whole:
        raise DataError("--retry_rejected: not for one of several tasks; give it without --task once all have ended")
    if values.overwrite and not part.is_whole:
        raise DataError("--overwrite: not for one of several tasks; remove --output before they are started")
    if values.overwrite and values.dask not in (None, "local"):
        raise DataError("--overwrite: not with a cluster, which may not be there; remove --output before")
    if values.reuse and storage.same(storage.place(values.reuse), storage.place(values.output)):
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


def suit_crop(corpus: Corpus) -> None:
    """Makes the corpus's own box the default, if it has one."""
    values = flags.FLAGS
    if corpus.box is not None:
        values.set_default("crop", "box")
        if values.crop == "box":
            values.set_default("box", [str(side) for side in corpus.box])
