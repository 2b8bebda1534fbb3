import contextlib
import gc
import json
import os
import pickle
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.conversion import config, lock, shard
from pipeline.corpora import catalog
from pipeline.corpora.catalog import Listing
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign, speakers_in_two
from pipeline.schema import DataError

ROOT = Path("/corpus")
ODD = [
    ClipSource("b", Path(os.fsdecode(b"not-\xff.mp4")), (0.1, 1 / 3), "été", (SpokenWord("été", 0.1, 0.7),), "", None),
    ClipSource("a\n", Path("a.mp4"), None, "", (), "ann", "train", problem="a.align line 3: no"),
    ClipSource("夏", ROOT / "c.mp4", None, "so", (), "ann", "test"),
]


def test_clips_are_as_they_were_in_order_of_their_ids() -> None:
    listed = Listing.of(ODD)
    assert list(listed) == [ODD[1], ODD[0], ODD[2]]
    assert (listed[-1], list(listed[:2])) == (ODD[2], [ODD[1], ODD[0]])
    assert listed.ids.tolist() == ["a\n", "b", "夏"]
    assert listed.speaker.rows("ann").tolist() == [0, 2]
    assert listed.split.rows("test", None, "val").tolist() == [1, 2]
    assert len({*listed.videos.tolist()}) == 3
    assert Listing.of(listed) is listed
    assert len(Listing.of([])) == 0


def test_another_process_gets_the_clips_of_its_shard() -> None:
    chosen = Listing.of(ODD)[1:]
    assert pickle.loads(pickle.dumps(chosen)) == tuple(chosen) == (ODD[0], ODD[2])


@pytest.mark.parametrize("buffered", [False, True], ids=["at a clip", "at the end"])
def test_no_room_for_the_list_is_said(monkeypatch: pytest.MonkeyPatch, buffered: bool) -> None:
    with contextlib.suppress(OSError), Path("/dev/full").open("wb", buffering=-1 if buffered else 0) as full:
        monkeypatch.setattr(catalog.tempfile, "TemporaryFile", lambda **_: full)
        said = f"{tempfile.gettempdir()}: No space left on device, for the list of the clips; make room there, or set"
        with pytest.raises(DataError, match=said):
            Listing.of(ODD)


def spoken(count: int) -> Iterator[ClipSource]:
    """Clips as GRID has them, none with an object of another."""
    for n in range(count):
        words = tuple(SpokenWord(json.loads(f'"w{k}"'), k + n / 1000, k + 0.5) for k in range(6))
        yield ClipSource(f"s{n % 9}/c{n:06}", ROOT / f"c{n:06}.mpg", None, f"sentence {n:06}", words, f"s{n % 9}", None)


@pytest.mark.parametrize("by", ["clip", "speaker"])
def test_memory_hardly_grows_with_the_corpus(tmp_path: Path, by: str) -> None:
    """Of 2,150 bytes a clip that the clips themselves would take."""

    def most(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        sources = assign(spoken(count), SplitRule(by))
        tasks = shard.plan_shards(sources, config.ConvertConfig("grid"))
        with lock.claimed(tmp_path / str(count), lock.job(ROOT, tasks, config.ConvertConfig("grid")), tasks):
            assert speakers_in_two(sources) == ([] if by == "speaker" else [f"s{n}" for n in range(9)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few = most(1_000)  # with what is loaded at first
    assert min(most(4_000), most(4_000)) - few < 200 * 3_000  # Python's table of interned strings may grow in one
