"""Scores the run of the flags, prints the figures and writes the reports."""

import dataclasses
import functools
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from model import confidence
from model.evaluate import Prediction, Report, worst
from pipeline.inspection import statistics
from pipeline.records import identity, storage
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.schema import Clip, DataError
from scripts.common import cli, data_flags, decoders, experiment
from scripts.common.bars import bar
from scripts.common.damaged import Damaged
from scripts.common.experiment import Run
from scripts.reports import origin, score_page, speakers, training_curve, worst_examples
from scripts.reports.score_page import Score

REPORT = "report.json"


def run(where: tuple[str, ...], options: cli.Options, damaged: Damaged) -> None:
    """Scores the run of the flags on the clips with the values of columns `where`, decoded by `options`."""
    values = flags.FLAGS
    data = open_dataset(values.data, data_flags.cache())
    opened = experiment.open_run(storage.local(values.run), values.weights)
    experiment.check_input(data, opened)
    _check_among(data)
    decoders.take_defaults(opened)
    how, config = decoders.build(options, opened), dataclasses.replace(opened.data, where=where)
    records, output = score_page.records(data, values.split, config), _output(data)
    score_run = experiment.scorer(data, values.split, config, values.batch_size, how, damaged, timed=True)
    report = score_run(opened.model)
    score, made = _score(report, data, records), _made()
    words = len(opened.words)
    _print(score, words, damaged)
    storage.write_json(output / REPORT, {**dict(made), **_as_json(score, data, words, damaged)})
    html = _page(score, data, opened, made, score_page.clips(data, values.split, config))
    with storage.replacing(output / "report.html") as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"report: {output / 'report.html'}, and {REPORT} beside it")


def _check_among(data: DatasetDir) -> None:
    known = data.manifest["vocabulary"]["words"]
    if unknown := sorted(set(flags.FLAGS.among) - set(known)):
        raise DataError(f"--among: the data has no word {unknown[0]!r}; choose from {', '.join(known)}")


def _output(data: DatasetDir) -> Path:
    """Makes the directory for the reports, before anything is read."""
    output = storage.local(flags.FLAGS.output) if flags.FLAGS.output else _own_directory(data)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot be made ({error.strerror}); name another directory with --output") from error
    if not os.access(output, os.W_OK):
        raise DataError(f"{output}: is not writable; name another directory with --output")
    return output


def _own_directory(data: DatasetDir) -> Path:
    """The directory for reports on a dataset and split, which no other dataset shares."""
    root = data.root.resolve() if isinstance(data.root, Path) else data.root
    name = root.name or data.manifest["conversion"]["name"]
    part = "".join("-" + re.sub(r"[^\w=.-]", "_", rule) for rule in flags.FLAGS.where)
    directory = storage.local(flags.FLAGS.run) / f"evaluation-{name}-{flags.FLAGS.split}{part}"
    if _reported(directory / REPORT) in (None, data.fingerprint):
        return directory
    return directory.with_name(f"{directory.name}-{data.fingerprint[:8]}")


