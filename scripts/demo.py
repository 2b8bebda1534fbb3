"""Runs the whole path on rendered talking faces: videos, shards, training, a score, one video read.

    python -m scripts.demo

It needs no data. All output lies below --output. The commands are printed, so that you can run them on your own
videos. If it is stopped, the same command continues.
"""

from absl import flags

from pipeline.synthetic.corpus import SyntheticConfig
from scripts.common import cli

flags.DEFINE_string("output", "out/demo", "directory for all output of the demo")
CORPUS = cli.Options(
    SyntheticConfig,
    {
        "clips": "videos to render",
        "speakers": "faces among them",
        "seed": "of everything random",
        "word_seconds": "mean length of a word",
    },
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    cli.check_local("output")
    config = CORPUS.build(width=280, height=224)
    with cli.loading():
        from scripts.programs import demo
    demo.run(config)


if __name__ == "__main__":
    cli.run(main, resumes=True)
