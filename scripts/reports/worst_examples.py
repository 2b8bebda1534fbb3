"""The worst examples of a score: the words said over those that were read, with every mistake marked."""

import dataclasses
import math
from collections.abc import Callable, Iterable

from model.evaluate import Prediction, Report, worst
from model.metrics import align
from pipeline.schema import Clip
from scripts.reports.dataset_page import LEGEND, sheet
from scripts.reports.page import Aligned, Block, Section, Text

MAX_WORST = 12  # examples shown
NONE = "-"  # stands for no word
TINY, SURE = 0.001, 0.995  # below and above, a rounded percentage would say 0% or 100%


def percent(score: float) -> str:
    """Describes a log probability in nats as a probability: `93%`, `2.5%`, `<0.1%`, `>99%`."""
    probability = math.exp(score)
    if probability < TINY:
        return "<0.1%"
    if probability > SURE:
        return ">99%"
    return f"{probability:.0%}" if probability >= 0.1 else f"{probability:.1%}"


def section(report: Report, clip: Callable[[Prediction], Clip], track: Callable[..., Iterable[Prediction]]) -> Section:
    """Draws the worst examples; `clip` and `track` are those of `score_page.html`."""
    shown = worst(report.predictions, MAX_WORST)
    if not shown:
        return Section("Worst", wide=[Text("Every example is right.")])
    order = "Sorted by mistakes per word, then by the model's probability of what it read."
    blocks: list[Block] = [Text(f"{order} {LEGEND}")]
    for row in track(shown):
        own = clip(row)
        frames = f"{len(own.frames)} frames, {int(own.tracked.sum())} tracked"
        sure = f"The model gives this reading a probability of {percent(row.score)}."
        blocks += [Aligned(row.id, pairs(row), sure), dataclasses.replace(sheet(own, frames), title="")]
    return Section("Worst", wide=blocks)


def pairs(row: Prediction) -> list[tuple[str | None, str | None]]:
    """Pairs the words said with the words read, as `metrics.align` does."""
    return align(row.truth.split(), row.hypothesis.split())


def text(row: Prediction) -> str:
    """Returns an example as lines for a terminal: its words in columns, S, D or I below each mistake.

    S marks a word that was read as another, D one that was not read, I one that was not said.
    """
    aligned = pairs(row)
    columns = [(said or NONE, read or NONE, _mark(said, read)) for said, read in aligned]
    widths = [max(map(len, column)) for column in columns]
    heads = ("said", "read", "")
    lines = [row.id + f"  probability {percent(row.score)}"]
    for place, head in enumerate(heads):
        cells = [column[place].ljust(width) for column, width in zip(columns, widths, strict=True)]
        lines.append(f"  {head:<4}  {' '.join(cells)}".rstrip())
    return "\n".join(lines)


def _mark(said: str | None, read: str | None) -> str:
    if said == read:
        return ""
    return "I" if said is None else "D" if read is None else "S"
