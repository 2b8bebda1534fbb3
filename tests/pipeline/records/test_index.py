import numpy as np

from pipeline.records.index import Index, Row
from pipeline.schema import Word


def row(name: str, *words: str, columns: tuple[tuple[str, str], ...] = ()) -> Row:
    spoken = tuple(Word(word, 2 * n, 2 * n + 2) for n, word in enumerate(words))
    return Row(f"s1/{name}", "s1", " ".join(words), 10 * len(name), 100, 30, 20, 19, spoken, columns=columns)


SHARDS = [
    (0, 0, [row("a", "bin", "été", columns=(("room", "été"), ("take", ""))), row("longer-name")]),
    (0, 1, []),
    (1, 2, [row("c", "extraordinarily", columns=(("take", "12"),))]),
]


def same(one: Index, other: Index) -> None:
    assert list(one.columns()) == list(other.columns()) == Index.names()
    for name, column in one.columns().items():
        assert column.dtype == other.columns()[name].dtype, name
        np.testing.assert_array_equal(column, other.columns()[name])


def test_rows_are_had_back() -> None:
    index = Index.of(SHARDS)
    assert [index.row(n) for n in range(len(index))] == [row for _, _, rows in SHARDS for row in rows]
    assert index.column_rows.tolist() == [0, 2, 2, 3]
    assert (index.split.tolist(), index.shard.tolist()) == ([0, 0, 1], [0, 0, 2])
    same(Index.of_columns(index.columns()), index)


def test_the_joined_index_is_that_of_all_rows() -> None:
    same(Index.concatenate([Index.of([shard]) for shard in SHARDS]), Index.of(SHARDS))
    assert len(Index.of([])) == 0
