"""Logits to label ids: the best class, CTC's best path, and CTC's prefix beam search."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from model import lexicon
from model.lexicon import Lexicon


@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    """How logits are decoded. It concerns CTC heads; a word head names its best class.

    Attributes:
      decoder: "greedy", the best path; "beam", the likeliest text that a prefix beam search finds.
      beam_width: prefixes kept from window to window.
      lexicon: the texts that "beam" may choose from; None, any.

    Raises:
      ValueError: another decoder, a beam of no width, or a lexicon without "beam".
    """

    decoder: Literal["greedy", "beam"] = "greedy"
    beam_width: int = 32
    lexicon: Lexicon | None = None

    def __post_init__(self) -> None:
        if self.decoder not in ("greedy", "beam"):
            raise ValueError(f"decoder: want greedy or beam, got {self.decoder!r}")
        if not self.beam_width > 0:
            raise ValueError(f"beam_width: want more than 0, got {self.beam_width}")
        if self.lexicon is not None and self.decoder != "beam":
            raise ValueError(f"lexicon: goes with decoder beam only, got decoder {self.decoder}")


GREEDY = DecodeConfig()


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """The decoded labels of a row.

    Attributes:
      labels: class or symbol ids.
      score: log probability, nats, 0 or less: of the word, or of those paths of the text that the search has seen
        (greedy: one; beam: most; never more than all). -inf where no text of the lexicon fits into the windows.
    """

    labels: tuple[int, ...]
    score: float


def decode(head: str, logits: np.ndarray, lengths: Sequence[int], how: DecodeConfig = GREEDY) -> list[Hypothesis]:
    """Decodes a batch for the head "word" or "ctc", greedily by default."""
    if head == "word":
        return word(logits)
    if how.decoder == "greedy":
        return ctc_greedy(logits, lengths)
    return ctc_beam(logits, lengths, how.beam_width, how.lexicon)


def word(logits: np.ndarray) -> list[Hypothesis]:
    """Returns the likeliest class of each row of float `[B, classes]`."""
    logs = log_softmax(logits)
    return [Hypothesis((int(best),), float(row[best])) for best, row in zip(logs.argmax(-1), logs, strict=True)]


def ctc_greedy(logits: np.ndarray, lengths: Sequence[int]) -> list[Hypothesis]:
    """Returns the best path of each row, repeats collapsed, then blanks dropped (Graves et al. 2006, section 3.2).

    Args:
      logits: float `[B, S, classes + 1]`, blank last.
      lengths: B numbers of valid steps.
    """
    logs = log_softmax(logits)
    return [_best_path(row[:length]) for row, length in zip(logs, lengths, strict=True)]


def _best_path(logs: np.ndarray) -> Hypothesis:
    """Decodes float `[S, classes + 1]`, log probabilities."""
    path, blank = logs.argmax(-1), logs.shape[-1] - 1
    starts = np.diff(path, prepend=-1) != 0
    labels = path[starts & (path != blank)]
    return Hypothesis(tuple(labels.tolist()), float(logs.max(-1).sum()))


def ctc_beam(
    logits: np.ndarray, lengths: Sequence[int], width: int, allowed: Lexicon | None = None
) -> list[Hypothesis]:
    """Returns the likeliest text of each row by prefix beam search (Graves and Jaitly 2014; Hannun et al. 2014).

    For a prefix y that ends in the label e, b(y) and n(y) sum the paths so far that collapse to y and end in a blank
    or in e. A window with probabilities p takes them to

        b'(y) = p_blank (b(y) + n(y))
        n'(y) = p_e n(y) + p_e (b(x) + [e is not x's last label] n(x)),    y = x and e

    Kept are the `width` prefixes of the largest b' + n', of equal ones the earlier, from among those that can still
    become an allowed text in the windows that are left. A width that nothing is cut by makes the search exact.

    Args:
      logits: float `[B, S, classes + 1]`, blank last.
      lengths: B numbers of valid steps.
      width: prefixes to keep.
      allowed: the texts to choose from; None, any.
    """
    logs = log_softmax(logits)
    allowed = allowed or lexicon.anything(logs.shape[-1] - 1)
    return [_search(row[:length], width, allowed) for row, length in zip(logs, lengths, strict=True)]


class _Prefixes:
    """A tree of prefixes, in which each prefix has one number."""

    def __init__(self) -> None:
        self.parents, self.labels = [-1], [-1]
        self._children: dict[tuple[int, int], int] = {}

    def child(self, parent: int, label: int) -> int:
        number = self._children.setdefault((parent, label), len(self.parents))
        if number == len(self.parents):
            self.parents.append(parent)
            self.labels.append(label)
        return number

    def spell(self, number: int) -> tuple[int, ...]:
        labels = []
        while number:
            labels.append(self.labels[number])
            number = self.parents[number]
        return tuple(reversed(labels))


@dataclasses.dataclass
class _Beam:
    """Prefixes, likeliest first: numbers, parents, lexicon states, log b and log n."""

    prefix: np.ndarray
    parent: np.ndarray
    state: np.ndarray
    blank: np.ndarray
    label: np.ndarray


def _search(logs: np.ndarray, width: int, allowed: Lexicon) -> Hypothesis:
    """Decodes float `[S, classes + 1]`, log probabilities."""
    prefixes, left = _Prefixes(), len(logs)
    start = np.zeros(int(allowed.needs_after_blank[0] <= left), int)
    beam = _Beam(start, start - 1, start, start.astype(float), start - np.inf)
    for row in logs:
        left -= 1
        beam = _advance(beam, row, width, allowed, left, prefixes)
    if not len(beam.prefix):
        return Hypothesis((), -math.inf)
    score = np.logaddexp(beam.blank[0], beam.label[0])
    return Hypothesis(prefixes.spell(int(beam.prefix[0])), float(score))


def _advance(beam: _Beam, row: np.ndarray, width: int, allowed: Lexicon, left: int, prefixes: _Prefixes) -> _Beam:
    """Returns the beam after a window of log probabilities `[classes + 1]`, with `left` windows to come."""
    last, after = allowed.label[beam.state], allowed.next[beam.state]  # [N], [N, classes]
    total = np.logaddexp(beam.blank, beam.label)
    blank, label = total + row[-1], beam.label + row[last]
    grown = total[:, np.newaxis] + row[:-1]
    again = np.flatnonzero(last >= 0)
    grown[again, last[again]] = beam.blank[again] + row[last[again]]
    blank[allowed.needs_after_blank[beam.state] > left] = -np.inf
    label[allowed.needs[beam.state] > left] = -np.inf
    grown[(after < 0) | (allowed.needs[after] > left)] = -np.inf
    # A prefix whose parent is in the beam too is also reached from there.
    child, parent = np.nonzero(beam.parent[:, np.newaxis] == beam.prefix)
    label[child] = np.logaddexp(label[child], grown[parent, last[child]])
    grown[parent, last[child]] = -np.inf
    return _keep(beam, blank, label, grown, after, width, prefixes)


def _keep(
    beam: _Beam,
    blank: np.ndarray,
    label: np.ndarray,
    grown: np.ndarray,
    after: np.ndarray,
    width: int,
    prefixes: _Prefixes,
) -> _Beam:
    """Selects the likeliest of prefixes that stay (`blank`, `label`: `[N]`) and grow (`grown`: `[N, classes]`)."""
    count, classes = grown.shape
    scores = np.concatenate([np.logaddexp(blank, label), grown.ravel()])  # [N], [N, classes] -> [N + N*classes]
    alive = np.flatnonzero(scores > -np.inf)
    if len(alive) > width:  # most go without being sorted
        alive = alive[scores[alive] >= np.partition(scores[alive], -width)[-width]]
    kept = alive[np.argsort(-scores[alive], kind="stable")[:width]]
    stays, source, new = kept < count, np.where(kept < count, kept, (kept - count) // classes), (kept - count) % classes
    old = beam.prefix[source]
    prefix = [
        number if stay else prefixes.child(number, symbol)
        for stay, number, symbol in zip(stays.tolist(), old.tolist(), new.tolist(), strict=True)
    ]
    return _Beam(
        np.array(prefix, int),
        np.where(stays, beam.parent[source], old),
        np.where(stays, beam.state[source], after[source, new]),
        np.where(stays, blank[source], -np.inf),
        np.where(stays, label[source], scores[kept]),
    )


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Normalises over the last axis, float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
