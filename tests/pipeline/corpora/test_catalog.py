import contextlib
import dataclasses
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
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign, shared_speakers
from pipeline.schema import DataError

ROOT = Path("/corpus")
ODD = [
    ClipSource("b", Path(os.fsdecode(b"not-\xff.mp4")), (0.1, 1 / 3), "été", (SpokenWord("été", 0.1, 0.7),), "", None),
    ClipSource("a\n", Path("a.mp4"), None, "", (), "ann", "train", problem="a.align line 3: no"),
    ClipSource("夏", ROOT / "c.mp4", None, "so", (), "ann", "test", columns=(("session", "3"), ("light", "été"))),
]


def test_a_catalog_has_the_clips_sorted_by_id() -> None:
    clips = Catalog.of(ODD)
    assert list(clips) == [ODD[1], ODD[0], ODD[2]]
    assert (clips[-1], list(clips[:2])) == (ODD[2], [ODD[1], ODD[0]])
    assert clips.ids.tolist() == ["a\n", "b", "夏"]
    assert clips.speaker.rows("ann").tolist() == [0, 2]
    assert clips.split.rows("test", None, "val").tolist() == [1, 2]
    assert len({*clips.videos.tolist()}) == 3
    assert Catalog.of(clips) is clips
    assert len(Catalog.of([])) == 0


def test_two_clips_of_one_id_are_refused_with_their_videos() -> None:
    twin = dataclasses.replace(ODD[2], video=ROOT / "high/c.mp4")
    with pytest.raises(DataError, match=r"clip '夏' is in the corpus twice; .*/corpus/c\.mp4 or /corpus/high/c\.mp4$"):
        Catalog.of([*ODD, twin])


def test_a_selection_is_pickled_as_its_clips() -> None:
    selection = Catalog.of(ODD)[1:]
    assert pickle.loads(pickle.dumps(selection)) == tuple(selection) == (ODD[0], ODD[2])


@pytest.mark.parametrize("buffered", [False, True], ids=["at a clip", "at the end"])
def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, buffered: bool) -> None:
    with contextlib.suppress(OSError), Path("/dev/full").open("wb", buffering=-1 if buffered else 0) as full:
        monkeypatch.setattr(catalog.tempfile, "TemporaryFile", lambda **_: full)
        match = f"{tempfile.gettempdir()}: .*No space left on device.*TMPDIR"
        with pytest.raises(DataError, match=match):
            Catalog.of(ODD)


def spoken(count: int) -> Iterator[ClipSource]:
    """Clips as of GRID that share no objects."""
    for n in range(count):
        words = tuple(SpokenWord(json.loads(f'"w{k}"'), k + n / 1000, k + 0.5) for k in range(6))
        yield ClipSource(f"s{n % 9}/c{n:06}", ROOT / f"c{n:06}.mpg", None, f"sentence {n:06}", words, f"s{n % 9}", None)


@pytest.mark.parametrize("by", ["clip", "speaker"])
def test_memory_hardly_grows_with_the_corpus(tmp_path: Path, by: str) -> None:
    """The clips themselves would take 2,150 bytes each."""

    def peak_bytes(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        sources = assign(spoken(count), SplitRule(by))
        tasks = shard.plan_shards(sources, config.ConvertConfig("grid"))
        with lock.locked(tmp_path / str(count), lock.Job(ROOT, tasks, config.ConvertConfig("grid"))):
            assert shared_speakers(sources) == ([] if by == "speaker" else [f"s{n}" for n in range(9)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    base = peak_bytes(1_000)
    grown = min(peak_bytes(4_000), peak_bytes(4_000))  # in one of them Python's table of interned strings may grow
    assert grown - base < 200 * 3_000
