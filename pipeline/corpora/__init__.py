"""Lists the clips of a corpus; each layout is a module with `clips(root) -> Iterator[ClipSource]`.

Where the layout has folders that should all hold clips, `folders(root)` yields each of them with its videos.

May import `pipeline.records` and above.
Offers `CORPORA`, `catalog.Catalog`, `splits.assign`, `source.ClipSource`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pipeline.corpora import folder, grid, left_out, lrs, lrw
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.files import KINDS
from pipeline.corpora.source import ClipSource
from pipeline.records import storage


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A layout of clips and its default settings.

    Attributes:
      clips: yields the clips below a root.
      folders: yields each folder below a root that should hold clips, such as those of speakers, and its videos.
      layout: one line that describes the layout.
      box: a fixed box around the mouth, x0, y0, x1, y1 as fractions of the picture; None where faces are tracked.
      keep_split: whether the published split is the default.
      publishes_split: whether the split is one that others have published, in which talkers are not to be shared.
      options: names of the flags that `clips` and `notes` take as keywords.
      notes: describes what of the tables below a root is ignored, a line each.
    """

    clips: Callable[..., Iterator[ClipSource]]
    layout: str
    folders: Callable[[Path], Iterable[tuple[Path, list[Path]]]] = lambda root: ()
    box: tuple[float, float, float, float] | None = None
    keep_split: bool = True
    publishes_split: bool = True
    options: tuple[str, ...] = ()
    notes: Callable[..., list[str]] = lambda root: []

    def split_by(self, sources: Iterable[ClipSource]) -> Literal["clip", "corpus"]:
        """The default of `SplitRule.by`: `corpus` where the layout keeps splits and a clip has one, else `clip`."""
        return "corpus" if self.keep_split and any(Catalog.of(sources).split.values) else "clip"

    def left_out(self, root: str | Path, catalog: Catalog, **options: Any) -> list[str]:
        """Describes what the catalog of the clips below a root, by `options`, leaves out, a line of each kind."""
        root = storage.local(root)
        empty = (folder for folder, videos in self.folders(root) if not videos)
        return [*self.notes(root, **options), *left_out.lines(root, catalog, empty)]


CORPORA = {
    "grid": Corpus(
        grid.clips, "s1/bbaf2n.mpg, alignments/s1/bbaf2n.align", grid.folders, keep_split=False
    ),  # may be one talker
    "lrw": Corpus(lrw.clips, "ABOUT/train/ABOUT_00001.mp4 beside its .txt", lrw.folders, box=lrw.BOX),
    "lrs": Corpus(
        lrs.clips,
        "LRS3: trainval/TALK/00001.mp4 beside its .txt; LRS2: main/…, and train.txt, val.txt, test.txt",
        lrs.folders,
    ),
    "folder": Corpus(
        folder.clips,
        f"videos anywhere, beside label files of their names ({KINDS}) or in {folder.TABLE} with the columns "
        + ",".join(folder.COLUMNS),
        publishes_split=False,
        options=("pad_s", "keep_columns"),
        notes=folder.notes,
    ),
}
