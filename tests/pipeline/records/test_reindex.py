"""Shards of other programs and of an older version become a dataset directory."""

import dataclasses
import gzip
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.records import directory, reindex, storage, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import from_example, to_example
from pipeline.schema import CROP, SCHEMA_VERSION, Clip, DataError, Key
from tests import datasets

CLIPS = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(5)]
ENCODINGS = ["raw", "jpeg", "png"]


def bare(root: Path, encoding: str = "raw", splits: dict | None = None) -> DatasetDir:
    """A dataset, of which shards alone are left."""
    splits = splits or {"train": [CLIPS[:2], CLIPS[2:4]], "val": [CLIPS[4:]]}
    dataset = datasets.write_dataset(root, splits, Encoding(encoding))
    for path in root.iterdir():
        if path not in dataset.shards:
            path.unlink()
    return dataset


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_shards_alone_become_the_dataset_that_they_were(tmp_path: Path, encoding: str) -> None:
    had = bare(tmp_path / "data", encoding)
    assert list(reindex.index(tmp_path / "data")) == list(had.shards)
    dataset = directory.open_dataset(tmp_path / "data")
    assert dataset.splits == had.splits
    for name, column in dataset.index.columns().items():
        np.testing.assert_array_equal(column, had.index.columns()[name], err_msg=name)
    assert dataset.manifest["conversion"] | {"crop": {}} == {
        "name": "tiny",
        "crop": {},
        "fps": 25.0,
        "encoding": {"name": encoding, "quality": 92},
    }
    assert [problem for problem in directory.verify(dataset) if problem] == []


def test_columns_of_a_table_are_indexed(tmp_path: Path) -> None:
    clips = [CLIPS[0], dataclasses.replace(CLIPS[1], columns=(("room", "a"), ("take", "2")))]
    had = bare(tmp_path / "data", splits={"train": [clips]})
    list(reindex.index(tmp_path / "data"))
    index = directory.open_dataset(tmp_path / "data").index
    assert [index.row(record) for record in range(2)] == [had.index.row(record) for record in range(2)]
    assert index.row(1).columns == (("room", "a"), ("take", "2"))
    assert '"columns"' in (tmp_path / "data" / "features.json").read_text()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda root: (root / "tiny-train.tfrecord-00000-of-00002").unlink(), "00000-of-00002: missing; restore it"),
        (lambda root: (root / "more.tfrecord").touch(), r"more\.tfrecord: want NAME-SPLIT\.tfrecord-.*; rename it"),
        (
            lambda root: (root / "other-train.tfrecord-00000-of-00001").touch(),
            "want the TFRecords of one dataset; want NAME-SPLIT",
        ),
        (lambda root: [path.unlink() for path in root.iterdir()], "want the TFRecords of one dataset"),
        (
            lambda root: os.truncate(root / "tiny-val.tfrecord-00000-of-00001", 1000),
            "val.tfrecord-00000-of-00001 offset 0: the record is damaged, the shard ends within it; restore",
        ),
        (
            lambda root: datasets.flip(root / "tiny-val.tfrecord-00000-of-00001", 900),
            "val.tfrecord-00000-of-00001 offset 0: the record is damaged, its CRC does not match",
        ),
        (lambda root: storage.write_json(root / "manifest.json", {}), r"has a manifest\.json; it is indexed already"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, spoil: Callable[[Path], object], match: str) -> None:
    bare(tmp_path / "data")
    spoil(tmp_path / "data")
    with pytest.raises(DataError, match=match):
        list(reindex.index(tmp_path / "data"))


def test_records_of_another_frame_rate_are_named(tmp_path: Path) -> None:
    bare(tmp_path / "data", splits={"train": [[CLIPS[0], dataclasses.replace(CLIPS[1], fps=30.0)]]})
    with pytest.raises(DataError, match=r"offset \d+: 30 frames a second, others 25; want one rate"):
        list(reindex.index(tmp_path / "data"))


def test_what_another_program_may_get_wrong_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    twice = bare(tmp_path / "twice")
    with tfrecord.ShardWriter(twice.shards[-1]) as writer:
        writer.write(to_example(CLIPS[0], Encoding()))
    with pytest.raises(DataError, match="an id comes twice"):
        list(reindex.index(twice.root))
    zipped = bare(tmp_path / "zipped")
    zipped.shards[0].write_bytes(gzip.compress(zipped.shards[0].read_bytes()))
    with pytest.raises(DataError, match="offset 0: the shard is gzip-compressed"):
        list(reindex.index(zipped.root))
    parts = bare(tmp_path / "parts", splits={"train": [CLIPS[:1]]})
    example = tf.train.Example.FromString(to_example(CLIPS[0], Encoding()))
    values = [frame.tobytes() for frame in CLIPS[0].frames]
    example.features.feature["frames"].bytes_list.value[:] = values
    with tfrecord.ShardWriter(parts.shards[0]) as writer:
        writer.write(example.SerializeToString(deterministic=True))
    with pytest.raises(DataError, match="offset 0: key frames: not raw frames of 112x112: want one value, got 10"):
        list(reindex.index(parts.root))
    for dataset in (twice, zipped, parts):
        assert not (dataset.root / directory.MANIFEST).exists()


