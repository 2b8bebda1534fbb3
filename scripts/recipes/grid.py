"""Runs the commands of the published results on GRID, one after the other."""

import json
from pathlib import Path

from pipeline.corpora import grid
from pipeline.records.directory import open_dataset
from scripts.common.commands import step

LETTERS = tuple(grid.SLOTS[3].values())
READINGS = {  # of sentences
    "best path": ["--decoder=greedy"],
    "beam": [],
    "of GRID's grammar": ["--lexicon=grid"],
}
WORDS = ("--monitor=wer",)  # the settings of the published figures
SENTENCES = ("--labels=words", "--batch_size=8", "--epochs=30", "--ema=0", "--splice=0")
Score = tuple[str, Path]  # what is scored, and the directory of its report


def convert(source: Path, data: Path) -> None:
    """Converts GRID with 100 clips for validation and 100 for test, drawn by the split's seed."""
    step("convert", "--corpus=grid", f"--source={source}", f"--output={data}", "--val=100", "--test=100")


def words(data: Path, output: Path, seed: int) -> list[Score]:
    """Trains and scores a word run."""
    run = output / f"words-seed{seed}"
    _train("word", data, run, seed, *WORDS)
    return [("words", _evaluate(data, run))]


def sentences(data: Path, output: Path, seed: int) -> list[Score]:
    """Trains a word run, a sentence run from it, and scores the latter in each of `READINGS`."""
    run, start = output / f"sentences-seed{seed}", output / f"words-seed{seed}"
    _train("word", data, start, seed, *WORDS)
    _train("sentence", data, run, seed, *SENTENCES, f"--init_from={start}")
    return [(f"sentences, {name}", _evaluate(data, run, *how)) for name, how in READINGS.items()]


RESULTS = {"grid-words": words, "grid-sentences": sentences}  # as `scripts.reproduce` names them


def _train(unit: str, data: Path, run: Path, seed: int, *more: str) -> None:
    """Trains with the defaults of a unit, and with `more`."""
    step("train", f"--unit={unit}", f"--data={data}", f"--output={run}", f"--seed={seed}", *more)


def _evaluate(data: Path, run: Path, *how: str) -> Path:
    report = run / "-".join([f"evaluation-{data.name}-test", *(flag.partition("=")[2] for flag in how)])
    step("evaluate", f"--run={run}", f"--data={data}", f"--among={_letters(data)}", f"--output={report}", *how)
    return report


def _letters(data: Path) -> str:
    """Returns the letters that the data has; a part of GRID may lack some."""
    known = open_dataset(data).manifest["vocabulary"]["words"]
    return ",".join(letter for letter in LETTERS if letter in known)


def rows(name: str, directory: Path) -> list[tuple[str, str]]:
    """Returns the figures of a report as table rows."""
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    right, said = report["right_among"], report["said_among"]
    return [
        (name, f"{report['metrics']['word_accuracy']:.1%} of words right, {report['metrics']['wer']:.1%} WER"),
        ("  letters", f"{right} of {said} right; by chance one of {len(LETTERS)}"),
        ("  report", str(directory / "report.html")),
    ]
