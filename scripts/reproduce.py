"""Reproduces the published results on GRID, from the videos to the table.

    python -m scripts.reproduce grid-words --source=GRID --output=out/grid
    python -m scripts.reproduce grid-sentences --source=GRID --output=out/grid --seed=1

grid-words: words cut by their times. grid-sentences: whole sentences, read without any times; they start from the CNN,
LSTM and head of grid-words, which is trained first. The commands are printed as they are run; what
they do not name is the default. The test split is scored at the end and decides nothing. If it is stopped, the
same command continues.
"""

from absl import flags

from pipeline.records import storage
from pipeline.schema import DataError
from scripts.common import cli

flags.DEFINE_string("source", None, "GRID, or a part of it", required=True)
flags.DEFINE_string("output", "out/grid", "directory for the dataset, the runs and their scores")
flags.DEFINE_integer("seed", 0, "of training: weights, order, augmentation, dropout", lower_bound=0)

RESULTS = ("grid-words", "grid-sentences")


def main(argv: list[str]) -> None:
    if len(argv) != 1 or argv[0] not in RESULTS:
        raise DataError(f"want one of {', '.join(RESULTS)}, got {' '.join(argv) or 'nothing'} (see --help)")
    values, output, source = flags.FLAGS, storage.local(flags.FLAGS.output), storage.local(flags.FLAGS.source)
    with cli.loading():
        from scripts.recipes import grid
    grid.convert(source, output / "data")
    scores = grid.RESULTS[argv[0]](output / "data", output, values.seed)
    print()
    cli.table([row for score in scores for row in grid.rows(*score)])


if __name__ == "__main__":
    cli.run(main, resumes=True)
