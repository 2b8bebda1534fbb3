from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from pipeline import dataset as data
from pipeline import device, table, windows
from pipeline.plan import PlanConfig
from pipeline.schema import BatchKey
from pipeline.shards import DatasetDir
from pipeline.table import DataConfig
from pipeline.vocab import Vocabulary
from tests import datasets

VOCABULARIES = {
    "sentence": Vocabulary.of_characters(),
    "word": Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]),
}


@pytest.mark.parametrize("edge", windows.EDGES)
@pytest.mark.parametrize("unit", table.UNITS)
def test_windows_made_on_the_device_are_those_of_the_host(
    tiny: Callable[[str], DatasetDir], edge: str, unit: str
) -> None:
    config = DataConfig(VOCABULARIES[unit], unit=unit, edge=edge, margin=2)
    order = PlanConfig(4, seed=1, shuffle=False, remainder="pad")  # unsorted: rows of a batch differ in length
    frames, made = (data.load(tiny("raw"), "train", config, order, layout=name) for name in data.LAYOUTS)
    host = list(made.as_numpy_iterator())
    shipped = list(device.batches(frames, edge))
    assert len(shipped) == len(host) > 0
    assert any((batch[BatchKey.LENGTHS] < batch[BatchKey.WINDOWS].shape[1]).any() for batch in host)
    for one, other in zip(shipped, host, strict=True):
        assert one.keys() == other.keys()
        assert one[BatchKey.WINDOWS].dtype == tf.uint8
        for key in other:
            np.testing.assert_array_equal(one[key].numpy(), other[key], err_msg=key)


def test_windows_pass_as_they_are(tiny: Callable[[str], DatasetDir]) -> None:
    config = DataConfig(VOCABULARIES["sentence"])
    ds = data.load(tiny("raw"), "val", config, PlanConfig(2), layout="windows")
    (passed,), (host,) = list(device.batches(ds)), list(ds.as_numpy_iterator())
    np.testing.assert_array_equal(passed[BatchKey.WINDOWS], host[BatchKey.WINDOWS])
    assert passed.keys() == host.keys()


def test_the_default_device_is_there() -> None:
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    assert device.default_device() == f"/{kind}:0"


def test_two_streams_can_be_read_side_by_side(tiny: Callable[[], DatasetDir]) -> None:
    config, order = DataConfig(Vocabulary.of_characters()), PlanConfig(batch_size=4)
    streams = [device.batches(data.load(tiny(), "train", config, order), device="/CPU:0") for _ in range(2)]
    pairs = list(zip(*streams, strict=True))
    assert len(pairs) == 3
    for first, second in pairs:
        np.testing.assert_array_equal(first["windows"], second["windows"])
