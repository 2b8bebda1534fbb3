"""Scores a run on a split, every example once.

python -m scripts.evaluate --run=runs/words --data=data/grid --split=test
python -m scripts.evaluate --run=runs/sentences --data=data/grid --lexicon=grid --output=scores/grammar
python -m scripts.evaluate --run=runs/words --data=data/grid --among=b,d,m,p
python -m scripts.evaluate --run=runs/words --data=data/own --where=room=studio --output=scores/studio

Prints the figures and writes two reports to --output, replacing older ones. The default is RUN/evaluation-NAME-SPLIT,
where NAME is the last part of --data, and --where follows; another dataset of that name gets a directory with its
fingerprint beside it.
report.html shows the worst examples word by word and frame by frame, confusions, speakers and the training's curve;
report.json holds every example. Intervals hold 95% of 1,000 draws of as many clips with replacement.
"""

from absl import flags

from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.vocab import Vocabulary
from scripts.common import cli, data_flags, decoding_flags
from scripts.common.damaged import Damaged

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("data", None, "dataset directory or URL, made by scripts.convert", required=True)
data_flags.define()
flags.DEFINE_string("split", "test", "split to score")
flags.DEFINE_string("output", None, "directory for the reports; default: RUN/evaluation-NAME-SPLIT, NAME of --data")
flags.DEFINE_enum("weights", "best", ["best", "last"], "which checkpoint: the best by validation, or the last")
flags.DEFINE_integer("batch_size", PlanConfig.batch_size, "examples in a batch; changes no result", lower_bound=1)
flags.DEFINE_integer("show", 5, "number of worst examples, and of confusions, to print", lower_bound=0)
flags.DEFINE_list("among", [], "words to score separately, with a confusion matrix of their own")
CHOSEN = cli.Options(
    DataConfig,
    {
        "where": "NAME=VALUE: score clips alone whose column NAME of the table, kept by --keep_columns of "
        "scripts.convert, has this value; repeat the flag for other values, or for other columns that have to fit too"
    },
    repeated=("where",),
)
DECODE = decoding_flags.define()
decoding_flags.describe_defaults()
DAMAGED = cli.Options(
    Damaged, {"on_bad_record": "at a damaged record, raise an error that names it, or skip and count it"}
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    cli.check_local("run", "output")
    data_flags.check([flags.FLAGS.data])
    decoding_flags.check(DECODE, of_run=True)
    where = CHOSEN.build(vocabulary=Vocabulary.of_characters()).where
    with cli.loading():
        from scripts.programs import evaluate
    evaluate.run(where, DECODE, DAMAGED.build())


if __name__ == "__main__":
    cli.run(main)
