"""The HTML report of a score: figures, confusions, and the worst examples."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from model.evaluate import Prediction, Report, worst
from model.metrics import TimeErrors
from pipeline.loading.examples import DataConfig, select_examples
from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, Word
from scripts.reports import charts, page
from scripts.reports.dataset_page import LEGEND, sheet
from scripts.reports.page import Bars, Block, Picture, Section, Table, Text

MAX_WORDS = 24  # in the matrix and in the tables
MAX_OTHERS = 5  # words that a word was read as
MAX_WORST = 12  # examples shown
NOTHING, OTHER = "(nothing)", "(other)"
NAMES = {
    "word_accuracy": "words right",
    "sentence_accuracy": "sentences right",
    "wer": "word error rate",
    "cer": "character error rate",
    "loss": "loss, nats",
}
RATES = ("word_accuracy", "sentence_accuracy", "wer", "cer")

Pairs = Counter[tuple[str, str]]


def html(
    title: str,
    subtitle: str,
    report: Report,
    guess: float,
    clip: Callable[[Prediction], Clip],
    settings: Sequence[tuple[str, str]],
    singled: Sequence[str] = (),
    track: Callable[[list[Prediction]], Iterable[Prediction]] = iter,
) -> str:
    """Renders the report on a score as one HTML file, a function of its arguments.

    Args:
      title: of the page.
      subtitle: a line under it.
      report: of the evaluation.
      guess: word accuracy of always guessing the commonest word.
      clip: returns the frames of an example.
      settings: `(name, value)` of all that decides the score.
      singled: words that get a matrix of their own.
      track: wraps the list of examples that are shown, such as a progress bar.
    """
    pairs = named(report.confusion)
    sections = [
        *([_places(report.places)] if report.places else []),
        _words(pairs),
        *([_singled(pairs, singled)] if singled else []),
        _worst(report, clip, track),
        Section("Settings", wide=[Table(("setting", "value"), settings)]),
    ]
    return page.render(title, subtitle, _facts(report, guess), sections)


def _facts(report: Report, guess: float) -> list[tuple[str, str]]:
    figures = [
        (title, f"{report.metrics[name]:.1%}" if name in RATES else f"{report.metrics[name]:.3f}")
        for name, title in NAMES.items()
        if name in report.metrics
    ]
    guessed = ("words right by best guess", f"{guess:.1%}")
    return [("examples", f"{report.examples:,}"), *figures, guessed, *times(report.times)]


def times(errors: TimeErrors) -> list[tuple[str, str]]:
    """Returns rows `(name, value)` of the errors of word times, none where no word was compared."""
    if not len(errors):
        return []
    found = errors.result()
    return [
        (f"{name}s of words", f"{found[name]:g} frames off in the median, 90% at most {found[f'{name}_90']:g}")
        for name in ("start", "stop")
    ] + [("words whose times were compared", f"{len(errors):,}")]


def _places(places: Sequence[float]) -> Section:
    rows = [(f"word {place}", round(100 * share)) for place, share in enumerate(places, 1)]
    return Section("Places", [Bars("Words right by their place in the sentence, %", rows, scale=100)])


def named(confusion: Mapping[tuple[str | None, str | None], int]) -> Pairs:
    """Replaces no word by `NOTHING` in the counts of a `Report`."""
    return Counter({(said or NOTHING, read or NOTHING): count for (said, read), count in confusion.items()})


def mistakes(pairs: Pairs) -> list[tuple[str, int]]:
    """Returns every word said with its number of mistakes, the most first, ties in alphabetical order."""
    wrong: Counter[str] = Counter()
    for (said, read), count in pairs.items():
        wrong[said] += count * (said != read)
    return _ranked(wrong)


def _words(pairs: Pairs) -> Section:
    """Lists the words with mistakes; inserted words count as `(nothing)` said."""
    names = [said for said, count in mistakes(pairs) if count]
    if not names:
        return Section("Words", wide=[Text("Every word is right.")])
    return Section("Words", [_mistaken(pairs, names), _pairs(pairs)], [_matrix(pairs, names[:MAX_WORDS])])


def _singled(pairs: Pairs, words: Sequence[str]) -> Section:
    said, right = among(pairs, words)
    shown = f"{right} of {said} right ({right / max(1, said):.1%})"
    return Section("Singled out", wide=[Text(shown), _matrix(pairs, list(dict.fromkeys(words)))])


def among(confusion: Mapping[tuple[str | None, str | None], int], words: Collection[str]) -> tuple[int, int]:
    """Counts how often one of `words` was said, and how often it was read right."""
    said = {pair: count for pair, count in confusion.items() if pair[0] in words}
    return sum(said.values()), sum(count for (one, other), count in said.items() if one == other)


def _mistaken(pairs: Pairs, names: Sequence[str]) -> Table:
    rows = []
    for word in names[:MAX_WORDS]:
        read = Counter({other: count for (said, other), count in pairs.items() if said == word})
        others = [f"{other} {count}" for other, count in _ranked(read) if other != word]
        rows.append((word, read.total(), 100 * read[word] / read.total(), ", ".join(others[:MAX_OTHERS])))
    columns = ("word", "times", "right, %", "read as")
    return Table(columns, rows, "Words with the most mistakes", len(names) - len(rows))


def _pairs(pairs: Pairs) -> Table:
    wrong = [(said, read, count) for (said, read), count in _ranked(pairs) if said != read]
    return Table(("said", "read as", "times"), wrong[:MAX_WORDS], "Commonest mistakes", len(wrong[MAX_WORDS:]))


def _ranked(counts: Counter) -> list[tuple]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def matrix(pairs: Pairs, names: Sequence[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts how often each word was read as which.

    Args:
      pairs: all counts.
      names: distinct words said.

    Returns:
      Counts, int64 [N, M]; row names, sorted with `(nothing)` last; column names: the same words, `(nothing)`, and
      `(other)` for every other reading.
    """
    rows = sorted(names, key=lambda word: (word == NOTHING, word))
    columns = [*(word for word in rows if word != NOTHING), NOTHING, OTHER]
    counts = np.zeros([len(rows), len(columns)], int)
    for (said, read), count in pairs.items():
        if said in rows:
            counts[rows.index(said), columns.index(read if read in columns else OTHER)] += count
    return counts, rows, columns


