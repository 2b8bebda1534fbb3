"""Arrays of strings that store UTF-8 end to end, so that a long string does not widen the others."""

import codecs
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

CHUNK = 1 << 20  # bytes that `is_utf8` decodes at once
BLOCK = 1 << 16  # strings that are worked on at once: what is made of them stays in the processor's cache
LIMB = 8  # bytes that are compared and hashed at once
MASKS = np.array([(1 << 8 * count) - 1 for count in range(LIMB + 1)], np.uint64)  # the first `count` bytes of a limb
ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # factors of SplitMix64


class StringArray(Sequence[str]):
    """N strings, decoded on access; indexing and comparison work as for a NumPy array of strings.

    Attributes:
      data: uint8 [bytes], all strings in UTF-8.
      ends: int64 or int32 [N]; string n is `data[ends[n - 1]:ends[n]]`, and the first begins at 0.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, strings: Iterable[str]) -> "StringArray":
        builder = Builder()
        for string in strings:
            builder.append(string)
        return builder.build()

    @classmethod
    def concatenate(cls, parts: Sequence["StringArray"]) -> "StringArray":
        data = np.concatenate([part.data for part in parts])
        return cls(data, shift_concatenate([part.ends for part in parts], [len(part.data) for part in parts]))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, key: Any) -> Any:
        """The string at an integer; the `StringArray` at a slice, int64 [M] or bool [N]."""
        if isinstance(key, slice):
            key = range(*key.indices(len(self)))
            return self._run(key.start, max(key.start, key.stop)) if key.step == 1 else self[np.array(key, np.int64)]
        if not hasattr(key, "__index__") or np.ndim(key):
            key = np.asarray(key)
            return self._at(np.flatnonzero(key) if key.dtype == bool else key)
        row = range(len(self))[operator.index(key)]
        return str(self.data[self.ends[row - 1] if row else 0 : self.ends[row]].data, "utf-8")

    def _run(self, first: int, stop: int) -> "StringArray":
        """The strings `[first, stop)`; shares the bytes."""
        if stop <= first:
            return StringArray(self.data[:0], self.ends[:0])
        begin = self.ends[first - 1] if first else self.ends.dtype.type(0)
        return StringArray(self.data[begin : self.ends[stop - 1]], self.ends[first:stop] - begin)

    def _at(self, rows: np.ndarray) -> "StringArray":
        """The strings at int64 [M]."""
        if len(rows) and rows[0] >= 0 and np.all(rows[1:] - rows[:-1] == 1):
            self.ends[rows[-1]]  # raises an IndexError
            return self._run(int(rows[0]), int(rows[-1]) + 1)
        starts, lengths = self._places(rows)
        ends = np.cumsum(lengths, dtype=np.int64)
        data = np.empty(ends[-1] if len(ends) else 0, np.uint8)
        for block in blocks(len(rows)):
            begin = ends[block.start] - lengths[block.start]
            shift = starts[block] - (ends[block] - lengths[block])
            here = slice(begin, ends[block.stop - 1])
            data[here] = self.data[np.arange(here.start, here.stop) + np.repeat(shift, lengths[block])]
        return StringArray(data, ends)

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int64 [M]: where the strings at `rows` begin, and their bytes."""
        rows = np.where(rows < 0, rows + len(self), rows)
        ends = self.ends[rows].astype(np.int64)
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        return starts, ends - starts

    def __iter__(self) -> Iterator[str]:
        data, start = self.data.data, 0
        for end in map(int, self.ends):
            yield str(data[start:end], "utf-8")
            start = end

    def __eq__(self, other: object) -> Any:
        """Bool [N]: which strings equal `other`, a string or N strings."""
        if isinstance(other, str):
            one, rows = StringArray.of([other]), np.zeros(len(self), np.int64)
            return self.equal(np.arange(len(self)), one, rows)
        if not isinstance(other, StringArray) or len(other) != len(self):
            return NotImplemented
        rows = np.arange(len(self))
        return self.equal(rows, other, rows)

    def __ne__(self, other: object) -> Any:
        same = self == other
        return not same if isinstance(same, bool) else ~same

    __hash__ = None

    def tolist(self) -> list[str]:
        return list(self)

    def equal(self, rows: np.ndarray, other: "StringArray", other_rows: np.ndarray) -> np.ndarray:
        """Bool [M]: which strings at `rows`, int64 [M], equal those of `other` at `other_rows`, int64 [M]."""
        (starts, lengths), (other_starts, other_lengths) = self._places(rows), other._places(other_rows)
        same = lengths == other_lengths
        left, begin = np.flatnonzero(same & (lengths > 0)), 0
        while len(left):
            own = _limbs(self.data, starts[left] + begin, lengths[left] - begin)
            theirs = _limbs(other.data, other_starts[left] + begin, lengths[left] - begin)
            same[left[own != theirs]] = False
            begin += LIMB
            left = left[(own == theirs) & (lengths[left] > begin)]
        return same

    def hashes(self) -> np.ndarray:
        """uint64 [N]: equal for equal strings, and nearly always different for others."""
        found = np.empty(len(self), np.uint64)
        for block in blocks(len(self)):
            starts, lengths = self._places(np.arange(block.start, block.stop))
            state, left, begin = _mixed(lengths.astype(np.uint64)), np.flatnonzero(lengths), 0
            while len(left):
                limbs = _limbs(self.data, starts[left] + begin, lengths[left] - begin)
                state[left] = _mixed(state[left] ^ limbs)
                begin += LIMB
                left = left[lengths[left] > begin]
            found[block] = state
        return found

    def is_unique(self) -> bool:
        """Whether no string occurs twice."""
        hashes = np.sort(self.hashes())
        return bool(np.all(hashes[1:] != hashes[:-1])) or len(set(self)) == len(self)

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 [M]: the rows of the M distinct strings, each of its first; and int64 [N]: which of them each is."""
        rows, places = np.unique(self.hashes(), return_index=True, return_inverse=True)[1:]
        if not self.equal(np.arange(len(self)), self, rows[places]).all():  # some of them share a hash
            firsts: dict[str, int] = {}
            first = np.array([firsts.setdefault(string, row) for row, string in enumerate(self)], np.int64)
            rows, places = np.unique(first, return_inverse=True)
        return rows, places

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Unicode code points of all strings, uint8 or uint32 [P], and int64 [N]: where each string ends in them."""
        if self.data.max(initial=0) < 0x80:
            return self.data, self.ends.astype(np.int64)
        counted = np.concatenate([[0], np.cumsum(self.data & 0xC0 != 0x80)])  # bytes that begin a character
        return np.frombuffer(str(self.data.data, "utf-8").encode("utf-32-le"), np.uint32), counted[self.ends]

    def joined(self, counts: np.ndarray) -> "StringArray":
        """M strings: the first `counts[0]` joined by spaces, then the next `counts[1]`, …; int64 [M], N in all."""
        lasts = np.cumsum(counts)
        spaces = np.ones(len(self), np.int64)
        spaces[lasts[counts > 0] - 1] = 0
        lengths = np.diff(self.ends, prepend=0)
        before = np.cumsum(spaces) - spaces  # spaces in front of each string
        data = np.full(len(self.data) + spaces.sum(), ord(" "), np.uint8)
        data[np.arange(len(self.data)) + np.repeat(before, lengths)] = self.data
        return StringArray(data, np.concatenate([[0], self.ends + before])[lasts])

    def behind(self, prefix: str) -> "StringArray":
        """Each string behind a prefix."""
        letters = np.frombuffer(prefix.encode(), np.uint8)
        lengths = np.diff(self.ends, prepend=0)
        shift = len(letters) * np.arange(1, len(self) + 1)
        data = np.empty(len(self.data) + len(letters) * len(self), np.uint8)
        starts = self.ends - lengths + shift - len(letters)
        data[starts[:, np.newaxis] + np.arange(len(letters))] = letters
        data[np.arange(len(self.data)) + np.repeat(shift, lengths)] = self.data
        return StringArray(data, self.ends + shift)

    def without(self, prefix: str) -> "StringArray":
        """Each string without the prefix that all have."""
        count = len(prefix.encode())
        kept = np.ones(len(self.data), bool)
        starts = self.ends - np.diff(self.ends, prepend=0)
        kept[starts[:, np.newaxis] + np.arange(count)] = False
        return StringArray(self.data[kept], self.ends - count * np.arange(1, len(self) + 1))


