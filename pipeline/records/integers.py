"""Columns of integers in half the memory."""

from typing import BinaryIO

import numpy as np

NARROW = 1 << 30  # sums of two, and margins, still fit into int32
CHUNK = 1 << 16  # numbers that are read at once


def narrow(column: np.ndarray) -> np.ndarray:
    """The same numbers, int64 of any shape, as int32; as they are if one is not below 2^30 in magnitude."""
    return column.astype(np.int32) if _fits(column) else column


def read_narrow(file: BinaryIO, count: int) -> np.ndarray:
    """Reads `count` numbers of int64, of which it holds few at a time, as `narrow` returns them.

    Raises:
      ValueError: the file has fewer.
    """
    column = np.empty(count, np.int32)
    for start in range(0, count, CHUNK):
        numbers = np.frombuffer(read_exactly(file, 8 * min(CHUNK, count - start)), np.int64)
        if column.dtype == np.int32 and not _fits(numbers):
            column = column.astype(np.int64)
        column[start : start + len(numbers)] = numbers
    return column


def _fits(numbers: np.ndarray) -> bool:
    return numbers.min(initial=0) > -NARROW and numbers.max(initial=0) < NARROW


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """Reads so many bytes.

    Raises:
      ValueError: the file has fewer.
    """
    found = file.read(count)
    while len(found) < count:
        if not (more := file.read(count - len(found))):
            raise ValueError(f"ends {count - len(found)} bytes before its last number")
        found += more
    return found
