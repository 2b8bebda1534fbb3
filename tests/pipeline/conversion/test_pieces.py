import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.conversion import pieces
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import convert
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory
from tests import datasets

pytestmark = pytest.mark.usefixtures("forked_workers")

CONFIG = ConvertConfig(name="tiny", crop=CropSettings(mode="resize"), clips_per_shard=7)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty clips; one is no video."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(20):
        datasets.write_grid_clip(root, f"s1/c{number:02}", 14)
    next(iter(sorted(root.glob("s1/*.mp4")))).write_bytes(b"not a video")
    return root


def shards(corpus: Path, clips_per_shard: int = 7) -> list[ShardTask]:
    clips = assign(grid.clips(corpus), SplitRule(val="5", test="1"))
    return plan_shards(clips, dataclasses.replace(CONFIG, clips_per_shard=clips_per_shard))


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_pieces_of_a_shard_are_its_clips_in_order(corpus: Path, workers: int) -> None:
    tasks = shards(corpus)
    whole, cut = pieces.plan(tasks, workers)
    assert whole == []
    for task, (bare, own) in zip(tasks, cut.items(), strict=True):
        assert (bare.split, bare.shard, bare.shards, bare.sources) == (task.split, task.shard, task.shards, ())
        assert [source.id for piece in own for source in piece.task.sources] == [source.id for source in task.sources]
        assert [(piece.task.shard, piece.task.shards) for piece in own] == [(n, len(own)) for n in range(len(own))]
        sizes = [len(piece.task.sources) for piece in own]
        assert max(sizes) - min(sizes) <= 1
    assert sum(map(len, cut.values())) >= min(20, 2 * workers)


def test_only_the_last_shards_are_made_in_pieces(corpus: Path) -> None:
    tasks = shards(corpus, clips_per_shard=2)  # 7 of train, 3 of val, 1 of test
    whole, cut = pieces.plan(tasks, 2)
    assert (whole, len(cut)) == (tasks[:7], 4)
    assert pieces.plan(tasks, 1) == (tasks, {})


def test_a_piece_is_sent_without_the_clips_of_its_shard(corpus: Path) -> None:
    _, cut = pieces.plan(shards(corpus, clips_per_shard=100), 2)
    (piece, *_), *_ = cut.values()
    assert len(piece.task.sources) == 2
    assert pickle.dumps(piece).count(b"mp4") == 2


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


def test_what_a_stopped_run_has_left_of_pieces_goes(corpus: Path, tmp_path: Path) -> None:
    clips = assign(grid.clips(corpus), SplitRule(val="5", test="1"))
    states = convert(clips, corpus, tmp_path / "out", CONFIG, workers=2, max_reject_fraction=0.5)
    while next(states).converted < 4:
        pass
    states.close()
    folder = next((tmp_path / "out/.progress/pieces").iterdir())
    (folder / ".half.host-1.tmp").write_bytes(b"half a piece")
    states = convert(clips, corpus, tmp_path / "out", CONFIG, workers=2, max_reject_fraction=0.5)
    next(states), next(states)
    assert not (folder / ".half.host-1.tmp").exists()
    *_, last = states
    assert last.left == 0