class Builder:
    """Builds a `StringArray`, string by string."""

    def __init__(self) -> None:
        self._data, self._ends = bytearray(), array("q")

    def append(self, string: str) -> None:
        self._data += string.encode()
        self._ends.append(len(self._data))

    def build(self) -> StringArray:
        """The array of all strings; `append` fails from now on, since the memory is shared."""
        return StringArray(np.frombuffer(self._data, np.uint8), np.frombuffer(self._ends, np.int64))


class Lookup:
    """Finds strings among distinct `values`.

    Raises:
      ValueError: two of them are equal, or share a hash, which no two words of a language are known to do.
    """

    def __init__(self, values: Sequence[str]) -> None:
        data = [value.encode("utf-8", "surrogatepass") for value in values]  # half a pair is equal to no UTF-8
        ends = np.cumsum([len(each) for each in data], dtype=np.int64)
        self._values = StringArray(np.frombuffer(b"".join(data), np.uint8), ends)
        hashes = self._values.hashes()
        self._order = np.argsort(hashes)
        self._hashes = hashes[self._order]
        if not np.all(self._hashes[1:] != self._hashes[:-1]):
            raise ValueError("want distinct strings to look up")

    def __call__(self, strings: StringArray) -> np.ndarray:
        """int64 [N]: the place of each string among the values, -1 where it is none of them."""
        near = np.minimum(np.searchsorted(self._hashes, strings.hashes()), len(self._order) - 1)
        found = self._order[near]
        return np.where(strings.equal(np.arange(len(strings)), self._values, found), found, -1)


