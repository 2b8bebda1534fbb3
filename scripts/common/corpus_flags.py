"""The flags of how one layout of a corpus is read, which others do not take."""

import math
from typing import Any

from absl import flags

from pipeline.corpora import CORPORA
from pipeline.corpora.cutting import PAD_S
from pipeline.schema import DataError

flags.disclaim_key_flags()

NAMES = sorted({name for corpus in CORPORA.values() for name in corpus.options})


def define() -> None:
    """Defines --pad_s and --keep_columns."""
    flags.DEFINE_float(
        "pad_s",
        PAD_S,
        "seconds of picture before and after each phrase of labels, such as a caption, up to the middle of the gap to "
        "its neighbour (folder)",
        lower_bound=0,
    )
    flags.DEFINE_list(
        "keep_columns", [], "further columns of clips.csv that are kept with each clip, such as session,light (folder)"
    )


def options(corpus: str) -> dict[str, Any]:
    """Returns the keywords with which the clips of a corpus are listed.

    Raises:
      DataError: a flag is given that the corpus does not take, or is not a number.
    """
    values = flags.FLAGS
    for name in NAMES:
        takers = [other for other, layout in CORPORA.items() if name in layout.options]
        if values[name].present and corpus not in takers:
            raise DataError(
                f"--{name}: only for --corpus={' or '.join(takers)}, and --corpus is {corpus}; leave it out"
            )
    if math.isnan(values.pad_s):  # which no bound of a flag excludes
        raise DataError("--pad_s: want a number of seconds, got nan")
    return {name: values[name].value for name in CORPORA[corpus].options}
