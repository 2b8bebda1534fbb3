"""Without tensorflow-io, as beside a TensorFlow that it is not built for."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from pipeline.loading import dataset, graph_reader, tensorflow_io
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records import directory
from pipeline.records.bucket import Url
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from tests import datasets, laws
from tests.stores import Store

CONFIG = DataConfig(Vocabulary.of_words(sorted({text for text, _, _ in datasets.SPOKEN})), unit="word")


def test_it_loads_beside_the_tensorflow_that_it_is_built_for() -> None:
    assert (tensorflow_io.operations() is not None) == tf.__version__.startswith("2.16.")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_io, "operations", lambda: None)


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_the_same_is_read_without_it(
    monkeypatch: pytest.MonkeyPatch, tiny: Callable[[str], DatasetDir], encoding: str
) -> None:
    def read() -> list[laws.Batch]:
        return laws.read(dataset.load(tiny(encoding), "train", CONFIG, PlanConfig(3, seed=5), reader="graph"))

    want, records = read(), []
    by_tensorflow = graph_reader._record
    monkeypatch.setattr(tensorflow_io, "operations", lambda: None)
    monkeypatch.setattr(graph_reader, "_record", lambda *where: records.append(1) or by_tensorflow(*where))
    laws.same(read(), want)
    assert records


@pytest.mark.usefixtures("alone")
def test_a_store_cannot_be_read_in_the_graph_without_it(store: Store, tiny: Callable[[str], DatasetDir]) -> None:
    remote = directory.open_dataset(store.put_tree(tiny("raw").root, "tiny/alone"))
    stream = remote, "train", CONFIG, PlanConfig(3)
    with pytest.raises(DataError, match=r"s3://.*install tensorflow 2.16.2 and tensorflow-io 0.37.1"):
        dataset.load(*stream, reader="graph")
    assert laws.read(dataset.load(*stream))
    assert isinstance(remote.shards[0], Url)
