"""Aligns words in time: the best path through CTC's logits that spells a given text, and where the lips move.

CTC is trained on the order of labels alone, so its path says roughly where a word is, but not how long it is: a label
may be a single window inside its word, or hold on over the silence before the first word and after the last. Words
therefore get their windows in three steps:

1. Each takes the windows of its labels on the best path, and half of those between them and its neighbours' labels. The
   first and the last word reach to the ends of the clip.
2. Of these it keeps the stretch of speech that meets its labels; of several, that of most motion. Silence is where the
   lips are still: at the clip's ends, or for `PAUSE` windows or more. They are still where motion is below a threshold
   between the clip's own rest and speech, as sound's energy is in Rabiner and Sambur, "An algorithm for determining the
   endpoints of isolated utterances", 1975.
3. Talkers open their mouths before they speak. The first and the last word are cut to `LONGEST` windows, or to the
   longest word between them: the first to its last ones, the last to its first ones, a single word to those around the
   middle of its labels.

`PAUSE` and `LONGEST` count windows and were set at 25 frames a second; at 50 they last half as long.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from model.decoding import Hypothesis, log_softmax

PAUSE = 5  # windows, 0.2 s at 25 frames a second: shorter stillness between words is speech
STILL = 0.25  # the threshold of motion, of the way from its 10th to its 90th percentile over the clip
LONGEST = 10  # windows, 0.4 s at 25 frames a second


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
      stop: the window after its last. Words are in order and do not overlap.
      score: how sure, 0 to 1: the geometric mean of the best path's probabilities from its first label to its last.
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
    moved: np.ndarray,
) -> Reading:
    """Converts a hypothesis to text with times.

    Args:
      head: "word" or "ctc".
      logits: of one row, float `[classes]` (word) or `[S, classes + 1]`, blank last (ctc).
      length: valid windows.
      hypothesis: what was decoded from them.
      vocabulary: what the labels stand for.
      moved: how much the lips move in each window, `motion` of the row.

    Raises:
      ValueError: the labels cannot be spelled in so few windows.
    """
    if head == "word":
        words = [Word(vocabulary.symbols[hypothesis.labels[0]], 0, length, math.exp(hypothesis.score))]
    else:
        words = _words(log_softmax(logits[:length]), hypothesis.labels, vocabulary, moved[:length])
    return Reading(" ".join(word.text for word in words), hypothesis.score, tuple(words))


def motion(windows: tf.Tensor) -> np.ndarray:
    """Computes how much each window changes: uint8 `[B, S, 112, 112, 5]` -> float `[B, S]`, gray levels a frame.

    It is the median of the four mean absolute differences between neighbouring frames. A single frame of another
    quality, such as a key frame, does not raise it. Every fourth pixel of every fourth row counts.
    """
    some = windows[:, :, ::4, ::4].numpy().astype(np.int16)  # [B, S, 28, 28, 5]
    return np.median(np.abs(np.diff(some, axis=-1)).mean((2, 3)), axis=-1)  # [B, S, 4] -> [B, S]


def _words(logs: np.ndarray, labels: Sequence[int], vocabulary: Vocabulary, moved: np.ndarray) -> list[Word]:
    path = best_path(logs, labels)
    units = np.array([*labels, logs.shape[-1] - 1])[path]  # path is -1, hence the blank, between labels
    scores = logs[np.arange(len(path)), units]
    symbols = [vocabulary.symbols[label] for label in labels]
    groups = _groups(symbols, vocabulary.unit)
    texts = ["".join(symbols[first : last + 1]) for first, last in groups]
    said = [(int(np.flatnonzero(path == a)[0]), int(np.flatnonzero(path == b)[-1]) + 1) for a, b in groups]
    sure = [math.exp(scores[start:stop].mean()) for start, stop in said]
    return [Word(text, *span, score) for text, span, score in zip(texts, _spans(said, moved), sure, strict=True)]


def _spans(said: list[tuple[int, int]], moved: np.ndarray) -> list[tuple[int, int]]:
    """Returns the windows of words from those of their labels, `said`: the three steps above."""
    if not said:
        return []
    middles = [(stop + start + 1) // 2 for (_, stop), (start, _) in itertools.pairwise(said)]
    cells, speech = itertools.pairwise([0, *middles, len(moved)]), _speech(moved)
    spans = [_liveliest(speech, moved, cell, own) for cell, own in zip(cells, said, strict=True)]
    if len(spans) == 1:
        return [_around(spans[0], said[0])]
    longest = max([LONGEST, *(stop - start for start, stop in spans[1:-1])])
    (start, stop), (last_start, last_stop) = spans[0], spans[-1]
    spans[0] = max(start, stop - longest), stop
    spans[-1] = last_start, min(last_stop, last_start + longest)
    return spans


def _around(span: tuple[int, int], own: tuple[int, int]) -> tuple[int, int]:
    """Cuts the span of a single word to `LONGEST` windows around the middle of its `own` labels in it."""
    middle = (max(span[0], own[0]) + min(span[1], own[1])) // 2
    start = max(span[0], middle - LONGEST // 2)
    return start, min(span[1], middle + LONGEST - LONGEST // 2)


def _liveliest(
    speech: list[tuple[int, int]], moved: np.ndarray, cell: tuple[int, int], own: tuple[int, int]
) -> tuple[int, int]:
    """Returns the stretch of speech in a word's cell that meets its `own` labels and moves most; without any, `own`."""
    cut = [(max(start, cell[0]), min(stop, cell[1])) for start, stop in speech]
    met = [(start, stop) for start, stop in cut if max(start, own[0]) < min(stop, own[1])]
    return max(met, key=lambda span: moved[slice(*span)].sum(), default=own)


def _speech(moved: np.ndarray) -> list[tuple[int, int]]:
    """Returns the stretches of windows that are no silence, given the motion of at least one."""
    rest, most = np.quantile(moved, (0.1, 0.9))
    still = _stretches(moved <= rest + STILL * (most - rest))
    spoken = np.ones(len(moved), bool)
    for start, stop in still:
        spoken[start:stop] = stop - start < PAUSE and start > 0 and stop < len(moved)
    return _stretches(spoken)


def _stretches(where: np.ndarray) -> list[tuple[int, int]]:
    """Returns the beginnings and ends of the stretches that are true, bool `[N]`."""
    turns = np.flatnonzero(np.diff(where, prepend=False, append=False)).tolist()
    return list(zip(turns[::2], turns[1::2], strict=True))


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
