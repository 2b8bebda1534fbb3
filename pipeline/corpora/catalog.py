"""The catalog of a corpus: clips in a temporary file; their ids, speakers and splits in memory."""

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

REALPATHS = 1 << 14  # directories whose resolved path is kept; a table may name them in any order


@dataclasses.dataclass(frozen=True, eq=False)
class Categorical:
    """A column of few distinct values, stored as integer codes.

    Attributes:
      values: the distinct values.
      codes: int32 [N], indices into `values`.
    """

    values: tuple[str | None, ...]
    codes: np.ndarray

    def rows(self, *values: str | None) -> np.ndarray:
        """The rows, int64, that have one of `values`."""
        return np.flatnonzero(np.isin(self.codes, [self.values.index(v) for v in values if v in self.values]))

    def __getitem__(self, row: int) -> str | None:
        return self.values[self.codes[row]]


@dataclasses.dataclass(frozen=True, eq=False)
class Catalog(Sequence[ClipSource]):
    """The clips of a corpus, sorted by id; each is read from the file on access.

    Attributes:
      ids: the N ids, sorted.
      speaker: the speaker of each clip.
      split: the split of each clip.
      videos: uint64 [N], a hash of each clip's video path, with links resolved.
    """

    ids: StringArray
    speaker: Categorical
    split: Categorical
    videos: np.ndarray
    _offsets: np.ndarray  # int64 [N], byte offsets of the clips in the file
    _file: BinaryIO

    @classmethod
    def of(cls, sources: Iterable[ClipSource]) -> "Catalog":
        """Builds the catalog of clips in any order; returns a catalog as it is.

        Raises:
          DataError: two clips have the same id, or the file cannot be written.
        """
        if isinstance(sources, cls):
            return sources
        with _named_write_errors():
            file = tempfile.TemporaryFile(prefix="lipflow-")  # noqa: SIM115, closed with the catalog
        ids, offsets, videos = [], array("q"), array("Q")
        speakers, splits = _CategoricalBuilder(), _CategoricalBuilder()
        realpath = functools.lru_cache(REALPATHS)(os.path.realpath)  # many videos share a directory
        for source in sources:
            ids.append(source.id)
            offsets.append(file.tell())
            videos.append(hash_path(_resolve(source.video, realpath)))
            speakers.append(source.speaker)
            splits.append(source.split)
            with _named_write_errors():
                file.write(_to_line(source))
        with _named_write_errors():
            file.flush()
        order = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
        catalog = cls(
            ids=StringArray.of(ids[row] for row in order),
            speaker=speakers.build(order),
            split=splits.build(order),
            videos=np.frombuffer(videos, np.uint64)[order],
            _offsets=np.frombuffer(offsets, np.int64)[order],
            _file=file,
        )
        sorted_ids = itertools.pairwise(ids[row] for row in order)
        if (row := next((row for row, (a, b) in enumerate(sorted_ids) if a == b), None)) is not None:
            videos = " or ".join(sorted(str(catalog[each].video) for each in (row, row + 1)))
            rule = "is in the corpus twice; ids must be unique: rename or remove"
            raise DataError(f"clip {catalog.ids[row]!r} {rule} {videos}")
        return catalog

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: Any) -> Any:
        """The clip of a row, or the `Selection` of a slice."""
        if isinstance(row, slice):
            return Selection(self, np.arange(len(self))[row])
        row = range(len(self))[row]
        self._file.seek(self._offsets[row])
        return dataclasses.replace(_from_line(self._file.readline()), split=self.split[row])


class Selection(Sequence[ClipSource]):
    """Rows of a catalog in any order; pickled as a tuple of the clips themselves."""

    def __init__(self, catalog: Catalog, rows: np.ndarray) -> None:
        self.catalog, self.rows = catalog, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Selection(self.catalog, self.rows[place])
        return self.catalog[int(self.rows[place])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self.rows.tobytes())

    def __reduce__(self) -> tuple[type[tuple], tuple[list[ClipSource]]]:
        return tuple, (list(self),)


class _CategoricalBuilder:
    def __init__(self) -> None:
        self._codes, self._known = array("i"), {}

    def append(self, value: str | None) -> None:
        self._codes.append(self._known.setdefault(value, len(self._known)))

    def build(self, order: np.ndarray) -> Categorical:
        return Categorical(tuple(self._known), np.frombuffer(self._codes, np.int32)[order])


def _resolve(video: Path, realpath: Callable[[Path], str]) -> str:
    """The path of a video with links resolved; `realpath` does so for its directory and may be cached."""
    return os.path.realpath(video) if video.is_symlink() else f"{realpath(video.parent)}/{video.name}"


def hash_path(path: str) -> int:
    """The hash of a path without links, as `Catalog.videos` holds it."""
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _to_line(source: ClipSource) -> bytes:
    words = [(word.text, word.start, word.stop) for word in source.words]
    values = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    return json.dumps({**values, "video": str(source.video), "words": words}).encode() + b"\n"


def _from_line(line: bytes) -> ClipSource:
    values = json.loads(line)
    span, words = values["span"], tuple(SpokenWord(*word) for word in values["words"])
    tuples = {"span": span and tuple(span), "words": words, "columns": tuple(map(tuple, values["columns"]))}
    return ClipSource(**{**values, "video": Path(values["video"]), **tuples})


@contextlib.contextmanager
def _named_write_errors() -> Iterator[None]:
    """Turns an OSError into a DataError that names the directory of temporary files."""
    try:
        yield
    except OSError as error:
        advice = "free some space there, or set TMPDIR to another directory"
        raise DataError(f"{tempfile.gettempdir()}: catalog not written ({error.strerror}); {advice}") from error
