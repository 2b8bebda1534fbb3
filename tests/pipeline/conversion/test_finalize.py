import pytest

from pipeline.conversion import finalize


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
    assert finalize.too_many(rejected, clips, limit) == fails
