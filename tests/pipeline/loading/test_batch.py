from collections.abc import Callable

import numpy as np

from pipeline.loading.batch import Batcher
from pipeline.loading.buffers import ALIGNMENT
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig, select_examples
from pipeline.records.directory import DatasetDir
from pipeline.vocab import Vocabulary


def test_a_batch_takes_the_memory_of_one_that_is_gone(tiny: Callable[[str], DatasetDir]) -> None:
    dataset, config = tiny("raw"), DataConfig(Vocabulary.of_characters())
    examples = select_examples(dataset, "train", config)
    batcher = Batcher(dataset, examples, config, Reader(dataset), "raise", set())

    def frames(*rows: int) -> np.ndarray:
        counts = examples.frames[list(rows)]
        batch = batcher(np.array(rows), np.ones(len(rows), np.float32), counts, counts.max() - 4)
        assert batch[0].ctypes.data % ALIGNMENT == 0
        return batch[0]

    one, two = frames(0, 1), frames(2, 3)
    kept, places = one.copy(), {one.ctypes.data, two.ctypes.data}
    assert len(places) == 2
    del two
    assert frames(4).ctypes.data in places  # a smaller batch, while the first is in use
    np.testing.assert_array_equal(one, kept)
