import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.conversion import pieces
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import convert
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.crop import CropSettings
from pipeline.records import directory
from tests import datasets

CONFIG = ConvertConfig(name="tiny", crop=CropSettings(mode="resize"), clips_per_shard=7)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty clips; one is no video."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(20):
        datasets.write_grid_clip(root, f"s1/c{number:02}", 14)
    next(iter(sorted(root.glob("s1/*.mp4")))).write_bytes(b"not a video")
    return root


def tasks(corpus: Path) -> list[ShardTask]:
    return plan_shards(assign(grid.clips(corpus), SplitRule(val="5", test="1")), CONFIG)


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_pieces_of_a_shard_are_its_clips_in_order(corpus: Path, workers: int) -> None:
    whole = tasks(corpus)
    for task in whole:
        own = pieces._pieces(task, whole, workers)
        assert [source.id for piece in own for source in piece.task.sources] == [source.id for source in task.sources]
        assert [(piece.task.shard, piece.task.shards) for piece in own] == [(n, len(own)) for n in range(len(own))]
        sizes = [len(piece.task.sources) for piece in own]
        assert max(sizes) - min(sizes) <= 1
    assert sum(len(pieces._pieces(task, whole, workers)) for task in whole) >= min(20, workers)


def test_pieces_join_to_the_bytes_of_whole_shards(
    corpus: Path, tmp_path: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    clips = assign(grid.clips(corpus), SplitRule(val="5", test="1"))
    for workers in (1, 3):
        *_, last = convert(clips, corpus, tmp_path / str(workers), CONFIG, workers=workers, max_reject_fraction=0.5)
        assert (last.converted, last.rejected, last.left) == (19, 1, 0)
    assert digest(tmp_path / "1") == digest(tmp_path / "3")
    dataset = directory.open_dataset(tmp_path / "3")
    assert not any(directory.verify(dataset))
    assert not (tmp_path / "3" / ".progress").exists()


def test_a_job_of_many_shards_makes_the_first_ones_whole(corpus: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, clips_per_shard=2)
    clips = assign(grid.clips(corpus), SplitRule(val="5", test="1"))
    list(convert(clips, corpus, tmp_path / "out", config, workers=2, max_reject_fraction=0.5))
    assert len(directory.open_dataset(tmp_path / "out").index) == 19
