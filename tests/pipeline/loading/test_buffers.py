import weakref

import numpy as np
import tensorflow as tf

from pipeline.loading import buffers


def test_memory_begins_where_tensorflow_takes_it_over() -> None:
    for size in (1, 63, 64, 12_544):
        made = buffers.aligned(size)
        assert (made.shape, made.dtype, made.ctypes.data % 64) == ((size,), np.uint8, 0)


def test_what_a_tensor_owns_goes_with_the_last_of_tensorflow_that_has_it() -> None:
    class Thing:
        pass

    thing = Thing()
    found, tensor = weakref.ref(thing), buffers.owner(thing)
    assert tensor.numpy().tolist() == [0]
    ds = tf.data.Dataset.from_tensors(tensor).repeat(3)
    del thing, tensor
    iterator = iter(ds)
    del ds
    next(iterator)
    assert found() is not None
    del iterator
    assert found() is None
