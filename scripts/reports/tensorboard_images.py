"""TensorBoard images of a validation: a confusion matrix, and lip frames with their readings."""

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

MAX_WORDS = 40  # said, in the matrix
MAX_OTHERS = 30  # read in their place
EXAMPLES = 6
CAPTION = "Times that a word (row) was read as another (column); shades are shares of the row."


def show(report: Report, clip: Callable[[Prediction], Clip]) -> None:
    """Writes both images to the default writer of `tf.summary`.

    Args:
      report: of the evaluation.
      clip: returns the frames of an example, as `score_page.clips` does.

    Raises:
      DataError: the record of an example that is shown is damaged.
    """
    _picture("confusion", confusion(score_page.named(report.confusion)), CAPTION)
    _picture("lips", lips(report.predictions, clip), LEGEND)


def _picture(tag: str, pixels: np.ndarray, caption: str) -> None:
    tf.summary.image(tag, pixels[None], description=caption)  # [H, W, 3] -> [1, H, W, 3]


def confusion(pairs: Pairs) -> np.ndarray:
    """Draws the matrix of `chosen`: uint8 [H, W, 3]."""
    return charts.matrix_pixels(*chosen(pairs), "read", "said")


def chosen(pairs: Pairs) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts as `score_page.matrix` of the words with the most mistakes, at most `MAX_WORDS`."""
    return score_page.matrix(pairs, [said for said, _ in score_page.mistakes(pairs)[:MAX_WORDS]], MAX_OTHERS)


def lips(predictions: Sequence[Prediction], clip: Callable[[Prediction], Clip]) -> np.ndarray:
    """Draws the examples of `drawn`: truth, reading, and a row of frames each; uint8 [H, W, 3]."""
    parts = [part for row in drawn(predictions) for part in _example(row, clip(row))]
    return np.asarray(preview.stacked(parts))


def drawn(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Returns the examples to show, chosen by a hash of their ids, so that every epoch shows the same ones."""
    return sorted(predictions, key=lambda row: hashlib.sha256(row.id.encode()).digest())[:EXAMPLES]


def _example(row: Prediction, clip: Clip) -> list[Image.Image]:
    step = -(-len(clip.frames) // preview.COLUMNS)
    text = preview.title([f"said “{row.truth}”   {row.id}", f"read “{row.hypothesis}”"])
    return [text, preview.strip(clip, step=step)]
