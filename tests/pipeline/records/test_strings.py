import gc
import itertools
import operator
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.strings import Lookup, StringArray, is_utf8

WORDS = ["bin", "", "été", "夏", "\N{GRINNING FACE}", "bin"]


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_they_are_those_that_were_put_in(texts: list[str]) -> None:
    packed = StringArray.of(texts)
    assert packed.tolist() == [packed[n] for n in range(len(texts))] == texts
    assert is_utf8(packed.data, packed.ends)
    assert packed.is_unique() == (len(set(texts)) == len(texts))


def test_some_of_them_are_had_as_of_an_array() -> None:
    packed = StringArray.of(WORDS)
    assert (packed[-1], packed[np.int64(2)], len(packed)) == ("bin", "été", 6)
    assert packed[1:4].tolist() == WORDS[1:4]
    assert packed[np.array([3, 0, 3])].tolist() == ["夏", "bin", "夏"]
    assert packed[np.arange(6) > 3].tolist() == WORDS[4:]
    assert packed[np.array([], int)].tolist() == []
    assert (packed == "bin").tolist() == [True, False, False, False, False, True]
    assert (packed != StringArray.of(WORDS[::-1])).tolist() == [False, True, True, True, True, False]
    for place in (6, -7):
        with pytest.raises(IndexError):
            operator.getitem(packed, place)


@pytest.mark.parametrize(
    ("data", "ends", "sound"),
    [
        (b"", [], True),
        ("aé".encode(), [1, 3], True),
        ("aé".encode(), [0, 1, 1, 3, 3], True),
        ("aé".encode(), [2, 3], False),  # cut within a character
        (b"a\xc3", [1, 2], False),
        (b"a\xff", [2], False),
        (b"\xed\xa0\x80", [3], False),  # half of a pair
    ],
)
def test_what_can_be_decoded(data: bytes, ends: list[int], sound: bool) -> None:
    assert is_utf8(np.frombuffer(data, np.uint8), np.array(ends, np.int64)) == sound


def test_characters_between_two_pieces_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.records.strings.CHUNK", 4)
    packed = StringArray.of(["夏" * 5])
    assert is_utf8(packed.data, packed.ends)
    assert not is_utf8(packed.data[:-1], packed.ends - 1)


def test_a_long_text_costs_its_own_length() -> None:
    gc.collect()
    tracemalloc.start()
    packed = StringArray.of("x" * 10_000 if n == 5 else "bin blue" for n in range(10_000))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(packed) == 10_000
    assert held < 20 * 10_000
    assert peak < 25 * 10_000


TEXTS = st.lists(st.text("ab夏\0", max_size=20), max_size=9)


@given(TEXTS, st.data())
def test_many_are_worked_on_as_one_by_one(texts: list[str], data: st.DataObject) -> None:
    packed, count = StringArray.of(texts), len(texts)
    others = [data.draw(st.sampled_from([text, text[::-1], text + "a", ""])) for text in texts]
    assert (packed == StringArray.of(others)).tolist() == [a == b for a, b in zip(texts, others, strict=True)]
    rows = data.draw(st.lists(st.integers(-count, count - 1))) if count else []
    assert packed[np.array(rows, int)].tolist() == [texts[row] for row in rows]
    start, stop = data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9))
    assert packed[start:stop].tolist() == texts[start:stop]
    assert packed[start:stop:2].tolist() == texts[start:stop:2]
    points, ends = packed.points()
    assert "".join(map(chr, points)) == "".join(texts)
    assert ends.tolist() == list(itertools.accumulate(map(len, texts)))
    marked = packed.behind("é:")
    assert marked.tolist() == [f"é:{text}" for text in texts]
    assert marked.without("é:").tolist() == StringArray.concatenate([packed]).tolist() == texts


@given(TEXTS, st.sets(st.text("ab夏", max_size=20)))
def test_they_are_found_among_others(texts: list[str], values: set[str]) -> None:
    known = [*sorted(values), "\ud800"]  # half of a pair, as of a name that is no UTF-8
    expected = [known.index(text) if text in known else -1 for text in texts]
    assert Lookup(known)(StringArray.of(texts)).tolist() == expected


@given(TEXTS)
def test_the_distinct_ones_are_found(texts: list[str]) -> None:
    packed = StringArray.of(texts)
    rows, places = packed.distinct()
    assert [texts[row] for row in rows[places]] == texts
    assert sorted(rows) == [row for row, text in enumerate(texts) if text not in texts[:row]]


def test_distinct_ones_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StringArray, "hashes", lambda self: np.zeros(len(self), np.uint64))
    rows, places = StringArray.of(["b", "a", "b", "c"]).distinct()
    assert (rows.tolist(), places.tolist()) == ([0, 1, 3], [0, 1, 0, 2])


def test_equal_values_are_not_looked_up() -> None:
    with pytest.raises(ValueError, match="distinct"):
        Lookup(["bin", "at", "bin"])


def test_runs_of_them_are_joined() -> None:
    joined = StringArray.of(WORDS).joined(np.array([0, 2, 1, 0, 3, 0]))
    assert joined.tolist() == ["", "bin ", "été", "", "夏 \N{GRINNING FACE} bin", ""]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, rows = StringArray.of(WORDS), np.array([5, 4, 3, 2, 1, 0, 0])
    expected = whole.hashes().tolist(), whole[rows].tolist()
    monkeypatch.setattr("pipeline.records.strings.BLOCK", 2)
    assert (whole.hashes().tolist(), whole[rows].tolist()) == expected
