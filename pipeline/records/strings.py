"""Arrays of strings that store UTF-8 end to end, so that a long string does not widen the others."""

import codecs
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

CHUNK = 1 << 20  # bytes that `is_utf8` decodes at once


class StringArray(Sequence[str]):
    """N strings, decoded on access; indexing and comparison work as for a NumPy array of strings.

    Attributes:
      data: uint8 [bytes], all strings in UTF-8.
      ends: int64 [N]; string n is `data[ends[n - 1]:ends[n]]`, and the first begins at 0.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, strings: Iterable[str]) -> "StringArray":
        builder = Builder()
        for string in strings:
            builder.append(string)
        return builder.build()

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, key: Any) -> Any:
        """The string at an integer; the `StringArray` at a slice, int64 [M] or bool [N]."""
        if not hasattr(key, "__index__") or np.ndim(key):
            return StringArray.of(self[row] for row in np.arange(len(self))[key].tolist())
        row = range(len(self))[operator.index(key)]
        return str(self.data[self.ends[row - 1] if row else 0 : self.ends[row]].data, "utf-8")

    def __iter__(self) -> Iterator[str]:
        data, start = self.data.data, 0
        for end in map(int, self.ends):
            yield str(data[start:end], "utf-8")
            start = end

    def __eq__(self, other: object) -> Any:
        """Bool [N]: which strings equal `other`, a string or N strings."""
        if isinstance(other, str):
            return np.fromiter((string == other for string in self), bool, len(self))
        if not isinstance(other, StringArray) or len(other) != len(self):
            return NotImplemented
        return np.fromiter(map(operator.eq, self, other), bool, len(self))

    def __ne__(self, other: object) -> Any:
        same = self == other
        return not same if isinstance(same, bool) else ~same

    __hash__ = None

    def tolist(self) -> list[str]:
        return list(self)

    def is_unique(self) -> bool:
        """Whether no string occurs twice."""
        data, start, hashes = self.data.data, 0, array("q")
        for end in map(int, self.ends):
            hashes.append(hash(bytes(data[start:end])))
            start = end
        return len(np.unique(np.frombuffer(hashes, np.int64))) == len(self) or len(set(self)) == len(self)


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


def is_utf8(data: np.ndarray, ends: np.ndarray) -> bool:
    """Whether uint8 [bytes] is UTF-8, and no character lies across one of `ends`, int64 [N] and ascending."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), CHUNK):
            decoder.decode(data[start : start + CHUNK].tobytes())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    cuts = ends[ends < len(data)]
    return bool(np.all(data[cuts] & 0xC0 != 0x80))  # no continuation byte begins a string