def _matrix(pairs: Pairs, names: Sequence[str]) -> Picture:
    """Draws the confusion matrix."""
    caption = "Times that a word (row) was read as another (column); shades are shares of the row"
    drawing = charts.matrix(*matrix(pairs, names), "read", "said")
    return Picture(page.svg(drawing), caption, "Said and read", caption)


def _worst(report: Report, clip: Callable[[Prediction], Clip], track: Callable) -> Section:
    shown = worst(report.predictions, MAX_WORST)
    if not shown:
        return Section("Worst", wide=[Text("Every example is right.")])
    order = "Sorted by mistakes per word, then by the model's confidence."
    pictures: list[Block] = [
        sheet(clip(row), f"said “{row.truth}”, read “{row.hypothesis}” · log probability {row.score:.2f}")
        for row in track(shown)
    ]
    return Section("Worst", wide=[Text(f"{order} {LEGEND}"), *pictures])


def clips(data: DatasetDir, split: str, config: DataConfig) -> Callable[[Prediction], Clip]:
    """Returns a function from an example of a split to its clip, cut to the frames that the model saw.

    Raises:
      DataError: no such split; from the function: a damaged record.
    """
    examples = select_examples(data, split, config)
    words = [f"#{word}" if config.unit == "word" else "" for word in examples.word.tolist()]
    names = [f"{data.index.id[record]}{word}" for record, word in zip(examples.record, words, strict=True)]
    rows = {name: row for row, name in enumerate(names)}

    def clip(prediction: Prediction) -> Clip:
        row = rows[prediction.id]
        whole = directory.read_record(data, int(examples.record[row]))
        return _cut(dataclasses.replace(whole, id=prediction.id), int(examples.start[row]), int(examples.stop[row]))

    return clip


def _cut(clip: Clip, start: int, stop: int) -> Clip:
    """Cuts a clip to the frames `[start, stop)` and the words in them."""
    inside = [word for word in clip.words if word.start < stop and start < word.stop]
    words = tuple(Word(w.text, max(w.start, start) - start, min(w.stop, stop) - start) for w in inside)
    return dataclasses.replace(clip, frames=clip.frames[start:stop], tracked=clip.tracked[start:stop], words=words)
