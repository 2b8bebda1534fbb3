"""Calls of Python from TensorFlow's threads, which come to rest before the interpreter ends.

A thread that wants the interpreter while it ends never gets it, and an iterator that waits for the thread never ends.
"""

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

QUIET_S = 0.05  # without a call: by then the buffers behind the calls are full of errors
MAX_WAIT_S = 10.0


class _Calls:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running, self._last, self._closed = 0, 0.0, False
        atexit.register(self.close)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            self._last = time.monotonic()
            if self._closed:
                raise RuntimeError("the interpreter ends")
            self._running += 1
        try:
            return function(*arguments)
        finally:
            with self._lock:
                self._running -= 1

    def close(self) -> None:
        """Refuses calls from now on, and waits for those that run."""
        self._closed, began = True, time.monotonic()
        while time.monotonic() - began < MAX_WAIT_S:
            time.sleep(QUIET_S)
            with self._lock:
                if not self._running and time.monotonic() - self._last > QUIET_S:
                    return


_CALLS = _Calls()


def numpy_function(function: Callable[..., Any], tensors: list[tf.Tensor], types: Any) -> Any:
    """As `tf.numpy_function`."""
    return tf.numpy_function(lambda *arguments: _CALLS.run(function, *arguments), tensors, types)
