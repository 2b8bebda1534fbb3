import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import strings, table_columns
from pipeline.records.index import Index, Row

CLIPS = [
    (("room", "studio"), ("take", "1")),
    (("room", "hall"), ("take", "2")),
    (),
    (("take", "1"), ("note", "a, b=c")),
    (("room", "hall"),),
]


def indexed(clips: list[tuple[tuple[str, str], ...]]) -> Index:
    rows = [Row(str(n), "s", "", 0, 0, 0, 9, 9, (), columns=columns) for n, columns in enumerate(clips)]
    return Index.of([(0, 0, rows)])


def test_names_come_in_their_order() -> None:
    assert table_columns.names(indexed(CLIPS)) == ["room", "take", "note"]
    assert table_columns.names(indexed([(), ()])) == []


def test_the_commonest_values_come_first() -> None:
    room = table_columns.column(indexed(CLIPS), "room")
    assert (room.name, room.values.tolist(), room.clips.tolist()) == ("room", ["hall", "studio"], [2, 1])
    note = table_columns.column(indexed(CLIPS), "note")
    assert (note.values.tolist(), note.clips.tolist()) == (["a, b=c"], [1])
    assert table_columns.column(indexed(CLIPS), "roo").values.tolist() == []


@pytest.mark.parametrize(
    ("name", "values", "chosen", "seen"),
    [
        ("room", ["hall"], [False, True, False, False, True], {"hall"}),
        ("room", ["studio", "hall", "cellar"], [True, True, False, False, True], {"hall", "studio"}),
        ("room", ["1"], [False] * 5, set()),
        ("take", ["1"], [True, False, False, True, False], {"1"}),
        ("note", ["a, b=c"], [False, False, False, True, False], {"a, b=c"}),
        ("roo", ["hall"], [False] * 5, set()),
    ],
)
def test_clips_are_chosen_by_a_value(name: str, values: list[str], chosen: list[bool], seen: set[str]) -> None:
    got = table_columns.having(indexed(CLIPS), name, values)
    assert (got[0].tolist(), got[1]) == (chosen, seen)


PAIRS = st.lists(
    st.tuples(st.sampled_from(["a", "aa", "é"]), st.text("ab", max_size=2)), max_size=3, unique_by=lambda pair: pair[0]
)


@given(st.lists(PAIRS.map(tuple), max_size=8), st.sets(st.text("ab", max_size=2), min_size=1))
def test_blocks_choose_what_one_by_one_would(clips: list[tuple], values: set[str]) -> None:
    index = indexed(clips)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strings, "BLOCK", 3)
        chosen, seen = table_columns.having(index, "a", sorted(values))
        found = table_columns.column(index, "a")
    have = [dict(own).get("a") for own in clips]
    assert chosen.tolist() == [value in values for value in have]
    assert seen == values & set(have)
    assert dict(zip(found.values, found.clips.tolist(), strict=True)) == {
        value: have.count(value) for value in have if value is not None
    }


def test_numbers_of_a_file_do_as_well() -> None:
    index = indexed(CLIPS)
    index = dataclasses.replace(index, column_rows=index.column_rows.astype(np.int32))
    assert table_columns.having(index, "room", ["hall"])[0].tolist() == [False, True, False, False, True]
