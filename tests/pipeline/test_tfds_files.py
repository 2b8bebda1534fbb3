import json
from collections.abc import Callable

import numpy as np
import pytest

from pipeline import shards, tfds_files
from pipeline.schema import Encoding, Key
from pipeline.shards import DatasetDir


def test_every_key_of_a_record_is_described() -> None:
    features = tfds_files.features(Encoding())["featuresDict"]["features"]
    words = features["words"]["sequence"]["feature"]["featuresDict"]["features"]
    described = {*(set(features) - {"words"}), *(f"words/{key}" for key in words)}
    assert described == {str(key) for key in Key}


@pytest.mark.parametrize(
    ("encoding", "frames"),
    [
        (
            "raw",
            {
                "pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor",
                "tensor": {
                    "dtype": "uint8",
                    "encoding": "bytes",
                    "shape": {"dimensions": ["-1", "112", "112"]},
                },
            },
        ),
        (
            "png",
            {
                "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
                "sequence": {
                    "feature": {
                        "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
                        "image": {
                            "dtype": "uint8",
                            "encodingFormat": "png",
                            "shape": {"dimensions": ["112", "112", "1"]},
                        },
                    },
                    "length": "-1",
                },
            },
        ),
    ],
)
def test_frames_are_described_as_they_are_stored(encoding: str, frames: dict) -> None:
    assert tfds_files.features(Encoding(encoding))["featuresDict"]["features"]["frames"] == frames


def test_the_splits_are_those_of_the_manifest(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    info = json.loads((dataset.root / "dataset_info.json").read_text())
    assert (info["name"], info["fileFormat"]) == ("tiny", "tfrecord")
    train, val = info["splits"]
    assert (train["name"], train["shardLengths"]) == ("train", ["5", "4", "4"])
    assert (val["name"], val["shardLengths"]) == ("val", ["2"])
    assert train["numBytes"] == str(sum(path.stat().st_size for path in dataset.shards[:3]))


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_tensorflow_datasets_reads_the_directory(tiny: Callable[[str], DatasetDir], encoding: str) -> None:
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    dataset = tiny(encoding)
    examples = list(tfds.builder_from_directory(dataset.root).as_dataset("train", shuffle_files=False))
    assert len(examples) == 13
    for number, example in enumerate(examples):
        clip = shards.read_record(dataset, number)
        assert example["id"].numpy().decode() == clip.id
        np.testing.assert_array_equal(np.reshape(example["frames"], clip.frames.shape), clip.frames)
        assert example["words"]["start"].numpy().tolist() == [word.start for word in clip.words]
        assert example["tracked"].numpy().tolist() == clip.tracked.tolist()
