"""The task that a job array's variables name, whatever its numbers."""

import pytest

from pipeline.conversion.array import Part
from pipeline.schema import DataError
from scripts.common import array_flags

NAMES = ("ID", "MIN", "MAX", "STEP", "COUNT")


def part(monkeypatch: pytest.MonkeyPatch, **variables: object) -> Part:
    for name in NAMES:
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    return array_flags._slurm_part()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ({"ID": 3, "MIN": 0, "MAX": 19, "STEP": 1, "COUNT": 20}, Part(3, 20)),
        ({"ID": 14, "MIN": 10, "MAX": 14, "STEP": 2, "COUNT": 3}, Part(2, 3)),
        ({"ID": 7, "MIN": 7, "MAX": 7, "STEP": 1, "COUNT": 1}, Part(0, 1)),
        ({"ID": 3, "COUNT": 20}, Part(3, 20)),
    ],
)
def test_a_task_has_its_place(array: dict[str, int], expected: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    assert part(monkeypatch, **array) == expected


@pytest.mark.parametrize("number", [1, 5])
def test_an_array_with_gaps_is_refused_by_all_its_tasks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataError, match=rf"^SLURM_ARRAY_TASK_ID={number}: not all tasks .* submit the whole array again"
    ):
        part(monkeypatch, ID=number, MIN=1, MAX=5, STEP=1, COUNT=2)


def test_what_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"^SLURM_ARRAY_TASK_COUNT=many: want a number"):
        part(monkeypatch, ID=1, COUNT="many")
