"""Logits to label ids."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """What a row is read as.

    Attributes:
      labels: class or symbol ids.
      score: log probability, nats, 0 or less: of the word, or of the best path (a lower bound of the text's).
    """

    labels: tuple[int, ...]
    score: float


def word(logits: np.ndarray) -> list[Hypothesis]:
    """The likeliest class of each row of float `[B, classes]`."""
    logs = log_softmax(logits)
    return [Hypothesis((int(best),), float(row[best])) for best, row in zip(logs.argmax(-1), logs, strict=True)]


def ctc_greedy(logits: np.ndarray, lengths: Sequence[int]) -> list[Hypothesis]:
    """The best path of each row, repeats collapsed, then blanks dropped (Graves et al. 2006, section 3.2).

    Args:
      logits: float `[B, S, classes + 1]`, blank last.
      lengths: B numbers of valid steps.
    """
    logs = log_softmax(logits)
    return [_best_path(row[:length]) for row, length in zip(logs, lengths, strict=True)]


def _best_path(logs: np.ndarray) -> Hypothesis:
    """Float `[S, classes + 1]`, log probabilities."""
    path, blank = logs.argmax(-1), logs.shape[-1] - 1
    starts = np.diff(path, prepend=-1) != 0
    labels = path[starts & (path != blank)]
    return Hypothesis(tuple(labels.tolist()), float(logs.max(-1).sum()))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def decode(head: str, logits: np.ndarray, lengths: Sequence[int]) -> list[Hypothesis]:
    """The hypotheses of a batch for the head "word" or "ctc"."""
    return word(logits) if head == "word" else ctc_greedy(logits, lengths)
