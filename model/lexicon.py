"""The texts that may be read, as a deterministic acceptor over labels (characters or words)."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

Word = Sequence[int]
Rows = list[dict[int, int]]  # of each state: label -> the state after it


@dataclasses.dataclass(frozen=True, eq=False)
class Lexicon:
    """States joined by labels; a text is allowed if its labels lead from state 0 to a final state.

    With N(s) the minimal number of windows that CTC needs from state s to a final one, blanks between equal labels
    included:

        N(s) = 0 where s is final, else min over labels k of  1 + [k = label(s)] + N(next(s, k))

    Attributes:
      next: int `[states, classes]`, the state after a label, -1 where the label is refused. No label leads to state 0,
        and all that leads to another state is one label.
      final: bool `[states]`.
      label: int `[states]`, the label that leads there, -1 for state 0.
      needs: float `[states]`, N: windows still needed where the last one was the state's own label.
      needs_after_blank: float `[states]`, the same where the last one was a blank: no repeat costs one more.
    """

    next: np.ndarray
    final: np.ndarray
    label: np.ndarray = dataclasses.field(init=False)
    needs: np.ndarray = dataclasses.field(init=False)
    needs_after_blank: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        source, label = np.nonzero(self.next >= 0)
        target = self.next[source, label]
        into = np.full(len(self.final), -1)
        into[target] = label
        if into[0] != -1 or (into[target] != label).any():
            raise ValueError("next: want one label into each state and none into state 0")
        needs = _needs(self.final, source, target, 1 + (label == into[source]))
        after_blank = np.where(self.final, 0.0, np.inf)
        np.minimum.at(after_blank, source, 1 + needs[target])
        for name, value in (("label", into), ("needs", needs), ("needs_after_blank", after_blank)):
            object.__setattr__(self, name, value)

    @classmethod
    def of_words(cls, words: Iterable[Word], classes: int, separator: int | None) -> "Lexicon":
        """Builds a closed vocabulary: any number of `words`, with a separator between two.

        Args:
          words: each the labels of a word.
          classes: how many labels there are.
          separator: the label between words; None where nothing is, as for labels that are words themselves.

        Raises:
          ValueError: no word, an empty one, or words that cannot be told apart without a separator.
        """
        rows: Rows = []
        ends = _trie(rows, words)
        rows.append(dict(rows[0]))
        _join(rows, ends, len(rows) - 1, separator)
        return _lexicon(rows, [0, *ends], classes)

    @classmethod
    def of_slots(cls, slots: Sequence[Iterable[Word]], classes: int, separator: int | None) -> "Lexicon":
        """Builds a grammar of slots: one word of each in turn, with a separator between two.

        Args:
          slots: of each slot the words, each the labels of a word.
          classes: how many labels there are.
          separator: as for `of_words`.

        Raises:
          ValueError: no slot, and as for `of_words`.
        """
        if not slots:
            raise ValueError("slots: want at least one, got none")
        rows: Rows = []
        roots, ends = [], []
        for slot in slots:
            roots.append(len(rows))
            ends.append(_trie(rows, slot))
        for before, root in zip(ends[:-1], roots[1:], strict=True):
            _join(rows, before, root, separator)
        return _lexicon(rows, ends[-1], classes)


@functools.lru_cache
def anything(classes: int) -> Lexicon:
    """Builds the lexicon of all texts; a state is the last label."""
    after = np.broadcast_to(np.arange(1, classes + 1), [classes + 1, classes])
    return Lexicon(after, np.ones(classes + 1, bool))


def _trie(rows: Rows, words: Iterable[Word]) -> list[int]:
    """Adds a tree that spells `words` from a new root; returns the states in which they end."""
    root, ends = len(rows), set()
    rows.append({})
    for word in words:
        if not len(word):
            raise ValueError("words: want at least one label in each, got an empty word")
        state = root
        for label in word:
            if label not in rows[state]:
                rows[state][label] = len(rows)
                rows.append({})
            state = rows[state][label]
        ends.add(state)
    if not ends:
        raise ValueError("words: want at least one, got none")
    return sorted(ends)


def _join(rows: Rows, ends: list[int], root: int, separator: int | None) -> None:
    """Joins the words that end in `ends` to those that start in `root`."""
    for end in ends:
        steps = rows[root] if separator is None else {separator: root}
        if rows[end].keys() & steps.keys():
            raise ValueError("separator: want a label that tells where words end, as one goes on like the next begins")
        rows[end].update(steps)


def _lexicon(rows: Rows, ends: list[int], classes: int) -> Lexicon:
    after = np.full([len(rows), classes], -1)
    for state, row in enumerate(rows):
        after[state, list(row.keys())] = list(row.values())
    final = np.zeros(len(rows), bool)
    final[ends] = True
    return Lexicon(after, final)


def _needs(final: np.ndarray, source: np.ndarray, target: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Returns the shortest distances to a final state over edges source -> target (Bellman 1958)."""
    needs, before = np.where(final, 0.0, np.inf), None
    while not np.array_equal(needs, before):
        before = needs.copy()
        np.minimum.at(needs, source, cost + before[target])
    return needs
