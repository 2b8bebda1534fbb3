"""The flags of how sentences are decoded, which evaluate and transcribe share."""

from absl import flags

from model.decoding import DecodeConfig
from pipeline.schema import DataError
from scripts.common import cli

flags.disclaim_key_flags()

LEXICONS = ("none", "vocabulary", "grid")


def define() -> cli.Options:
    """Defines --decoder, --beam_width and --lexicon."""
    flags.DEFINE_enum(
        "lexicon",
        "none",
        LEXICONS,
        "texts that --decoder=beam may read. none: any; vocabulary: words of the data that the run was trained on; "
        "grid: GRID's sentences of six words",
    )
    return cli.Options(
        DecodeConfig,
        {
            "decoder": "how a sentence run is decoded. greedy: best path; beam: prefix beam search",
            "beam_width": "number of texts that --decoder=beam follows",
        },
    )


def describe_defaults(lexicon: str = "none") -> None:
    """Makes `--help` say what `decoders.take_defaults` does with `lexicon`; once the flags are defined."""
    flags.FLAGS["decoder"].default_as_str = "beam for a sentence run"
    if lexicon != "none":
        flags.FLAGS["lexicon"].default_as_str = f"{lexicon} for a run that reads characters, none for one of words"


def check(options: cli.Options, of_run: bool = False) -> None:
    """Refuses flags that contradict each other, and values that no run makes good.

    Args:
      options: of `define`.
      of_run: whether the run is still to say what no flag does, as `decoders.take_defaults` lets it.

    Raises:
      DataError: naming the flag, and what to do.
    """
    values = flags.FLAGS
    decided = values["decoder"].present or not of_run
    if values["beam_width"].present and decided and values.decoder != "beam":
        raise DataError(f"--beam_width={values.beam_width}: needs --decoder=beam; leave it out")
    options.build(lexicon=None)
