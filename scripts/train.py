"""Trains a lip reader on a dataset directory. If it is stopped, the same command continues.

    python -m scripts.train --data=data/grid --output=runs/words --unit=word
    python -m scripts.train --data=data/grid --output=runs/sentences --unit=sentence --init_from=runs/words

A word run names each aligned word. A sentence run reads whole clips with CTC, as characters or words (--labels).
Settings that no flag gives were chosen on GRID, and differ between words and sentences. A run that is continued keeps
its own.

tensorboard --logdir=RUN shows curves, confused words and a few clips with what was read. --speakers, --words, --where,
--max_doubt and --max_frames select training examples; validation keeps all.
"""

from absl import flags

from pipeline.records import storage
from scripts.common import cli
from scripts.common import training_flags as training

OPTIONS = training.define()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    begun = OPTIONS.take_defaults(storage.local(flags.FLAGS.output))
    training.check(OPTIONS)
    with cli.loading():
        from scripts.programs import train
    train.run(OPTIONS, begun)


if __name__ == "__main__":
    cli.run(main, resumes=True, at_once=True, groups=training.GROUPS)
