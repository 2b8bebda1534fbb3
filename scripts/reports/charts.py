"""Charts as SVG, and matrices as pixels; the same numbers give the same bytes."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

INCHES = (4.4, 2.6)  # at 72 points an inch, so that font sizes match the page's
CELL, MARGIN = 0.27, 0.9  # inches, of a matrix: side of a cell, space for the names
PIXELS = 100  # an inch
MATRIX_PIXELS = 96  # an inch of a matrix on a page
MAX_BINS, MIN_BINS = 40, 10
MAX_POINTS = 200
BLUE, GRAY, INK = "#2b6cb0", "#5b6470", "#1c2229"
LOOKS = ((BLUE, "-", "o"), ("#b7410e", "--", "s"))  # colour, dash and mark of each line, so that colour is not all
MAX_MARKS = 12  # points of a line that get a mark
STYLE = {
    "font.size": 10,
    "axes.edgecolor": "#c5cad1",
    "axes.labelcolor": GRAY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "svg.hashsalt": "lipflow",  # names inside the file, otherwise drawn at random
    "text.parse_math": False,  # users' words may have dollars in them
    "xtick.color": GRAY,
    "ytick.color": GRAY,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Line(NamedTuple):
    """A named line through points x, float [N] in ascending order, and y, float [N]."""

    name: str
    x: np.ndarray
    y: np.ndarray


def histogram(values: np.ndarray, label: str, counted: str) -> str:
    """Draws a histogram of integers, at least one; bins are wider than 1 if the values spread widely."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // MAX_BINS)
    edges = np.arange(low, high + width + 1, width) - 0.5
    first = max(-0.5, edges[0] - max(0, MIN_BINS - len(edges)) // 2)
    axes = _bars(values, edges, (first, max(first + MIN_BINS, edges[-1])))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return _finished(axes, label, counted)


def shares(values: np.ndarray, label: str, counted: str) -> str:
    """Draws a histogram of shares, 0 to 1 and at least one, in bins of 5%; the counts are on a log scale."""
    axes = _bars(100 * values, np.linspace(0, 100, 21), (0, 100))
    axes.set_yscale("log")
    return _finished(axes, label, counted)


def ranks(counts: np.ndarray, label: str, counted: str) -> str:
    """Draws counts, in falling order and at least one, by rank; both scales are logarithmic."""
    shown = np.unique(np.geomspace(1, len(counts), MAX_POINTS).round().astype(int))
    axes = _axes()
    axes.loglog(shown, counts[shown - 1], ".", color=BLUE, markersize=4)
    axes.set_xlim(0.8, 1.25 * max(10, len(counts)))
    return _finished(axes, label, counted)


def lines(given: Sequence[Line], label: str, unit: str) -> str:
    """Draws one or two lines from 0 up, and a legend; values that are not finite leave a gap."""
    axes = _axes()
    for line, (color, dash, mark) in zip(given, LOOKS, strict=False):
        style = {"color": color, "linestyle": dash, "marker": mark, "markersize": 3.5, "linewidth": 1.4}
        axes.plot(line.x, line.y, label=line.name, markevery=-(-len(line.x) // MAX_MARKS), **style)
    axes.set_ylim(0)
    axes.legend(frameon=False, labelcolor=GRAY)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    return _saved(axes, label, unit)


def matrix(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str, counted: str) -> str:
    """Draws counts [N, M], N and M at least one, as a table; shades are shares of the row, 0 is left out."""
    return _saved(_shaded(counts, rows, columns), label, counted)


def matrix_width(columns: Sequence[str]) -> int:
    """Returns the width in pixels at which the names and counts of a matrix can be read."""
    return round(MATRIX_PIXELS * (MARGIN + CELL * len(columns)))


@mpl.rc_context(STYLE)
def matrix_pixels(
    counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str, counted: str
) -> np.ndarray:
    """Returns what `matrix` draws, on white: uint8 [H, W, 3]."""
    axes = _shaded(counts, rows, columns)
    axes.set(xlabel=label, ylabel=counted)
    axes.figure.set_dpi(PIXELS)
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@mpl.rc_context(STYLE)
def _shaded(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Axes:
    axes = _axes((MARGIN + CELL * len(columns), MARGIN + CELL * len(rows)))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column + 0.5, row + 0.5, f"{count}", color=colour, size=8, ha="center", va="center")
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    return axes


@mpl.rc_context(STYLE)
def _axes(inches: tuple[float, float] = INCHES) -> Axes:
    return Figure(inches, layout="constrained").subplots()


def _bars(values: np.ndarray, edges: np.ndarray, limits: tuple[float, float]) -> Axes:
    axes, (counts, _) = _axes(), np.histogram(values, edges)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, edgecolor="white", linewidth=0.5)
    axes.set_xlim(limits)
    return axes


@mpl.rc_context(STYLE)
def _finished(axes: Axes, label: str, counted: str) -> str:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_formatter(NullFormatter())
    if axes.get_yscale() == "log":
        axes.set_ylim(0.8)
    return _saved(axes, label, counted)


@mpl.rc_context(STYLE)
def _saved(axes: Axes, label: str, counted: str) -> str:
    axes.set_xlabel(label)
    axes.set_ylabel(counted)
    buffer = io.StringIO()
    axes.figure.savefig(buffer, format="svg", metadata=NO_METADATA, transparent=True)
    return buffer.getvalue()
