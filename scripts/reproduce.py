"""The README's results on GRID, from the videos to the table.

    python -m scripts.reproduce grid-words --source=GRID --output=out/grid
    python -m scripts.reproduce grid-sentences --source=GRID --output=out/grid --seed=1

grid-words: words cut by their times. grid-sentences: whole sentences, read without any times; they start from the CNN
and LSTM of grid-words, which is trained first. The commands are printed as they are run; scripts/recipes holds their
settings. The test split is scored at the end and decides nothing. Run again, it goes on from where it was stopped.
"""

import json
from pathlib import Path

from absl import flags

from pipeline.corpora import grid
from pipeline.schema import DataError
from pipeline.shards import open_dataset
from scripts import cli
from scripts.steps import step

flags.DEFINE_string("source", None, "GRID, or a part of it", required=True)
flags.DEFINE_string("output", "out/grid", "directory for the dataset, the runs and their scores")
flags.DEFINE_integer("seed", 0, "of training: weights, order, augmentation, dropout", lower_bound=0)

RECIPES = Path(__file__).parent / "recipes"
LETTERS = tuple(grid.SLOTS[3].values())
READINGS = {  # of sentences
    "best path": [],
    "of the data's words": ["--decoder=beam", "--lexicon=vocabulary"],
    "of GRID's grammar": ["--decoder=beam", "--lexicon=grid"],
}
Score = tuple[str, Path]  # what was read, and the directory of its report


def _words(data: Path, output: Path, seed: int) -> list[Score]:
    run = output / f"words-seed{seed}"
    _train("grid-words", data, run, seed)
    return [("words", _evaluate(data, run))]


def _sentences(data: Path, output: Path, seed: int) -> list[Score]:
    run, words = output / f"sentences-seed{seed}", output / f"words-seed{seed}"
    _train("grid-words", data, words, seed)
    _train("grid-sentences", data, run, seed, f"--init_from={words}")
    return [(f"sentences, {name}", _evaluate(data, run, *how)) for name, how in READINGS.items()]


def _train(recipe: str, data: Path, run: Path, seed: int, *more: str) -> None:
    step("train", f"--flagfile={RECIPES / recipe}.flags", f"--data={data}", f"--output={run}", f"--seed={seed}", *more)


def _evaluate(data: Path, run: Path, *how: str) -> Path:
    report = run / "-".join(["evaluation-test", *(flag.partition("=")[2] for flag in how)])
    step("evaluate", f"--run={run}", f"--data={data}", f"--among={_letters(data)}", f"--output={report}", *how)
    return report


def _letters(data: Path) -> str:
    """Those that are there: a part of GRID may lack some."""
    words = open_dataset(data).manifest["vocabulary"]["words"]
    return ",".join(letter for letter in LETTERS if letter in words)


RESULTS = {"grid-words": _words, "grid-sentences": _sentences}


def main(argv: list[str]) -> None:
    if len(argv) != 1 or argv[0] not in RESULTS:
        raise DataError(f"want one of {', '.join(RESULTS)}, got {' '.join(argv) or 'nothing'} (see --help)")
    values, output = flags.FLAGS, Path(flags.FLAGS.output)
    data = output / "data"
    step("convert", f"--flagfile={RECIPES / 'grid-convert.flags'}", f"--source={values.source}", f"--output={data}")
    scores = RESULTS[argv[0]](data, output, values.seed)
    print()
    cli.table([row for score in scores for row in _rows(*score)])


def _rows(name: str, directory: Path) -> list[tuple[str, str]]:
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    right, said = report["right_among"], report["said_among"]
    return [
        (name, f"{report['metrics']['word_accuracy']:.1%} of words right, {report['metrics']['wer']:.1%} WER"),
        ("  letters", f"{right} of {said} right; by chance one of {len(LETTERS)}"),
        ("  report", str(directory / "report.html")),
    ]


if __name__ == "__main__":
    cli.run(main, resumes=True)
