"""How well each speaker of a split is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from model import confidence
from model.confidence import Interval
from model.evaluate import Report
from pipeline.records.index import Index
from scripts.reports.page import Section, Table, Text

MAX_SPEAKERS = 40  # in the table
NOT_NAMED, UNKNOWN = "not named", "unknown"
ADVICE = (
    "An interval says how the rate may differ with other clips of the speaker. "
    "It is unknown for a single clip, and where all clips have the same rate."
)


@dataclasses.dataclass(frozen=True)
class Speaker:
    """The score of a speaker's examples.

    Attributes:
      metrics: those of the report, without the loss.
      intervals: of the metrics, over the speaker's clips.
    """

    name: str
    examples: int
    clips: int
    metrics: dict[str, float]
    intervals: dict[str, Interval]

    def as_json(self) -> dict[str, Any]:
        """Returns the entry of report.json; intervals become lists of two bounds."""
        return {**vars(self), "intervals": {name: list(pair) for name, pair in self.intervals.items()}}


def scores(report: Report, records: Mapping[str, int], index: Index) -> list[Speaker]:
    """Scores the examples of each speaker, the highest word error rate first, ties sorted by name.

    Args:
      report: of the evaluation.
      records: the record of each example, by its id.
      index: of the dataset, which names the speakers.
    """
    rows: dict[str, list] = {}
    for row in report.predictions:
        rows.setdefault(index.speaker[records[row.id]] or NOT_NAMED, []).append(row)
    found = []
    for name, own in rows.items():
        clips = confidence.by_clip(own, [records[row.id] for row in own])
        rates, bounds = confidence.rates(clips), confidence.intervals(clips)
        metrics, intervals = ({k: v for k, v in each.items() if k in report.metrics} for each in (rates, bounds))
        found.append(Speaker(name, len(own), len(clips), metrics, intervals))
    return sorted(found, key=lambda speaker: (-speaker.metrics["wer"], speaker.name))


def section(speakers: Sequence[Speaker]) -> Section:
    """Lists the speakers; those that are read worst come first."""
    texts = "sentence_accuracy" in speakers[0].metrics
    columns = ("speaker", "clips", "examples", "word error rate, %", "95% interval", "words right, %")
    rows = [_row(speaker, texts) for speaker in speakers[:MAX_SPEAKERS]]
    table = Table((*columns, *(["sentences right, %"] if texts else [])), rows, more=len(speakers[MAX_SPEAKERS:]))
    return Section("Speakers", wide=[table, Text(ADVICE)])


def _row(speaker: Speaker, texts: bool) -> tuple[str | int | float, ...]:
    metrics, interval = speaker.metrics, speaker.intervals.get("wer")
    shown = (
        f"{100 * interval.low:.2f}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{100 * interval.high:.2f}"
        if interval
        else UNKNOWN
    )
    names = ("word_accuracy", *(["sentence_accuracy"] if texts else []))
    rates = [100 * metrics[name] for name in names]
    return (speaker.name, speaker.clips, speaker.examples, 100 * metrics["wer"], shown, *rates)
