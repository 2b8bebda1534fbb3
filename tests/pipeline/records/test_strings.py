import gc
import operator
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.strings import StringArray, is_utf8

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
