"""tensorflow-io, where it loads: one operation for a range of bytes of a file, and `s3://` in TensorFlow's graph.

Its libraries load beside the TensorFlow alone that they are built for, 2.16.
"""

import functools
import warnings
from types import ModuleType

import tensorflow as tf

from pipeline.records import bucket
from pipeline.records.bucket import Url
from pipeline.schema import DataError


@functools.cache
def operations() -> ModuleType | None:
    """Returns tensorflow-io's operations; None where it is not installed, or is built for another TensorFlow."""
    with warnings.catch_warnings(action="ignore"):  # its own, of libraries that do not load
        try:
            from tensorflow_io.python.ops import core_ops

            core_ops.io_file_read  # noqa: B018, loads the library
        except (ImportError, NotImplementedError):
            return None
    return core_ops


def open_store(url: Url) -> None:
    """Prepares TensorFlow to read an object in its graph.

    Raises:
      DataError: tensorflow-io is not there.
    """
    if operations() is None:
        raise DataError(
            f"{url}: TensorFlow {tf.__version__} reads it in its graph by tensorflow-io alone, which is not there; "
            'install tensorflow 2.16.2 and tensorflow-io 0.37.1, or read without the graph (reader="store")'
        )
    bucket.read_in_graph()
