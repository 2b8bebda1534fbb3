"""Where clips come from: each module has `clips(root) -> Iterator[ClipSource]`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.corpora import grid
from pipeline.corpora.source import ClipSource

CORPORA: dict[str, Callable[[Path], Iterator[ClipSource]]] = {"grid": grid.clips}
