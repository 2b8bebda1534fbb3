from pathlib import Path

import pytest

from pipeline.corpora import CORPORA, Corpus, folder
from pipeline.corpora.source import ClipSource
from pipeline.mouth.settings import CropSettings


def source(name: str, split: str | None) -> ClipSource:
    return ClipSource(name, Path("a.mp4"), None, "so", (), "", split)


@pytest.mark.parametrize(
    ("keep", "splits", "expected"),
    [
        (True, ["train", "test"], "corpus"),
        (True, [None, "test"], "corpus"),  # refuses the clip without a split, by name
        (True, [None, None], "clip"),
        (True, [], "clip"),
        (False, ["train", "test"], "clip"),
    ],
)
def test_a_published_split_is_the_default(keep: bool, splits: list[str | None], expected: str) -> None:
    corpus = Corpus(folder.clips, "", keep_split=keep)
    assert corpus.split_by([source(name, split) for name, split in zip("abc", splits, strict=False)]) == expected


def test_the_box_of_lrw_is_112_pixels_around_the_usual_96() -> None:
    box = CORPORA["lrw"].box
    assert [side * 256 for side in box] == [71, 107, 183, 219]
    assert CropSettings(mode="box", box=box).box == box
    assert [name for name, corpus in CORPORA.items() if corpus.box] == ["lrw"]
