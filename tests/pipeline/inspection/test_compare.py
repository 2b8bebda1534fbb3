import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspection import compare
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index, Row
from pipeline.schema import Clip, DataError
from tests import datasets


def clips(*names: str) -> list[Clip]:
    return [datasets.clip(name, 12, seed=seed) for seed, name in enumerate(names)]


def written(root: Path, *own: Clip, encoding: Encoding | None = None) -> DatasetDir:
    return datasets.write_dataset(root, {"train": [list(own)]}, encoding)


def changed(a: DatasetDir, b: DatasetDir) -> dict[str, list[str]]:
    """What differs -> the ids of the clips that differ in it."""
    found = compare.difference(a, b)
    assert a.index.id[found.both[:, 0]].tolist() == b.index.id[found.both[:, 1]].tolist()
    return {what: a.index.id[found.both[places, 0]].tolist() for what, places in found.changed.items()}


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_a_dataset_is_like_itself(tiny: Callable[[str], DatasetDir], encoding: str) -> None:
    found = compare.difference(tiny(encoding), tiny(encoding))
    assert not found
    assert sorted(found.both[:, 0].tolist()) == list(range(15))


def test_the_place_of_a_record_does_not_count(tmp_path: Path) -> None:
    one, two, three = clips("s1/a", "s1/b", "s2/c")
    a = datasets.write_dataset(tmp_path / "a", {"train": [[one, two], [three]]})
    b = datasets.write_dataset(tmp_path / "b", {"train": [[three, one, two]]})
    assert not compare.difference(a, b)


def test_clips_of_one_alone(tmp_path: Path) -> None:
    one, two, three, four = clips("s1/a", "s1/b", "s2/c", "s2/d")
    a, b = written(tmp_path / "a", three, one, two), written(tmp_path / "b", four, two)
    found = compare.difference(a, b)
    assert bool(found)
    assert a.index.id[found.only[0]].tolist() == ["s1/a", "s2/c"]
    assert b.index.id[found.only[1]].tolist() == ["s2/d"]
    assert (found.both.tolist(), found.changed, found.settings) == ([[2, 1]], {}, [])


def test_what_of_a_clip_differs_is_named(tmp_path: Path) -> None:
    same, text, words, late, path, pixel, speaker = own = clips(*(f"s1/{n}" for n in "abcdefg"))
    other = [
        same,
        dataclasses.replace(text, text="bin at then"),
        dataclasses.replace(words, words=words.words[:2]),
        dataclasses.replace(late, words=(*late.words[:2], dataclasses.replace(late.words[2], stop=11))),
        dataclasses.replace(path, source="else.mp4"),
        dataclasses.replace(pixel, frames=pixel.frames ^ 1),
        dataclasses.replace(speaker, speaker="s2", tracked=np.arange(12) > 1),
    ]
    assert changed(written(tmp_path / "a", *own), written(tmp_path / "b", *other)) == {
        "speaker": ["s1/g"],
        "text": ["s1/b"],
        "tracked": ["s1/g"],
        "words": ["s1/c", "s1/d"],
        "bytes": ["s1/b", "s1/c", "s1/d", "s1/e", "s1/f", "s1/g"],
    }


def test_columns_of_the_table_are_compared(tmp_path: Path) -> None:
    own = (("room", "a"), ("take", "1"))
    same, value, name, more = (dataclasses.replace(clip, columns=own) for clip in clips(*(f"s1/{n}" for n in "abcd")))
    others = [
        same,
        dataclasses.replace(value, columns=(("room", "a"), ("take", "2"))),
        dataclasses.replace(name, columns=(("room", "a"), ("day", "1"))),
        dataclasses.replace(more, columns=()),
    ]
    a, b = written(tmp_path / "a", same, value, name, more), written(tmp_path / "b", *others)
    differing = ["s1/b", "s1/c", "s1/d"]
    assert changed(a, b) == {"columns": differing, "bytes": differing}
    assert compare.change(a, b, "columns", 1, 1) == "s1/b: room=a, take=1 -> room=a, take=2"
    assert compare.change(a, b, "columns", 3, 3) == "s1/d: room=a, take=1 -> none"


def test_other_pixels_in_the_same_place(tmp_path: Path) -> None:
    one, two = clips("s1/a", "s1/b")
    other = dataclasses.replace(one, frames=one.frames ^ 1)
    assert changed(written(tmp_path / "a", one, two), written(tmp_path / "b", other, two)) == {"bytes": ["s1/a"]}


def test_frames_and_split(tmp_path: Path) -> None:
    one, two = clips("s1/a", "s1/b")
    a = datasets.write_dataset(tmp_path / "a", {"train": [[one]], "val": [[two]]})
    b = datasets.write_dataset(tmp_path / "b", {"train": [[datasets.clip("s1/a", 13), two]]})
    assert changed(a, b) == {"split": ["s1/b"], "frames": ["s1/a"], "tracked": ["s1/a"], "bytes": ["s1/a"]}
    found = compare.difference(a, b)
    told = {what: compare.change(a, b, what, *found.both[found.changed[what][0]]) for what in found.changed}
    assert told == {
        "split": "s1/b: val -> train",
        "frames": "s1/a: 12 -> 13",
        "tracked": "s1/a: 11 -> 12",
        "bytes": "s1/a",
    }
    assert compare.change(a, b, "words", 0, 1) == "s1/a: bin 1:4, at 4:8, now 8:10 -> bin 1:4, at 4:8, now 8:10"


