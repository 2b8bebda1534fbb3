"""A dataset without Python is read by processes that know nothing of this program."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.loading import dataset
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.vocab import Vocabulary
from tests import datasets, laws

WORKER = """
import sys
import tensorflow as tf
config = tf.data.experimental.service.WorkerConfig(dispatcher_address=sys.argv[1], heartbeat_interval_ms=100)
server = tf.data.experimental.service.WorkerServer(config)
assert "pipeline" not in sys.modules
server.join()
"""
WORDS = DataConfig(Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]), unit="word", margin=1)
SENTENCES = DataConfig(Vocabulary.of_characters())
VARIED = AugmentConfig(shift=3, flip=0.5, speed=0.2)


@pytest.mark.parametrize(("encoding", "config"), [("raw", WORDS), ("jpeg", SENTENCES)], ids=["raw words", "jpeg"])
def test_a_worker_process_of_the_tf_data_service_serves_the_same_batches(
    tiny: Callable[[str], DatasetDir], tmp_path: Path, encoding: str, config: DataConfig
) -> None:
    stream = tiny(encoding), "train", config, PlanConfig(4, seed=3), VARIED
    want = laws.read(dataset.load(*stream, epochs=2))
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    worker = subprocess.Popen([sys.executable, "-c", WORKER, address], cwd=tmp_path)
    try:
        served = dataset.portable(*stream, epochs=2).apply(
            tf.data.experimental.service.distribute(processing_mode="parallel_epochs", service=dispatcher.target)
        )
        laws.same(laws.read(served), want)
    finally:
        worker.kill()
        worker.wait()


def test_it_is_saved_and_loaded(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    stream = tiny("raw"), "train", SENTENCES, PlanConfig(4, seed=3), VARIED
    dataset.portable(*stream, epochs=2).save(str(tmp_path / "saved"))
    laws.same(laws.read(tf.data.Dataset.load(str(tmp_path / "saved"))), laws.read(dataset.load(*stream, epochs=2)))


def test_windows_are_made_without_python_too(tiny: Callable[[str], DatasetDir]) -> None:
    stream = tiny("raw"), "train", SENTENCES, PlanConfig(4, seed=3)
    portable = dataset.portable(*stream, layout="windows")
    assert b"PyFunc" not in portable._as_serialized_graph().numpy()
    laws.same(laws.read(portable), laws.read(dataset.load(*stream, layout="windows")))


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(3)]
    data = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    datasets.flip(data.shards[0], int(data.index.offset[1]) + 500)
    with pytest.raises(tf.errors.DataLossError, match="corrupted record at"):
        laws.read(dataset.portable(data, "train", SENTENCES, PlanConfig(1, shuffle=False)))
