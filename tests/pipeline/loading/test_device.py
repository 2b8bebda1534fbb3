from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import dataset as data
from pipeline.loading import device, windows
from pipeline.loading.config import PADDINGS, UNITS, DataConfig, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.schema import BatchKey
from pipeline.vocab import Vocabulary
from tests import datasets, kernels

VOCABULARIES = {
    "sentence": Vocabulary.of_characters(),
    "word": Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]),
}


@pytest.fixture(params=[True, False], ids=["host", "accelerator"])
def as_host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the CPU is taken for what it is, or for an accelerator: copied to, windows gathered."""
    if not request.param:
        monkeypatch.setattr(device, "is_host", lambda name: False)
    return request.param


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("unit", UNITS)
def test_windows_made_on_the_device_are_those_of_the_host(
    tiny: Callable[[str], DatasetDir], monkeypatch: pytest.MonkeyPatch, padding: str, unit: str, as_host: bool
) -> None:
    config = DataConfig(VOCABULARIES[unit], unit=unit, padding=padding, margin=2)
    order = PlanConfig(4, seed=1, shuffle=False, remainder="pad")  # unsorted: rows of a batch differ in length
    frames, made = (data.load(tiny("raw"), "train", config, order, layout=name) for name in data.LAYOUTS)
    host = list(made.as_numpy_iterator())
    if not as_host:
        monkeypatch.setattr(windows, "_copied", None)
    shipped = list(device.batches(frames, padding, "/CPU:0"))
    assert len(shipped) == len(host) > 0
    assert any((batch[BatchKey.LENGTHS] < batch[BatchKey.WINDOWS].shape[1]).any() for batch in host)
    for one, other in zip(shipped, host, strict=True):
        assert one.keys() == other.keys()
        assert {key: value.dtype for key, value in one.items()} == {key: value.dtype for key, value in other.items()}
        for key in other:
            np.testing.assert_array_equal(one[key].numpy(), other[key], err_msg=key)


def test_windows_are_traced_once_for_all_epochs(tiny: Callable[[str], DatasetDir]) -> None:
    config, order = DataConfig(VOCABULARIES["sentence"]), PlanConfig(2, seed=1)

    def epoch(number: int) -> int:
        list(device.batches(data.load(tiny("raw"), "train", config, order, epoch=number), device="CPU:0"))
        return device._to_windows.experimental_get_tracing_count()

    assert epoch(1) == epoch(2) == epoch(0) > 0


def test_many_lengths_are_traced_a_few_times(tmp_path: Path, as_host: bool) -> None:
    clips = [datasets.clip(f"s1/c{frames}", frames, words=()) for frames in range(6, 36)]
    ds = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    config, order = DataConfig(VOCABULARIES["sentence"]), PlanConfig(1, seed=1)
    before = device._to_windows.experimental_get_tracing_count()
    batches = list(device.batches(data.load(ds, "train", config, order), device="CPU:0"))
    assert len({batch[BatchKey.WINDOWS].shape[1] for batch in batches}) == 30
    assert device._to_windows.experimental_get_tracing_count() - before <= 4


@pytest.mark.parametrize(
    ("name", "host"), [("/CPU:0", True), ("CPU:0", True), ("/device:cpu:0", True), ("/GPU:0", False), ("GPU:1", False)]
)
def test_which_device_is_the_host(name: str, host: bool) -> None:
    assert device.is_host(name) == host


@pytest.mark.usefixtures("as_host")
def test_windows_pass_as_they_are(tiny: Callable[[str], DatasetDir]) -> None:
    config = DataConfig(VOCABULARIES["sentence"])
    ds = data.load(tiny("raw"), "val", config, PlanConfig(2), layout="windows")
    (passed,), (host,) = list(device.batches(ds, device="/CPU:0")), list(ds.as_numpy_iterator())
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


@pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="this TensorFlow has no kernels for GPUs")
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_gpu_makes_windows_without_asking_the_host(padding: str) -> None:
    spec = {
        BatchKey.FRAMES: tf.TensorSpec([None, None, 112, 112], tf.uint8),
        BatchKey.LENGTHS: tf.TensorSpec([None], tf.int32),
    }
    made = tf.function(lambda batch: windows.of_batch(batch, padding), autograph=False).get_concrete_function(spec)
    assert kernels.host_only(made) == set()
    gathered = tf.function(lambda frames: tf.gather(frames, [0], axis=1)).get_concrete_function(spec[BatchKey.FRAMES])
    assert kernels.host_only(gathered) == {"GatherV2"}
