"""What a validation shows in TensorBoard: words said against words read, and lips with what was read of them."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from model.evaluate import Prediction, Report
from pipeline.inspection import preview
from pipeline.schema import Clip
from scripts.reports import charts, score_page
from scripts.reports.dataset_page import LEGEND
from scripts.reports.score_page import Pairs

MOST_WORDS = 60  # in the matrix
EXAMPLES = 6
CAPTION = "Times that a word (row) was read as another (column); shades are shares of the row."


def show(report: Report, clip: Callable[[Prediction], Clip]) -> None:
    """Gives both pictures to the default writer of `tf.summary`; the same for the same report and frames.

    Args:
      report: what an evaluation found.
      clip: an example's frames, as from `score_page.clips`.

    Raises:
      DataError: the record of an example that is shown is damaged.
    """
    _picture("validation confusion", confusion(score_page.named(report.confusion)), CAPTION)
    _picture("validation lips", lips(report.predictions, clip), LEGEND)


def _picture(tag: str, pixels: np.ndarray, caption: str) -> None:
    tf.summary.image(tag, pixels[None], description=caption)  # [H, W, 3] -> [1, H, W, 3]


def confusion(pairs: Pairs) -> np.ndarray:
    """The matrix of all words said, of more than MOST_WORDS those read wrong most: uint8 [H, W, 3]."""
    return charts.matrix_pixels(*chosen(pairs), "read", "said")


def chosen(pairs: Pairs) -> tuple[np.ndarray, list[str], list[str]]:
    """`score_page.matrix` of the words that are shown, without `(nothing)` and `(other)` where nothing was so read."""
    names = [said for said, _ in score_page.mistakes(pairs)[:MOST_WORDS]]
    counts, rows, columns = score_page.matrix(pairs, names)
    kept = [place for place, name in enumerate(columns) if name in rows or counts[:, place].any()]
    return counts[:, kept], rows, [columns[place] for place in kept]


def lips(predictions: Sequence[Prediction], clip: Callable[[Prediction], Clip]) -> np.ndarray:
    """The examples of `drawn` below each other: text said, text read, and a row of frames; uint8 [H, W, 3]."""
    parts = [part for row in drawn(predictions) for part in _example(row, clip(row))]
    return np.asarray(preview.stacked(parts))


def drawn(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The few that are shown: by a hash of their ids, so that each epoch shows the same whatever was read."""
    return sorted(predictions, key=lambda row: hashlib.sha256(row.id.encode()).digest())[:EXAMPLES]


def _example(row: Prediction, clip: Clip) -> list[Image.Image]:
    step = -(-len(clip.frames) // preview.COLUMNS)
    text = preview.title([f"said “{row.truth}”   {row.id}", f"read “{row.hypothesis}”"])
    return [text, preview.strip(clip, step=step)]
