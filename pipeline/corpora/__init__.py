"""Lists the clips of a corpus; each layout is a module with `clips(root) -> Iterator[ClipSource]`.

Where the layout has folders that should all hold clips, `folders(root)` yields each of them with its videos.

May import `pipeline.records` and above.
Offers `CORPORA`, `catalog.Catalog`, `splits.assign`, `source.ClipSource`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from pipeline.corpora import folder, grid, left_out, lrs, lrw
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A layout of clips and its default settings.

    Attributes:
      clips: yields the clips below a root.
      folders: yields each folder below a root that should hold clips, such as those of speakers, and its videos.
      layout: one line that describes the layout.
      box: a fixed box around the mouth, x0, y0, x1, y1 as fractions of the picture; None where faces are tracked.
      keep_split: whether the published split is the default.
    """

    clips: Callable[[Path], Iterator[ClipSource]]
    layout: str
    folders: Callable[[Path], Iterable[tuple[Path, list[Path]]]] = lambda root: ()
    box: tuple[float, float, float, float] | None = None
    keep_split: bool = True

    def split_by(self, sources: Iterable[ClipSource]) -> Literal["clip", "corpus"]:
        """The default of `SplitRule.by`: `corpus` where the layout keeps splits and a clip has one, else `clip`."""
        return "corpus" if self.keep_split and any(Catalog.of(sources).split.values) else "clip"

    def left_out(self, root: Path, catalog: Catalog) -> list[str]:
        """Describes what the catalog of the clips below a root leaves out, at most a line of each kind."""
        return left_out.lines(root, catalog, (folder for folder, videos in self.folders(root) if not videos))


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
    "folder": Corpus(folder.clips, f"videos anywhere, and {folder.TABLE} with the columns {','.join(folder.COLUMNS)}"),
}