def blocks(count: int) -> Iterator[slice]:
    """The slices `[0, count)` is worked on in."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def shift_concatenate(columns: Sequence[np.ndarray], counts: Sequence[int]) -> np.ndarray:
    """Concatenates columns of numbers that count from 0, each shifted by the counts of the columns before it: int64."""
    firsts = np.cumsum([0, *counts[:-1]])
    return np.concatenate([column + first for column, first in zip(columns, firsts, strict=True)])


def is_utf8(data: np.ndarray, ends: np.ndarray) -> bool:
    """Whether uint8 [bytes] is UTF-8, and no character lies across one of `ends`, int64 [N] and ascending."""
    if data.max(initial=0) < 0x80:
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), CHUNK):
            decoder.decode(data[start : start + CHUNK].tobytes())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    cuts = ends[ends < len(data)]
    return bool(np.all(data[cuts] & 0xC0 != 0x80))  # no continuation byte begins a string


def _limbs(data: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """uint64 [M]: up to eight bytes of `data` from each of `begins`, [M], of which `lengths`, 1 or more, are left."""
    if len(data) < LIMB:
        data = np.concatenate([data, np.zeros(LIMB, np.uint8)])
    every = np.ndarray(len(data) - LIMB + 1, "<u8", np.ascontiguousarray(data), strides=(1,))  # one from each byte on
    within = np.minimum(begins, len(every) - 1)
    shift = ((begins - within) * 8).astype(np.uint64)  # those near the end are read from before their first byte
    return every[within] >> shift & MASKS[np.minimum(lengths, LIMB)]


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits + ODD[0]) * ODD[1]
    return bits ^ bits >> np.uint64(29)
