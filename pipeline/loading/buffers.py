"""Reusable batch memory that NumPy and TensorFlow share without a copy."""

import weakref

import numpy as np
import tensorflow as tf

ALIGNMENT = 64  # bytes: TensorFlow takes over an array that begins so, and copies any other


def aligned(size: int) -> np.ndarray:
    """uint8 [size], not set to anything, where TensorFlow takes it over instead of copying it."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size]


class Buffers:
    """Reuses the memory of batches that are no longer referenced.

    The operating system zeroes fresh pages, so buffers are reused. As many are kept as were ever in use at once, each
    as large as its largest batch.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """uint8, `aligned`."""
        size = int(np.prod(shape))
        try:
            buffer = self._free.pop()
        except IndexError:  # all are in use
            buffer = np.empty(0, np.uint8)
        if len(buffer) < size:
            buffer = aligned(size)
        array = buffer[:size].reshape(shape)
        weakref.finalize(array, self._free.append, buffer).atexit = False
        return array


class _Owner(np.ndarray):
    """An array with an object that lives as long as it."""

    owned: object


def owner(owned: object) -> tf.Tensor:
    """A tensor, uint8 [1], that keeps a Python object until TensorFlow frees it, wherever it has gone by then."""
    array = aligned(1).view(_Owner)
    array[:] = 0
    array.owned = owned
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
