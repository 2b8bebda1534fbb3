"""Scores a run on a split: every example once.

python -m scripts.evaluate --run=runs/words --data=data/grid --split=test
python -m scripts.evaluate --run=runs/sentences --data=data/grid --decoder=beam --lexicon=grid
"""

from collections.abc import Mapping
from pathlib import Path

from absl import flags

from pipeline.plan import PlanConfig
from pipeline.shards import open_dataset
from pipeline.stats import best_guess
from scripts import cli, decoders, runs

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("data", None, "dataset directory, made by scripts.convert", required=True)
flags.DEFINE_string("split", "test", "which split")
flags.DEFINE_enum("weights", "best", ["best", "last"], "the best by validation, or the last")
flags.DEFINE_integer("batch_size", PlanConfig.batch_size, "examples at a time; changes no number", lower_bound=1)
flags.DEFINE_integer("show", 5, "how many readings to print beside the truth, and confusions", lower_bound=0)
DECODE = decoders.define()
DAMAGED = cli.Options(
    runs.Damaged, {"on_bad_record": "at a damaged record: raise an error that names it, or skip and count it"}
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    values = flags.FLAGS
    data = open_dataset(Path(values.data))
    opened = runs.open_run(Path(values.run), values.weights)
    runs.check_input(data, opened)
    how, damaged = decoders.build(DECODE, opened), DAMAGED.build()
    report = runs.score(opened.model, data, values.split, opened.data, values.batch_size, how, damaged)
    for row in report.predictions[: values.show]:
        print(f"{row.id}: {row.hypothesis!r}, said was {row.truth!r}")
    rows = [(name, f"{value:.4f}") for name, value in report.metrics.items()]
    rows += [(f"right in place {place}", f"{share:.4f}") for place, share in enumerate(report.places, 1)]
    words = len(data.manifest["vocabulary"]["words"])
    guess = best_guess([row.truth for row in report.predictions])
    rows.append(("chance", f"{1 / words:.4f} (one of {words} words)"))
    rows.append(("best guess", f"{guess:.4f} (always the commonest word of each place)"))
    if damaged.on_bad_record == "skip":
        rows.append(("skipped", str(damaged)))
    rows += [("confused", text) for text in _confused(report.confusion, values.show)]
    cli.table([("examples", f"{report.examples} of split {values.split}"), *rows])


def _confused(confusion: Mapping[tuple[str | None, str | None], int], most: int) -> list[str]:
    """The commonest confusions in words."""
    wrong = [(count, said or "nothing", read or "nothing") for (said, read), count in confusion.items() if said != read]
    wrong.sort(key=lambda row: (-row[0], *row[1:]))
    return [f"{said} read as {read}: {count}" for count, said, read in wrong[:most]]


if __name__ == "__main__":
    cli.run(main)
