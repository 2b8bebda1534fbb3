import dataclasses

import numpy as np
import pytest

from pipeline import finish
from pipeline.schema import Word
from pipeline.shards import Index, Row


def row(name: str, *words: str) -> Row:
    spoken = tuple(Word(word, 2 * n, 2 * n + 2) for n, word in enumerate(words))
    return Row(f"s1/{name}", "s1", " ".join(words), 10 * len(name), 100, 20, 19, spoken)


def test_the_joined_index_is_that_of_all_rows() -> None:
    shards = [
        (0, 0, [row("a", "bin", "at"), row("longer-name")]),
        (0, 1, []),
        (1, 2, [row("c", "extraordinarily")]),
    ]
    joined = finish.joined([Index.of([shard]) for shard in shards])
    for name, column in dataclasses.asdict(Index.of(shards)).items():
        found = getattr(joined, name)
        assert found.dtype == column.dtype, name
        np.testing.assert_array_equal(found, column)
    assert joined.row(2) == shards[2][2][0]


@pytest.mark.parametrize(
    ("rejected", "clips", "limit", "fails"),
    [
        (0, 9, 0, False),
        (1, 9, 0, True),
        (5, 100, 0.05, False),
        (6, 100, 0.05, True),
        (29, 100, 0.29, False),
        (9, 9, 1, True),
        (8, 9, 1, False),
    ],
)
def test_how_many_rejects_fail_a_job(rejected: int, clips: int, limit: float, fails: bool) -> None:
    assert finish.too_many(rejected, clips, limit) == fails
