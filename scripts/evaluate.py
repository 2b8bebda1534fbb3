"""Scores a run on a split, every example once.

python -m scripts.evaluate --run=runs/words --data=data/grid --split=test
python -m scripts.evaluate --run=runs/sentences --data=data/grid --decoder=beam --lexicon=grid --output=scores/beam
python -m scripts.evaluate --run=runs/words --data=data/grid --among=b,d,m,p
python -m scripts.evaluate --run=runs/words --data=data/own --where=room=studio --output=scores/studio

Prints the figures and writes two reports to --output, replacing older ones. The default is RUN/evaluation-NAME-SPLIT,
where NAME is the last part of --data, and --where follows; another dataset of that name gets a directory with its
fingerprint beside it.
report.html shows confusions and the worst examples frame by frame; report.json holds every example.
"""

import dataclasses
import functools
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from model.evaluate import Prediction, Report
from pipeline.inspection import statistics
from pipeline.loading.examples import DataConfig
from pipeline.loading.plan import PlanConfig
from pipeline.records import identity, storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, DataError
from scripts.common import cli, data_flags, decoding_flags, experiment
from scripts.common.experiment import Damaged, Run
from scripts.reports import score_page

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("data", None, "dataset directory or URL, made by scripts.convert", required=True)
data_flags.define()
flags.DEFINE_string("split", "test", "split to score")
flags.DEFINE_string("output", None, "directory for the reports; default: RUN/evaluation-NAME-SPLIT, NAME of --data")
flags.DEFINE_enum("weights", "best", ["best", "last"], "which checkpoint: the best by validation, or the last")
flags.DEFINE_integer("batch_size", PlanConfig.batch_size, "examples in a batch; changes no result", lower_bound=1)
flags.DEFINE_integer("show", 5, "number of examples and of confusions to print", lower_bound=0)
flags.DEFINE_list("among", [], "words to score separately, with a confusion matrix of their own")
CHOSEN = cli.Options(
    DataConfig,
    {
        "where": "NAME=VALUE: score clips alone whose column NAME of the table, kept by --keep_columns of "
        "scripts.convert, has this value; repeat the flag for other values, or for other columns that have to fit too"
    },
    repeated=("where",),
)
DECODE = decoding_flags.define()
REPORT = "report.json"
DAMAGED = cli.Options(
    experiment.Damaged, {"on_bad_record": "at a damaged record, raise an error that names it, or skip and count it"}
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    values = flags.FLAGS
    data = data_flags.open_datasets([values.data])[0]
    opened = experiment.open_run(storage.local(values.run), values.weights)
    experiment.check_input(data, opened)
    _check_among(data)
    how, damaged = decoding_flags.build(DECODE, opened), DAMAGED.build()
    config = CHOSEN.build(**{name: value for name, value in vars(opened.data).items() if name != "where"})
    clip, output = score_page.clips(data, values.split, config), _output(data)
    report = experiment.score(opened.model, data, values.split, config, values.batch_size, how, damaged, timed=True)
    guess = statistics.best_guess([row.truth for row in report.predictions])
    words = len(opened.words)
    _print(report, words, guess, damaged)
    storage.write_json(output / REPORT, _as_json(report, data, words, guess, damaged))
    html = _page(report, data, opened, guess, clip)
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


def _print(report: Report, words: int, guess: float, damaged: Damaged) -> None:
    values = flags.FLAGS
    for row in report.predictions[: values.show]:
        print(f"{row.id}: {row.hypothesis!r}, truth {row.truth!r}")
    rows = [(name, f"{value:.4f}") for name, value in report.metrics.items()]
    rows += [(f"word {place} right", f"{share:.4f}") for place, share in enumerate(report.places, 1)]
    rows += score_page.times(report.times)
    if values.among:
        said, right = score_page.among(report.confusion, values.among)
        rows.append(("right of --among", f"{right / max(1, said):.4f} ({said} times one of {', '.join(values.among)})"))
    rows.append(("chance", f"{1 / words:.4f} (one of the {words} words of the training data)"))
    rows.append(("best guess", f"{guess:.4f} (always the commonest word at each place)"))
    if damaged.on_bad_record == "skip":
        rows.append(("skipped", str(damaged)))
    rows += [("confused", text) for text in _confused(report.confusion, values.show)]
    read = f"{values.decoder}, lexicon {values.lexicon}"
    cli.table([("examples", f"{report.examples} of split {values.split}"), ("decoder", read), *rows])


def _confused(confusion: Mapping[tuple[str | None, str | None], int], limit: int) -> list[str]:
    """Describes the commonest confusions."""
    wrong = [(count, said or "nothing", read or "nothing") for (said, read), count in confusion.items() if said != read]
    wrong.sort(key=lambda row: (-row[0], *row[1:]))
    return [f"{said} read as {read}: {count}" for count, said, read in wrong[:limit]]


def _settings() -> dict[str, Any]:
    names = ("run", "weights", "data", "split", "decoder", "beam_width", "lexicon", "among", "where")
    return {name: flags.FLAGS[name].value for name in names}


def _as_json(report: Report, data: DatasetDir, words: int, guess: float, damaged: Damaged) -> dict[str, Any]:
    """Returns report.json; null stands for values that are not finite, and for no word."""
    confusion = sorted(report.confusion.items(), key=lambda each: (-each[1], *(word or "" for word in each[0])))
    said, right = score_page.among(report.confusion, flags.FLAGS.among)
    return {
        **_settings(),
        "fingerprint": data.fingerprint,
        "examples": report.examples,
        "skipped": len(damaged.skipped),
        "metrics": {name: _finite(value) for name, value in report.metrics.items()},
        "places": list(report.places),
        "times": {"words": len(report.times), **report.times.result()} if len(report.times) else None,
        "said_among": said,
        "right_among": right,
        "chance": 1 / words,
        "best_guess": guess,
        "confusion": [{"said": said, "read": read, "count": count} for (said, read), count in confusion],
        "predictions": [
            {"id": row.id, "truth": row.truth, "read": row.hypothesis, "score": _finite(row.score)}
            for row in report.predictions
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _page(report: Report, data: DatasetDir, opened: Run, guess: float, clip: Callable[[Prediction], Clip]) -> str:
    values, shape = flags.FLAGS, dataclasses.asdict(opened.model.config)
    settings = [(name, str(value)) for name, value in identity.flatten({**_settings(), "model": shape}).items()]
    title = f"{Path(values.run).name} on {data.manifest['conversion']['name']}, {values.split}"
    bar = functools.partial(tqdm, unit="clip", leave=False, delay=0.5)
    return score_page.html(title, "A Lipflow evaluation", report, guess, clip, settings, values.among, bar)


if __name__ == "__main__":
    cli.run(main)
