"""The HTML report of a score: figures, confusions, speakers, the training's curve, and the worst examples."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from model.confidence import Interval
from model.evaluate import Prediction, Report
from model.metrics import TimeErrors
from pipeline.loading.config import DataConfig
from pipeline.loading.examples import Examples, select_examples
from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, Word
from scripts.reports import charts, page, speakers, training_curve, worst_examples
from scripts.reports.page import Bars, Fact, Picture, Section, Table, Text
from scripts.reports.speakers import Speaker
from scripts.reports.training_curve import Curve

MAX_WORDS = 24  # in the matrix and in the tables
MAX_OTHERS = 5  # words that a word was read as
MAX_COLUMNS = 10  # of the matrix, for words read that are not among those said
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


@dataclasses.dataclass(frozen=True)
class Score:
    """A report and what else its page shows.

    Attributes:
      report: of the evaluation.
      intervals: of its rates, as of `confidence.intervals`.
      guess: word accuracy of always guessing the commonest word.
      speakers: as of `speakers.scores`.
      curves: as of `training_curve.read`.
    """

    report: Report
    intervals: Mapping[str, Interval]
    guess: float
    speakers: Sequence[Speaker]
    curves: Mapping[tuple[str, str], Curve]


def html(
    title: str,
    origin: Sequence[tuple[str, str]],
    score: Score,
    clip: Callable[[Prediction], Clip],
    settings: Sequence[tuple[str, str]],
    singled: Sequence[str] = (),
    track: Callable[[list[Prediction]], Iterable[Prediction]] = iter,
) -> str:
    """Renders the report on a score as one HTML file, a function of its arguments.

    Args:
      title: of the page.
      origin: `(name, value)` of the page's head.
      score: what the page shows.
      clip: returns the frames of an example.
      settings: `(name, value)` of all that decides the score.
      singled: words that get a matrix of their own.
      track: wraps the list of examples that are shown, such as a progress bar.
    """
    report = score.report
    pairs = named(report.confusion)
    sections = [
        *([_places(report.places)] if report.places else []),
        _words(pairs),
        *([_singled(pairs, singled)] if singled else []),
        speakers.section(score.speakers),
        training_curve.section(score.curves),
        worst_examples.section(report, clip, track),
        Section("Settings", wide=[Table(("setting", "value"), settings)]),
    ]
    return page.render(title, "A Lipflow evaluation", origin, _facts(score), sections)


def _facts(score: Score) -> list[Fact]:
    metrics, rows = score.report.metrics, [Fact("examples", f"{score.report.examples:,}")]
    for name, title in NAMES.items():
        if name in metrics:
            shown = f"{metrics[name]:.1%}" if name in RATES else f"{metrics[name]:.3f}"
            bounds = score.intervals.get(name)
            rows.append(Fact(title, shown, _interval(bounds) if bounds else ""))
    rows.append(Fact("words right by best guess", f"{score.guess:.1%}"))
    return rows + times(score.report.times)


def _interval(bounds: Interval) -> str:
    return f"95%: {100 * bounds.low:.1f} to {bounds.high:.1%}"


def times(errors: TimeErrors) -> list[Fact]:
    """Returns the errors of word times, none where no word was compared; value and note make a sentence."""
    if not len(errors):
        return []
    found = errors.result()
    return [
        Fact(
            f"{name}s of words",
            f"{found[name]:g} frame{'s' * (found[name] != 1)}",
            f"off in the median, 90% at most {found[f'{name}_90']:g}",
        )
        for name in ("start", "stop")
    ] + [Fact("words whose times were compared", f"{len(errors):,}")]


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


def matrix(pairs: Pairs, names: Collection[str], max_others: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts how often each word was read as which.

    Args:
      pairs: all counts.
      names: distinct words said.
      max_others: how many other words get a column.

    Returns:
      Counts, int64 [N, M]; the words said, sorted with `(nothing)` last; and the words read: the same ones, then at
      most `max_others` that were read most often in their place, and `(other)` for the rest of them.
    """
    rows = sorted(names, key=_last_if_nothing)
    others: Counter[str] = Counter()
    for (said, read), count in pairs.items():
        others[read] += count * (said in rows and read not in rows)
    ranked = [word for word, count in _ranked(others) if count]
    columns = [*rows, *sorted(ranked[:max_others], key=_last_if_nothing), *([OTHER] if ranked[max_others:] else [])]
    counts = np.zeros([len(rows), len(columns)], int)
    for (said, read), count in pairs.items():
        if said in rows:
            counts[rows.index(said), columns.index(read if read in columns else OTHER)] += count
    return counts, rows, columns


def _last_if_nothing(word: str) -> tuple[bool, str]:
    return word == NOTHING, word


def _matrix(pairs: Pairs, names: Sequence[str]) -> Picture:
    """Draws the confusion matrix."""
    caption = "Times that a word (row) was read as another (column); shades are shares of the row"
    counts, rows, columns = matrix(pairs, names, MAX_COLUMNS)
    drawing = charts.matrix(counts, rows, columns, "read", "said")
    return Picture(page.svg(drawing), caption, "Said and read", caption, charts.matrix_width(columns))


def clips(data: DatasetDir, split: str, config: DataConfig) -> Callable[[Prediction], Clip]:
    """Returns a function from an example of a split to its clip, cut to the frames that the model saw.

    Raises:
      DataError: no such split; from the function: a damaged record.
    """
    examples = select_examples(data, split, config)
    rows = {name: row for row, name in enumerate(_names(data, examples, config))}

    def clip(prediction: Prediction) -> Clip:
        row = rows[prediction.id]
        whole = directory.read_record(data, int(examples.record[row]))
        return _cut(dataclasses.replace(whole, id=prediction.id), int(examples.start[row]), int(examples.stop[row]))

    return clip


def records(data: DatasetDir, split: str, config: DataConfig) -> dict[str, int]:
    """Returns the record of each example of a split, by the example's id.

    Raises:
      DataError: no such split.
    """
    examples = select_examples(data, split, config)
    return dict(zip(_names(data, examples, config), examples.record.tolist(), strict=True))


def _names(data: DatasetDir, examples: Examples, config: DataConfig) -> list[str]:
    """The ids of examples: of clips, or `clip#k` of the k-th word of a clip."""
    words = [f"#{word}" if config.unit == "word" else "" for word in examples.word.tolist()]
    return [f"{data.index.id[record]}{word}" for record, word in zip(examples.record, words, strict=True)]


def _cut(clip: Clip, start: int, stop: int) -> Clip:
    """Cuts a clip to the frames `[start, stop)` and the words in them."""
    inside = [word for word in clip.words if word.start < stop and start < word.stop]
    words = tuple(Word(w.text, max(w.start, start) - start, min(w.stop, stop) - start) for w in inside)
    return dataclasses.replace(clip, frames=clip.frames[start:stop], tracked=clip.tracked[start:stop], words=words)
