"""All clips of a corpus, in a file that has no name; memory keeps of each what is asked of all of them."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.records.strings import StringArray
from pipeline.schema import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Names:
    """A column of few values that come often.

    Attributes:
      values: each once.
      codes: int32 [N], places in `values`.
    """

    values: tuple[str | None, ...]
    codes: np.ndarray

    def rows(self, *values: str | None) -> np.ndarray:
        """int64: where one of these stands."""
        return np.flatnonzero(np.isin(self.codes, [self.values.index(v) for v in values if v in self.values]))

    def __getitem__(self, row: int) -> str | None:
        return self.values[self.codes[row]]


@dataclasses.dataclass(frozen=True, eq=False)
class Listing(Sequence[ClipSource]):
    """The clips of a corpus in order of their ids, each read from the file when it is asked for.

    Attributes:
      ids: N texts, sorted.
      speaker, split: of each clip.
      videos: uint64 [N], of each clip's video, the same for the same one, also behind links; seldom for another.
    """

    ids: StringArray
    speaker: Names
    split: Names
    videos: np.ndarray
    _offsets: np.ndarray  # int64 [N], into the file
    _file: BinaryIO

    @classmethod
    def of(cls, sources: Iterable[ClipSource]) -> "Listing":
        """The same clips in order of their ids, whatever order they come in.

        Raises:
          DataError: two have the same id, or there is no room for the file.
        """
        if isinstance(sources, cls):
            return sources
        with _writing():
            file = tempfile.TemporaryFile(prefix="lipflow-")  # noqa: SIM115, it goes with the listing
        ids, offsets, videos = [], array("q"), array("Q")
        speakers, splits = _Coded(), _Coded()
        folders = functools.lru_cache(os.path.realpath)  # a directory has many
        for source in sources:
            ids.append(source.id)
            offsets.append(file.tell())
            videos.append(_number(_followed(source.video, folders)))
            speakers.append(source.speaker)
            splits.append(source.split)
            with _writing():
                file.write(_line(source))
        with _writing():
            file.flush()
        keys = np.empty(len(ids), object)
        keys[:] = ids
        order = np.argsort(keys, kind="stable")
        if twice := next((a for a, b in itertools.pairwise(ids[row] for row in order) if a == b), None):
            raise DataError(f"clip {twice!r} stands twice in the corpus; ids have to be unique: rename or remove one")
        return cls(
            ids=StringArray.of(ids[row] for row in order),
            speaker=speakers.names(order),
            split=splits.names(order),
            videos=np.frombuffer(videos, np.uint64)[order],
            _offsets=np.frombuffer(offsets, np.int64)[order],
            _file=file,
        )

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: Any) -> Any:
        """The clip at a place, or the clips of a slice."""
        if isinstance(row, slice):
            return Chosen(self, np.arange(len(self))[row])
        row = range(len(self))[row]
        self._file.seek(self._offsets[row])
        return dataclasses.replace(_clip(self._file.readline()), split=self.split[row])


class Chosen(Sequence[ClipSource]):
    """Some clips of a listing, in an order of their own; to another process go the clips themselves."""

    def __init__(self, listing: Listing, rows: np.ndarray) -> None:
        self.listing, self.rows = listing, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Chosen(self.listing, self.rows[place])
        return self.listing[int(self.rows[place])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chosen) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self.rows.tobytes())

    def __reduce__(self) -> tuple[type[tuple], tuple[list[ClipSource]]]:
        return tuple, (list(self),)


class _Coded:
    """Gathers a column of `Names`."""

    def __init__(self) -> None:
        self._codes, self._known = array("i"), {}

    def append(self, value: str | None) -> None:
        self._codes.append(self._known.setdefault(value, len(self._known)))

    def names(self, order: np.ndarray) -> Names:
        return Names(tuple(self._known), np.frombuffer(self._codes, np.int32)[order])


def _followed(video: Path, folders: Callable[[Path], str]) -> str:
    """Where a video lies that may be reached by links."""
    return os.path.realpath(video) if video.is_symlink() else f"{folders(video.parent)}/{video.name}"


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _line(source: ClipSource) -> bytes:
    words = [(word.text, word.start, word.stop) for word in source.words]
    values = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    return json.dumps({**values, "video": str(source.video), "words": words}).encode() + b"\n"


def _clip(line: bytes) -> ClipSource:
    values = json.loads(line)
    span, words = values["span"], tuple(SpokenWord(*word) for word in values["words"])
    return ClipSource(**{**values, "video": Path(values["video"]), "span": span and tuple(span), "words": words})


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        way = "make room there, or set TMPDIR to a directory that has it"
        raise DataError(f"{tempfile.gettempdir()}: {error.strerror}, for the list of the clips; {way}") from error