def _reported(path: Path) -> str | None:
    """The fingerprint of the dataset that a report is on; None without a report, empty if it does not say."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["fingerprint"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):  # not a report of ours
        return ""


def _score(report: Report, data: DatasetDir, records: Mapping[str, int]) -> Score:
    """Adds to a report what its example's records and the run's directory tell."""
    clips = confidence.by_clip(report.predictions, [records[row.id] for row in report.predictions])
    return Score(
        report=report,
        intervals={k: v for k, v in confidence.intervals(clips).items() if k in report.metrics},
        guess=statistics.best_guess([row.truth for row in report.predictions]),
        speakers=speakers.scores(report, records, data.index),
        curves=training_curve.read(storage.local(flags.FLAGS.run)),
    )


def _made() -> list[tuple[str, str]]:
    return origin.made(origin.now(), origin.command("evaluate", sys.argv[1:]))


def _print(score: Score, words: int, damaged: Damaged) -> None:
    values, report = flags.FLAGS, score.report
    if shown := worst(report.predictions, values.show):
        print("worst examples; S: read as another word, D: not read, I: not said")
    for row in shown:
        print(worst_examples.text(row))
    rows = [(name, _figure(score, name)) for name in report.metrics]
    rows += [(f"word {place} right", f"{share:.4f}") for place, share in enumerate(report.places, 1)]
    rows += [(fact.name, f"{fact.value} {fact.note}".rstrip()) for fact in score_page.times(report.times)]
    if values.among:
        said, right = score_page.among(report.confusion, values.among)
        rows.append(("right of --among", f"{right / max(1, said):.4f} ({said} times one of {', '.join(values.among)})"))
    rows.append(("chance", f"{1 / words:.4f} (one of the {words} words of the training data)"))
    rows.append(("best guess", f"{score.guess:.4f} (always the commonest word at each place)"))
    if damaged.on_bad_record == "skip":
        rows.append(("skipped", str(damaged)))
    rows += [("confused", text) for text in _confused(report.confusion, values.show)]
    read = f"{values.decoder}, lexicon {values.lexicon}"
    cli.table([("examples", f"{report.examples} of split {values.split}"), ("decoder", read), *rows])


def _figure(score: Score, name: str) -> str:
    bounds = score.intervals.get(name)
    interval = f" (95% interval {bounds.low:.4f} to {bounds.high:.4f}, over clips)" if bounds else ""
    return f"{score.report.metrics[name]:.4f}{interval}"


def _confused(confusion: Mapping[tuple[str | None, str | None], int], limit: int) -> list[str]:
    """Describes the commonest confusions."""
    wrong = [(count, said or "nothing", read or "nothing") for (said, read), count in confusion.items() if said != read]
    wrong.sort(key=lambda row: (-row[0], *row[1:]))
    return [f"{said} read as {read}: {count}" for count, said, read in wrong[:limit]]


def _settings() -> dict[str, Any]:
    names = ("run", "weights", "data", "split", "decoder", "beam_width", "lexicon", "among", "where")
    return {name: flags.FLAGS[name].value for name in names}


def _as_json(score: Score, data: DatasetDir, words: int, damaged: Damaged) -> dict[str, Any]:
    """Returns report.json but for its date; null stands for values that are not finite, and for no word."""
    report = score.report
    confusion = sorted(report.confusion.items(), key=lambda each: (-each[1], *(word or "" for word in each[0])))
    said, right = score_page.among(report.confusion, flags.FLAGS.among)
    return {
        **_settings(),
        "fingerprint": data.fingerprint,
        "examples": report.examples,
        "skipped": len(damaged.skipped),
        "metrics": {name: _finite(value) for name, value in report.metrics.items()},
        "intervals": {name: list(bounds) for name, bounds in score.intervals.items()},
        "speakers": [speaker.as_json() for speaker in score.speakers],
        "places": list(report.places),
        "times": {"words": len(report.times), **report.times.result()} if len(report.times) else None,
        "said_among": said,
        "right_among": right,
        "chance": 1 / words,
        "best_guess": score.guess,
        "confusion": [{"said": said, "read": read, "count": count} for (said, read), count in confusion],
        "predictions": [_prediction(row) for row in report.predictions],
    }


def _prediction(row: Prediction) -> dict[str, Any]:
    """Returns the entry of an example; `score` is the log probability of the reading in nats."""
    aligned = worst_examples.pairs(row)
    return {
        "id": row.id,
        "truth": row.truth,
        "read": row.hypothesis,
        "score": _finite(row.score),
        "aligned": [{"said": said, "read": read} for said, read in aligned],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _page(
    score: Score,
    data: DatasetDir,
    opened: Run,
    made: list[tuple[str, str]],
    clip: Callable[[Prediction], Clip],
) -> str:
    values, shape = flags.FLAGS, dataclasses.asdict(opened.model.config)
    settings = [(name, str(value)) for name, value in identity.flatten({**_settings(), "model": shape}).items()]
    title = f"{Path(values.run).name} on {data.manifest['conversion']['name']}, {values.split}"
    track = functools.partial(bar, unit="clip", leave=False, delay=0.5)
    head = [("run", values.run), *origin.of_data(data), ("split", values.split), *made]
    return score_page.html(title, head, score, clip, settings, values.among, track)
