import io

import numpy as np
import pytest

from pipeline.records.integers import narrow, read_narrow


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [([], np.int32), ([2**30 - 1, -1], np.int32), ([0, 2**30], np.int64), ([-(2**30)], np.int64), ([2**62], np.int64)],
)
def test_numbers_stay_and_leave_room_for_sums(numbers: list[int], dtype: type) -> None:
    found = narrow(np.array(numbers, np.int64))
    assert (found.tolist(), found.dtype) == (numbers, dtype)


@pytest.mark.parametrize("large", [None, 0, 4, 9])
def test_numbers_are_read_as_they_are_narrowed(large: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.records.integers.CHUNK", 4)
    numbers = np.arange(-5, 5)
    if large is not None:
        numbers[large] = 2**40
    found, expected = read_narrow(io.BytesIO(numbers.tobytes()), 10), narrow(numbers)
    assert (found.tolist(), found.dtype) == (expected.tolist(), expected.dtype)
    with pytest.raises(ValueError, match="ends 8 bytes before its last number"):
        read_narrow(io.BytesIO(numbers.tobytes()), 11)