def single_images(clip: Clip, encoding: Encoding) -> bytes:
    """A record as version 2 wrote it: an image a frame."""
    example = tf.train.Example.FromString(to_example(clip, encoding))
    images = [encoding.encode(frame[np.newaxis])[0] for frame in clip.frames]
    example.features.feature[str(Key.FRAMES)].bytes_list.value[:] = images
    return example.SerializeToString(deterministic=True)


def old(root: Path, encoding: str) -> DatasetDir:
    """A dataset of schema version 2; it cannot be opened."""
    dataset = datasets.write_dataset(root, {"train": [CLIPS[:2], CLIPS[2:4]], "val": [CLIPS[4:]]}, Encoding(encoding))
    if encoding != "raw":
        for number, clip in enumerate(CLIPS):
            dataset = datasets.with_record(dataset, number, single_images(clip, Encoding(encoding)))
    columns = {name: column for name, column in dataset.index.columns().items() if name != "pixels"}
    np.savez_compressed(root / directory.INDEX, **columns)
    storage.write_json(root / directory.MANIFEST, {**dataset.manifest, "schema_version": SCHEMA_VERSION - 1})
    return dataset


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_an_upgraded_dataset_is_to_the_byte_a_new_one(
    tmp_path: Path, encoding: str, digest: Callable[[Path], dict[str, str]]
) -> None:
    new = datasets.write_dataset(
        tmp_path / "new", {"train": [CLIPS[:2], CLIPS[2:4]], "val": [CLIPS[4:]]}, Encoding(encoding)
    )
    old(tmp_path / "old", encoding)
    with pytest.raises(DataError, match=r"schema_version 2, this program reads 3: python -m scripts\.records upgrade"):
        directory.open_dataset(tmp_path / "old")
    list(reindex.upgrade(tmp_path / "old"))
    assert digest(tmp_path / "old") == digest(new.root)


def test_upgraded_jpegs_are_close_to_what_they_were(tmp_path: Path) -> None:
    before = old(tmp_path / "old", "jpeg")
    list(reindex.upgrade(tmp_path / "old"))
    after = directory.open_dataset(before.root)
    for number, clip in enumerate(CLIPS):
        images = tf.train.Example.FromString(single_images(clip, Encoding("jpeg"))).features.feature["frames"]
        once = np.concatenate([Encoding("jpeg").decode([image]) for image in images.bytes_list.value])
        again = directory.read_record(after, number).frames
        assert np.abs(again.astype(int) - once).max() <= 2


def test_an_upgrade_that_was_stopped_goes_on(tmp_path: Path) -> None:
    root = old(tmp_path / "old", "png").root
    whole = shutil.copytree(root, tmp_path / "whole")
    shards = reindex.upgrade(root)
    next(shards)
    shards.close()
    with pytest.raises(DataError, match=r"scripts\.records upgrade"):
        directory.open_dataset(root)
    for each in (root, whole):
        list(reindex.upgrade(each))
    assert [path.read_bytes() for path in directory.open_dataset(root).shards] == [
        path.read_bytes() for path in directory.open_dataset(whole).shards
    ]


def test_a_damaged_image_of_an_old_dataset_is_named(tmp_path: Path) -> None:
    dataset = old(tmp_path / "old", "png")
    record = tf.train.Example.FromString(single_images(CLIPS[0], Encoding("png")))
    record.features.feature["frames"].bytes_list.value[3] = b"no image"
    with tfrecord.ShardWriter(dataset.shards[0]) as writer:
        writer.write(record.SerializeToString(deterministic=True))
    with pytest.raises(DataError, match="00000-of-00002 offset 0: cannot identify image as png; restore the shard"):
        list(reindex.upgrade(dataset.root))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_old_shard_that_lost_a_record_is_not_upgraded(tmp_path: Path, encoding: str) -> None:
    dataset = old(tmp_path / "old", encoding)
    os.truncate(dataset.shards[0], int(dataset.index.offset[1]))  # on the border of a record
    with pytest.raises(DataError, match="00000-of-00002: has 1 records, the manifest says 2; restore it"):
        list(reindex.upgrade(dataset.root))


def test_an_old_raw_shard_of_other_clips_is_not_upgraded(tmp_path: Path) -> None:
    dataset = old(tmp_path / "old", "raw")
    shutil.copy(dataset.shards[1], dataset.shards[0])
    with pytest.raises(DataError, match="00000-of-00002: has changed since the conversion; restore it"):
        list(reindex.upgrade(dataset.root))


def test_another_version_is_not_upgraded(tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(DataError, match="schema_version 3; only version 2 can be upgraded"):
        list(reindex.upgrade(tiny("raw").root))


def test_a_clip_of_more_frames_than_an_image_holds_has_several(tmp_path: Path) -> None:
    frames = np.repeat(datasets.pixels(30, seed=1), 40, axis=0)
    clip = dataclasses.replace(CLIPS[0], frames=frames, tracked=np.ones(1200, bool))
    for encoding in (Encoding("png"), Encoding("jpeg")):
        images = encoding.encode(frames)
        assert [Image.open(io.BytesIO(image)).size for image in images] == [
            (CROP, 584 * CROP),
            (CROP, 584 * CROP),
            (CROP, 32 * CROP),
        ]
        assert len(from_example(to_example(clip, encoding), encoding).frames) == 1200
