"""Aligns words in time: the best path through CTC's logits that spells a given text."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from model.decoding import Hypothesis, log_softmax


class Vocabulary(Protocol):
    """What labels stand for: `symbols`, of the `unit` "character", of which white space ends a word, or "word"."""

    symbols: Sequence[str]
    unit: str

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of label ids, words separated by one space."""
        ...


@dataclasses.dataclass(frozen=True)
class Word:
    """A word of a reading, with its windows.

    Attributes:
      text: the word.
      start: its first window.
      stop: the window after its last. CTC's labels are brief: the mouth may begin before and end after.
      score: how sure, 0 to 1: the geometric mean of the best path's probabilities over these windows.
    """

    text: str
    start: int
    stop: int
    score: float


@dataclasses.dataclass(frozen=True)
class Reading:
    """A text and the windows of its words.

    Attributes:
      text: words separated by one space.
      score: log probability of the text, nats, as in `Hypothesis`.
      words: in order, as in `text`.
    """

    text: str
    score: float
    words: tuple[Word, ...]


def read(
    head: str,
    logits: np.ndarray,
    length: int,
    hypothesis: Hypothesis,
    vocabulary: Vocabulary,
) -> Reading:
    """Converts a hypothesis to text with times.

    Args:
      head: "word" or "ctc".
      logits: of one row, float `[classes]` (word) or `[S, classes + 1]`, blank last (ctc).
      length: valid windows.
      hypothesis: what was decoded from them.
      vocabulary: what the labels stand for.

    Raises:
      ValueError: the labels cannot be spelled in so few windows.
    """
    symbols, unit = vocabulary.symbols, vocabulary.unit
    if head == "word":
        words = [Word(symbols[hypothesis.labels[0]], 0, length, math.exp(hypothesis.score))]
    else:
        words = _words(log_softmax(logits[:length]), hypothesis.labels, symbols, unit)
    return Reading(" ".join(word.text for word in words), hypothesis.score, tuple(words))


def _words(logs: np.ndarray, labels: Sequence[int], symbols: Sequence[str], unit: str) -> list[Word]:
    path = best_path(logs, labels)
    units = np.array([*labels, logs.shape[-1] - 1])[path]  # path is -1, hence the blank, between labels
    scores = logs[np.arange(len(path)), units]
    found = []
    for first, last in _groups([symbols[label] for label in labels], unit):
        start, stop = int(np.flatnonzero(path == first)[0]), int(np.flatnonzero(path == last)[-1]) + 1
        text = "".join(symbols[label] for label in labels[first : last + 1])
        found.append(Word(text, start, stop, math.exp(scores[start:stop].mean())))
    return found


def _groups(symbols: Sequence[str], unit: str) -> list[tuple[int, int]]:
    """Returns the places of the first and the last symbol of each word."""
    if unit == "word":
        return [(place, place) for place in range(len(symbols))]
    letters = {place for place, symbol in enumerate(symbols) if not symbol.isspace()}
    firsts = [place for place in sorted(letters) if place - 1 not in letters]
    lasts = [place for place in sorted(letters) if place + 1 not in letters]
    return list(zip(firsts, lasts, strict=True))


def best_path(logs: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Viterbi's path through the units blank, y_1, blank, y_2, …, blank (Graves et al. 2006, section 4.1, max for sum).

        v_s(u) = log p_s(u) + max(v_{s-1}(u), v_{s-1}(u - 1), v_{s-1}(u - 2) if u is a label other than u - 2's)

    Args:
      logs: float `[S, classes + 1]`, log probabilities, blank last.
      labels: y.

    Returns:
      int `[S]`: at each window the place in `labels` of what is said there, -1 for a blank.

    Raises:
      ValueError: no path spells the labels in S windows.
    """
    units = np.full(2 * len(labels) + 1, logs.shape[-1] - 1)
    units[1::2] = labels
    skips = np.zeros(len(units), bool)
    skips[3::2] = units[3::2] != units[1:-2:2]
    best = np.where(np.arange(len(units)) == 0, 0.0, -np.inf)  # as if a blank came before the first window
    moves = np.zeros([len(logs), len(units)], int)
    for step, row in enumerate(logs):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], best])[: len(units)], -np.inf)
        ways = np.stack([best, one, two])
        moves[step] = ways.argmax(0)
        best = ways.max(0) + row[units]
    unit = len(units) - 1 - int(len(labels) > 0 and best[-2] > best[-1])
    if best[unit] == -np.inf:
        raise ValueError(f"labels: want what {len(logs)} windows can spell, got {tuple(labels)}")
    path = []
    for step in range(len(logs) - 1, -1, -1):
        path.append(unit)
        unit -= moves[step, unit]
    return np.array([unit // 2 if unit % 2 else -1 for unit in reversed(path)], int)