def test_settings_and_rejects(tmp_path: Path) -> None:
    a, b = (written(tmp_path / name, *clips("s1/a")) for name in "ab")
    a.manifest["rejected"] = {"no_face": 3, "crashed": 1}
    b.manifest["rejected"] = {"no_face": 4, "crashed": 1}
    b.manifest["conversion"]["crop"]["margin"] = 2.0
    del b.manifest["conversion"]["seed"]
    b.manifest["conversion"]["new"] = "x"
    found = compare.difference(a, b)
    assert found.settings == [
        ("crop.margin", a.manifest["conversion"]["crop"]["margin"], 2.0),
        ("rejected.no_face", 3, 4),
        ("seed", 0, None),
        ("new", None, "x"),
    ]
    assert (bool(found), found.changed) == (True, {})


def test_a_checksum_is_that_of_the_record(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    rows = np.array([14, 2, 2, 7])
    read: list[int] = []
    sums = compare._checksums(dataset, rows, lambda parts: read.extend(n for n, _ in parts) or parts)
    assert read == [0, 1, 3]
    for row, found in zip(rows, sums, strict=True):
        content = dataset.shards[dataset.index.shard[row]].read_bytes()
        end = dataset.index.offset[row] + 12 + dataset.index.length[row]
        assert int.from_bytes(content[end : end + 4], "little") == found


def test_shards_of_one_digest_are_not_read(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(tiny("raw"), shards=tuple(tmp_path / path.name for path in tiny("raw").shards))
    assert not compare.difference(elsewhere, elsewhere)


def test_records_are_looked_into(tmp_path: Path) -> None:
    same, brighter, path, _, gap = own = clips(*(f"s1/{n}" for n in "abcde"))
    other = [
        same,
        dataclasses.replace(brighter, frames=brighter.frames + 2),
        dataclasses.replace(path, source="else.mp4"),
        datasets.clip("s1/d", 14),
        dataclasses.replace(gap, tracked=np.arange(12) != 4),
    ]
    a, b = written(tmp_path / "a", *own), written(tmp_path / "b", *other[::-1])
    found = compare.difference(a, b)
    rows = compare.worth_opening(a, b, found, 9)
    assert a.index.id[rows[:, 0]].tolist() == b.index.id[rows[:, 1]].tolist() == ["s1/b", "s1/c", "s1/e"]
    assert list(compare.look_into(a, b, rows)) == [{"pixels": 2.0}, {"source": 1.0}, {"tracked": 2.0}]
    assert a.index.id[compare.worth_opening(a, b, found, 2)[:, 0]].tolist() == ["s1/b", "s1/e"]


def test_encodings_are_compared_by_their_pixels(tmp_path: Path) -> None:
    own = clips("s1/a", "s1/b")
    raw, png, jpeg = (written(tmp_path / name, *own, encoding=Encoding(name)) for name in ("raw", "png", "jpeg"))
    for other, lossy in ((png, False), (jpeg, True)):
        found = compare.difference(raw, other)
        assert found.settings == [("encoding.name", "raw", other.encoding.name)]
        assert found.changed == {}
        rows = compare.worth_opening(raw, other, found, 9)
        assert [bool(by) for by in compare.look_into(raw, other, rows)] == [lossy, lossy]


def test_empty_datasets(tmp_path: Path) -> None:
    empty, one = written(tmp_path / "a"), written(tmp_path / "b", *clips("s1/a"))
    assert not compare.difference(empty, empty)
    assert compare.difference(empty, one).only[1].tolist() == [0]
    assert len(compare.worth_opening(empty, one, compare.difference(empty, one), 5)) == 0


def test_damage_is_named_when_opened(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a", *clips("s1/a")), written(tmp_path / "b", *clips("s1/a"))
    with b.shards[0].open("r+b") as file:
        file.seek(500)
        file.write(b"?")
    with pytest.raises(DataError, match=rf"{b.shards[0]} offset 0: the record is damaged"):
        list(compare.look_into(a, b, [(0, 0)]))


def _index(rows: list[list[tuple[str, int, int]]]) -> Index:
    own = [Row(str(n), "s", "", 0, 0, 0, 9, 9, datasets.clip("a", 9, words).words) for n, words in enumerate(rows)]
    return Index.of([(0, 0, own)])


WORDS = st.lists(st.sampled_from([("a", 0, 1), ("a", 0, 2), ("b", 0, 1), ("b", 1, 2)]), max_size=3)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=6), st.randoms())
def test_words_are_compared_one_by_one(pairs: list[tuple[list, list]], random: object) -> None:
    places = list(range(len(pairs)))
    random.shuffle(places)
    both = np.array([(n, places.index(n)) for n in range(len(pairs))], int).reshape(-1, 2)
    a, b = _index([one for one, _ in pairs]), _index([pairs[n][1] for n in places])
    assert compare._lists_differ(a, b, both, *compare.LISTS["words"]).tolist() == [one != other for one, other in pairs]
