import numpy as np

from pipeline.loading import buffers


def test_a_batch_takes_the_memory_of_one_that_is_gone() -> None:
    memory = buffers.Buffers()
    one, two = memory.take((2, 75, 112, 112), np.uint8), memory.take((2, 70, 112, 112), np.uint8)
    assert [each.ctypes.data % buffers.ALIGNMENT for each in (one, two)] == [0, 0]
    places = {one.ctypes.data, two.ctypes.data}
    assert len(places) == 2
    one[:] = 7
    del two
    three = memory.take((1, 60, 112, 112), np.uint8)  # a smaller batch, while the first is in use
    assert three.ctypes.data in places
    three[:] = 0
    assert (one == 7).all()
