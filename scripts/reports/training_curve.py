"""The course of a training: its loss and its error rates, as TensorBoard's files have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from scripts.reports import charts, page
from scripts.reports.charts import Line
from scripts.reports.page import Block, Picture, Section, Text

EVENTS = "events.out.tfevents.*"
TRAIN, VAL = "train", "val"  # directories of the writers, below `tensorboard` of a run
LOSS, WER, CER = "loss", "metrics/wer", "metrics/cer"
MAX_POINTS = 200  # of a line; of more, means are drawn


class Curve(NamedTuple):
    """A value over the steps of a training: int64 [N], ascending, and float64 [N]."""

    steps: np.ndarray
    values: np.ndarray


def read(run: Path) -> dict[tuple[str, str], Curve]:
    """Reads the curves of a run by (writer, tag), such as `("val", "loss")`; those that are missing are left out.

    Where a training was resumed at an earlier step, the later events replace the earlier ones.
    """
    tags = {TRAIN: {LOSS}, VAL: {LOSS, WER, CER}}
    found = {}
    for writer, wanted in tags.items():
        for tag, curve in _read(run / "tensorboard" / writer, wanted).items():
            found[writer, tag] = curve
    return found


def _read(directory: Path, tags: set[str]) -> dict[str, Curve]:
    points: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(directory.glob(EVENTS)):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag in tags:
                    _append(points.setdefault(value.tag, []), event.step, float(tf.make_ndarray(value.tensor)))
    return {tag: Curve(*map(np.array, zip(*pairs, strict=True))) for tag, pairs in points.items()}


def _append(points: list[tuple[int, float]], step: int, value: float) -> None:
    while points and points[-1][0] >= step:
        points.pop()
    points.append((step, value))


def section(curves: Mapping[tuple[str, str], Curve]) -> Section:
    """Draws the loss of training and validation in one chart, and the error rates of validation in another."""
    losses = {
        name: curves[writer, LOSS]
        for writer, name in ((TRAIN, "training"), (VAL, "validation"))
        if (writer, LOSS) in curves
    }
    rates = {name: curves[VAL, tag] for tag, name in ((WER, "words"), (CER, "characters")) if (VAL, tag) in curves}
    blocks: list[Block] = []
    if losses:
        blocks.append(_picture("Loss", losses, "nats"))
    if rates:
        percent = {name: Curve(curve.steps, 100 * curve.values) for name, curve in rates.items()}
        blocks.append(_picture("Error rates of validation", percent, "%"))
    missing = Text("The run has no TensorBoard events of its training, so there is no curve.")
    return Section("Training", blocks or [missing])


def _picture(title: str, curves: Mapping[str, Curve], unit: str) -> Picture:
    lines = [Line(name, *_thinned(curve)) for name, curve in curves.items()]
    lasts = [f"{name} {curve.values[-1]:.3g} at step {curve.steps[-1]:,}" for name, curve in curves.items()]
    caption = f"At the end: {'; '.join(lasts)}"
    return Picture(page.svg(charts.lines(lines, "step", unit)), f"{title} by step. {caption}", title, caption)


def _thinned(curve: Curve) -> Curve:
    """Replaces runs of neighbouring points by their means, so that `MAX_POINTS` remain at most."""
    width = -(-len(curve.steps) // MAX_POINTS)
    starts = np.arange(0, len(curve.steps), width)
    counts = np.diff(np.append(starts, len(curve.steps)))
    return Curve(*(np.add.reduceat(column.astype(float), starts) / counts for column in curve))
