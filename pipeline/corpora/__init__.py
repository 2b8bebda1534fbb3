"""Where clips come from: each module has `clips(root) -> Iterator[ClipSource]`."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from pipeline.corpora import folder, grid, lrs, lrw
from pipeline.corpora.catalog import Listing
from pipeline.corpora.source import ClipSource


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A layout of clips, and what suits it where the user says nothing.

    Attributes:
      clips: the clips below a root.
      layout: how they lie there, in a line.
      box: where the mouth is already, x0, y0, x1, y1 as fractions of the picture; None where it has to be found.
      keep_split: keep the split that the clips bring.
    """

    clips: Callable[[Path], Iterator[ClipSource]]
    layout: str
    box: tuple[float, float, float, float] | None = None
    keep_split: bool = True

    def split_by(self, sources: Iterable[ClipSource]) -> Literal["clip", "corpus"]:
        """The rule that suits `sources`: `corpus` where a split is to be kept and a clip has one, else `clip`."""
        return "corpus" if self.keep_split and any(Listing.of(sources).split.values) else "clip"


CORPORA = {
    "grid": Corpus(
        grid.clips, "s1/bbaf2n.mpg, alignments/s1/bbaf2n.align", keep_split=False
    ),  # one talker is a corpus too
    "lrw": Corpus(lrw.clips, "ABOUT/train/ABOUT_00001.mp4 beside its .txt", box=lrw.BOX),
    "lrs": Corpus(
        lrs.clips, "LRS3: trainval/TALK/00001.mp4 beside its .txt; LRS2: main/…, and train.txt, val.txt, test.txt"
    ),
    "folder": Corpus(folder.clips, f"videos anywhere, and {folder.TABLE} with the columns {','.join(folder.COLUMNS)}"),
}
