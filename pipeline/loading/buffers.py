"""Reuses the memory of batches that Python fills and TensorFlow takes over."""

import math
import weakref

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64  # bytes: TensorFlow takes over an array that begins so, and copies any other


class Buffers:
    """Reuses the memory of batches that are no longer referenced.

    The operating system zeroes fresh pages, so buffers are reused. As many are kept as were ever in use at once, each
    as large as its largest batch.

    A batch lives as long as somebody holds it: TensorFlow's queue of batches read ahead, a training step that still
    runs, or a user who keeps it. Only the end of the array tells when, so a weak reference gives its memory back. A
    ring of a fixed number of buffers would overwrite batches that a user keeps.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array which TensorFlow takes over instead of copying it; not set to anything."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            buffer = self._free.pop()
        except IndexError:  # all are in use
            buffer = np.empty(0, np.uint8)
        if len(buffer) < size:
            memory = np.empty(size + ALIGNMENT, np.uint8)
            begin = -memory.ctypes.data % ALIGNMENT
            buffer = memory[begin : begin + size]
        array = buffer[:size].view(dtype).reshape(shape)
        weakref.finalize(array, self._free.append, buffer).atexit = False
        return array


FRAMES, WINDOWS = Buffers(), Buffers()  # of all streams of this process; windows take five times the memory
