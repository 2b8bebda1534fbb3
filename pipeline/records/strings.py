"""Many texts as one array of bytes: each costs what it is long, not what the longest is."""

import codecs
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

PIECE = 1 << 20  # bytes that are decoded at once, to see whether they can be


class Texts(Sequence[str]):
    """A column of texts, each decoded when it is asked for; in what it has of one, it behaves as a NumPy array of them.

    Attributes:
      data: uint8 [bytes]: all of them, in UTF-8.
      ends: int64 [N]: text n is `data[ends[n - 1]:ends[n]]`, the first from 0.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        packer = Packer()
        for text in texts:
            packer.append(text)
        return packer.packed()

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: Any) -> Any:
        """The text at a place; of a slice, int64 [M] or bool [N], the `Texts` there."""
        if not hasattr(place, "__index__") or np.ndim(place):
            return Texts.of(self[row] for row in np.arange(len(self))[place].tolist())
        row = range(len(self))[operator.index(place)]
        return str(self.data[self.ends[row - 1] if row else 0 : self.ends[row]].data, "utf-8")

    def __iter__(self) -> Iterator[str]:
        data, start = self.data.data, 0
        for end in map(int, self.ends):
            yield str(data[start:end], "utf-8")
            start = end

    def __eq__(self, other: object) -> Any:
        """Bool [N]: which are `other`, a text or as many texts."""
        if isinstance(other, str):
            return np.fromiter((text == other for text in self), bool, len(self))
        if not isinstance(other, Texts) or len(other) != len(self):
            return NotImplemented
        return np.fromiter(map(operator.eq, self, other), bool, len(self))

    def __ne__(self, other: object) -> Any:
        same = self == other
        return not same if isinstance(same, bool) else ~same

    __hash__ = None

    def tolist(self) -> list[str]:
        return list(self)

    def distinct(self) -> bool:
        """Whether no text comes twice."""
        data, start, hashes = self.data.data, 0, array("q")
        for end in map(int, self.ends):
            hashes.append(hash(bytes(data[start:end])))
            start = end
        return len(np.unique(np.frombuffer(hashes, np.int64))) == len(self) or len(set(self)) == len(self)


class Packer:
    """Puts texts together, one after the other."""

    def __init__(self) -> None:
        self._data, self._ends = bytearray(), array("q")

    def append(self, text: str) -> None:
        self._data += text.encode()
        self._ends.append(len(self._data))

    def packed(self) -> Texts:
        """All that were appended; none may be any more."""
        return Texts(np.frombuffer(self._data, np.uint8), np.frombuffer(self._ends, np.int64))


def decodable(data: np.ndarray, ends: np.ndarray) -> bool:
    """Whether uint8 [bytes] is UTF-8, whole and in the pieces that `ends`, sound ones, cut it into."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), PIECE):
            decoder.decode(data[start : start + PIECE].tobytes())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    cuts = ends[ends < len(data)]
    return bool(np.all(data[cuts] & 0xC0 != 0x80))  # no character goes on there
