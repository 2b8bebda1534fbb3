"""Converts talking-face videos into a dataset directory of TFRecord shards.

    python -m scripts.convert --corpus=grid --source=GRID --output=data/grid

The mouth is found, tracked, turned upright and cropped. If the command is stopped or killed, the same command continues
and ends in the same bytes. Clips that cannot be converted are listed in rejected.csv with the reason.

Several machines share a conversion as tasks (--task, --tasks; by default those of a Slurm job array) or as workers of a
Dask cluster (--dask). --source and --output are then on a file system that all of them see, or in a store.
"""

from absl import flags

from pipeline.corpora import CORPORA
from scripts.common import array_flags, cli, conversion_flags

OPTIONS = conversion_flags.define()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    part = array_flags.part(in_slurm=not flags.FLAGS.dask)
    conversion_flags.suit_crop(CORPORA[flags.FLAGS.corpus])
    conversion_flags.refuse(part)
    rule, config = OPTIONS.build()
    with cli.loading():
        from scripts.programs import convert
    convert.run(rule, config, part)


if __name__ == "__main__":
    cli.run(main, resumes=True, groups=conversion_flags.GROUPS)
