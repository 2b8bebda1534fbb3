import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipeline.conversion import shard
from pipeline.conversion.job import convert
from pipeline.records import directory, tfds_metadata
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, Key, Word
from tests import conversions, datasets

pytestmark = pytest.mark.usefixtures("forked_workers")


def test_every_key_of_a_record_is_described() -> None:
    features = tfds_metadata.features(Encoding(), has_columns=True)["featuresDict"]["features"]
    lists = {
        name: features.pop(name)["sequence"]["feature"]["featuresDict"]["features"] for name in ("words", "columns")
    }
    assert {*features, *(f"{name}/{key}" for name, keys in lists.items() for key in keys)} == {str(key) for key in Key}
    assert "columns" not in tfds_metadata.features(Encoding(), has_columns=False)["featuresDict"]["features"]


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
                            "shape": {"dimensions": ["-1", "112", "1"]},
                        },
                    },
                    "length": "-1",
                },
            },
        ),
    ],
)
def test_frames_are_described_as_they_are_stored(encoding: str, frames: dict) -> None:
    assert tfds_metadata.features(Encoding(encoding), False)["featuresDict"]["features"]["frames"] == frames


def test_the_splits_are_those_of_the_manifest(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    info = json.loads((dataset.root / "dataset_info.json").read_text())
    assert (info["name"], info["fileFormat"]) == ("tiny", "tfrecord")
    train, val = info["splits"]
    assert (train["name"], train["shardLengths"]) == ("train", ["5", "4", "4"])
    assert (val["name"], val["shardLengths"]) == ("val", ["2"])
    assert train["numBytes"] == str(sum(path.stat().st_size for path in dataset.shards[:3]))


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_tensorflow_datasets_reads_every_split(tiny: Callable[[str], DatasetDir], encoding: str) -> None:
    dataset = tiny(encoding)
    builder = tfds.builder_from_directory(dataset.root)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 13, "val": 2}
    for split in dataset.splits:
        read = builder.as_dataset(split, shuffle_files=False)
        assert {key: (spec.dtype, tuple(spec.shape)) for key, spec in read.element_spec.items() if key != "words"} == {
            "id": (tf.string, ()),
            "speaker": (tf.string, ()),
            "text": (tf.string, ()),
            "source": (tf.string, ()),
            "fps": (tf.float32, ()),
            "frame_count": (tf.int64, ()),
            "frames": (tf.uint8, (None, 112, 112) if encoding == "raw" else (None, None, 112, 1)),
            "tracked": (tf.bool, (None,)),
            "doubt": (tf.float32, (None,)),
            "doubt_cause": (tf.string, (None,)),
        }
        for record, example in zip(dataset.records(split), read, strict=True):
            _check_same(example, directory.read_record(dataset, record), levels=2 if encoding == "jpeg" else 0)


def test_tensorflow_datasets_reads_columns_of_the_table_where_there_are_some(tmp_path: Path) -> None:
    columns = [(("room", "studio"), ("été", "")), (), (("room", "hall"),)]
    clips = [dataclasses.replace(datasets.clip(f"s1/c{n}", 9), columns=own) for n, own in enumerate(columns)]
    builder = tfds.builder_from_directory(datasets.write_dataset(tmp_path, {"train": [clips]}).root)
    read = [example["columns"] for example in builder.as_dataset("train", shuffle_files=False)]
    got = [[[text.decode() for text in own[key].numpy()] for key in ("name", "value")] for own in read]
    assert got == [[["room", "été"], ["studio", ""]], [[], []], [["room"], ["hall"]]]


def test_tensorflow_datasets_reads_what_a_conversion_has_left_empty(corpus: Path, tmp_path: Path) -> None:
    clips = conversions.sources(corpus)
    tasks = shard.plan_shards(clips, conversions.CONFIG)
    bad = {source.id for task in tasks[1:2] + tasks[3:4] for source in task.sources}  # a shard of train, all of val
    sources = [dataclasses.replace(clip, problem="torn" if clip.id in bad else "") for clip in clips]
    list(convert(sources, corpus, tmp_path / "out", conversions.CONFIG, max_reject_fraction=0.5))
    builder = tfds.builder_from_directory(tmp_path / "out")
    want = {task.split: [] for task in (tasks[0], tasks[-1])}
    for task in (tasks[0], tasks[2], tasks[4]):
        want[task.split] += [source.id for source in task.sources]
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 3, "test": 1}
    for split, ids in want.items():
        read = builder.as_dataset(split, shuffle_files=False)
        assert [example["id"].numpy().decode() for example in read] == ids


def _check_same(example: dict, clip: Clip, levels: int) -> None:
    """Equal, but for as many gray levels as decoders of JPEG may differ by."""
    assert [example[key].numpy().decode() for key in ("id", "speaker", "text", "source")] == [
        clip.id,
        clip.speaker,
        clip.text,
        clip.source,
    ]
    frames = np.reshape(example["frames"], clip.frames.shape)
    np.testing.assert_allclose(frames.astype(int), clip.frames.astype(int), rtol=0, atol=levels)
    spoken = zip(*(example["words"][key].numpy().tolist() for key in ("text", "start", "stop")), strict=True)
    assert [Word(text.decode(), start, stop) for text, start, stop in spoken] == list(clip.words)
    assert example["tracked"].numpy().tolist() == clip.tracked.tolist()
    assert example["doubt"].numpy().tolist() == [np.float32(clip.doubt)]
    assert example["doubt_cause"].numpy().tolist() == [clip.doubt_cause.encode()] * bool(clip.doubt_cause)
    assert (example["fps"].numpy(), example["frame_count"].numpy()) == (clip.fps, len(clip.frames))
