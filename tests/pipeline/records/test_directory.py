import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.records import directory, storage, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import to_example
from pipeline.records.index import NOT_SCORED, Row
from pipeline.records.strings import StringArray
from pipeline.schema import DataError
from tests import datasets


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetDir:
    """Three shards: 3 and 2 clips for training, 1 for test."""
    clips = [datasets.clip(f"s1/c{n}", 6 + n, () if n == 2 else datasets.SPOKEN[:1], seed=n) for n in range(6)]
    return datasets.write_dataset(tmp_path / "ds", {"train": [clips[:3], clips[3:5]], "test": [clips[5:]]})


def test_offsets_are_where_tensorflow_finds_the_records(tmp_path: Path) -> None:
    path, records = tmp_path / "a.tfrecord", [b"", b"one", b"x" * 100_000, b"last"]
    with tfrecord.ShardWriter(path) as writer:
        offsets = [writer.write(record) for record in records]
    assert offsets == [0, 16, 35, 100_051]
    assert path.stat().st_size == 100_071
    for place, offset in enumerate(offsets):
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[str(path)], compression_type="", buffer_size=0, byte_offsets=[offset]
        )
        rest = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
        assert rest.take(1).get_single_element().numpy() == records[place]


def test_a_shard_has_its_name_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    with pytest.raises(RuntimeError, match="broken off"), tfrecord.ShardWriter(path) as writer:  # noqa: PT012
        writer.write(b"record")
        assert not path.exists()
        assert len(list(tmp_path.iterdir())) == 1
        raise RuntimeError("broken off")
    assert list(tmp_path.iterdir()) == []


def test_what_is_replaced_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_json(path, {"a": "é"})
    with pytest.raises(TypeError, match="not JSON serializable"):
        storage.write_json(path, {"a": object()})
    assert path.read_text(encoding="utf-8") == '{\n "a": "é"\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_shard_names_are_those_of_tensorflow_datasets() -> None:
    assert directory.shard_name("grid", "train", 7, 12) == "grid-train.tfrecord-00007-of-00012"


def test_every_record_is_read_back_through_the_index(dataset: DatasetDir) -> None:
    assert dataset.splits == ("train", "test")
    assert dataset.encoding == Encoding()
    assert dataset.records("train").tolist() == [0, 1, 2, 3, 4]
    assert dataset.records("test").tolist() == [5]
    assert dataset.index.shard.tolist() == [0, 0, 0, 1, 1, 2]
    for number in range(6):
        clip = directory.read_record(dataset, number)
        assert clip.id == dataset.index.id[number] == f"s1/c{number}"
        np.testing.assert_array_equal(clip.frames, datasets.pixels(6 + number, seed=number))
        row = dataset.index.row(number)
        assert row == Row.of(clip, to_example(clip, Encoding()), row.offset)
        assert row.frames - 1 == row.tracked == clip.tracked.sum()


def test_the_index_round_trips(dataset: DatasetDir, tmp_path: Path) -> None:
    directory.save_index(tmp_path / "again.npz", dataset.index)
    again = directory.load_index(path := tmp_path / "again.npz", path.read_bytes(), dataset.manifest)
    assert [again.row(n) for n in range(6)] == [dataset.index.row(n) for n in range(6)]
    for name, column in again.columns().items():
        np.testing.assert_array_equal(column, dataset.index.columns()[name])
    assert (tmp_path / "again.npz").read_bytes() == (dataset.root / directory.INDEX).read_bytes()


def test_an_index_from_before_crops_were_scored_says_so(dataset: DatasetDir) -> None:
    path = dataset.root / directory.INDEX
    columns = {name: column for name, column in np.load(path).items() if not name.startswith("doubt")}
    np.savez_compressed(path, **columns)
    manifest = dataset.manifest | {"index": {"file": directory.INDEX, "sha256": storage.sha256(path)}}
    storage.write_json(dataset.root / directory.MANIFEST, manifest)
    index = directory.open_dataset(dataset.root).index
    assert index.doubt.tolist() == [NOT_SCORED] * 6
    assert index.doubt_cause.tolist() == [""] * 6
    assert index.id.tolist() == dataset.index.id.tolist()


def test_an_index_holds_columns_of_a_table_only_where_a_clip_has_some(tmp_path: Path, dataset: DatasetDir) -> None:
    assert [name for name in np.load(dataset.root / directory.INDEX) if name.startswith("column")] == []
    assert dataset.index.column_rows.tolist() == [0] * 7
    assert dataset.index.row(2).columns == ()
    clips = [datasets.clip("s1/a", 9), dataclasses.replace(datasets.clip("s1/b", 9), columns=(("room", "1"),))]
    own = datasets.write_dataset(tmp_path / "own", {"train": [clips]})
    assert [own.index.row(record).columns for record in range(2)] == [(), (("room", "1"),)]
    assert [directory.read_record(own, record).columns for record in range(2)] == [(), (("room", "1"),)]
    assert [problem for problem in directory.verify(own) if problem] == []
    strange = StringArray.of(["2"])
    other = dataclasses.replace(own, index=dataclasses.replace(own.index, column_value=strange))
    assert [problem for problem in directory.verify(other) if problem] == [
        f"{own.shards[0]} offset {own.index.offset[1]}: differs from the index in columns"
    ]


def test_an_index_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", id=np.array([{}], object))
    with pytest.raises(DataError, match=r"evil\.npz: not an index \(Object arrays cannot be loaded"):
        directory.load_index(path := tmp_path / "evil.npz", path.read_bytes(), {})


def refused(root: Path, match: str) -> None:
    with pytest.raises(DataError, match=match):
        directory.open_dataset(root)


def test_no_dataset_is_named_with_the_way_out(tmp_path: Path, dataset: DatasetDir) -> None:
    refused(tmp_path / "none", f"{tmp_path / 'none'}: no such directory; make one with python -m scripts.convert")
    (dataset.root / directory.MANIFEST).unlink()
    refused(dataset.root, r"no manifest\.json, so not a finished dataset")


def test_another_schema_version_is_refused(dataset: DatasetDir) -> None:
    manifest = dataset.root / directory.MANIFEST
    manifest.write_text(json.dumps({**dataset.manifest, "schema_version": 0}))
    refused(dataset.root, "schema_version 0, this program reads 3: convert again")


def test_missing_and_cut_shards_are_all_named(dataset: DatasetDir) -> None:
    first, second, third = dataset.shards
    size = second.stat().st_size
    first.unlink()
    with second.open("r+b") as file:
        file.truncate(int(dataset.index.offset[4]))  # on the border of a record, where TensorFlow sees a clean end
    with third.open("ab") as file:
        file.write(b"garbage")
    refused(
        dataset.root,
        f"{first.name} is missing; {second.name} has .* bytes, the manifest says {size}; {third.name}",
    )


def test_literal_last_crc(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    with tfrecord.ShardWriter(path) as writer:
        writer.write(b"")
        writer.write(b"one")
    assert directory.last_crc(path) == path.read_bytes()[-4:].hex() == "01405508"
    path.write_bytes(b"")
    assert directory.last_crc(path) == ""


def test_the_index_of_another_dataset_is_refused(dataset: DatasetDir, tmp_path: Path) -> None:
    other = datasets.write_dataset(tmp_path / "other", {"train": [[datasets.clip("s9/x", 9)]]})
    shutil.copy(other.root / directory.INDEX, dataset.root / directory.INDEX)
    refused(dataset.root, r"index\.npz: not the index of this manifest")


def test_an_unknown_split_is_refused(dataset: DatasetDir) -> None:
    with pytest.raises(DataError, match="no split 'val'; it has train, test"):
        dataset.records("val")


def test_verify_finds_nothing_in_a_sound_dataset(dataset: DatasetDir) -> None:
    assert list(directory.verify(dataset)) == [None] * (3 + 6)


@pytest.mark.parametrize("where", ["payload", "length", "CRC of the length"])
def test_verify_names_a_damaged_record_and_goes_on(dataset: DatasetDir, where: str) -> None:
    offset = int(dataset.index.offset[1])
    datasets.flip(dataset.shards[0], offset + {"payload": 500, "length": 1, "CRC of the length": 9}[where])
    found = list(directory.verify(directory.open_dataset(dataset.root)))
    assert [problem is not None for problem in found] == [True, *[False] * 3, True, *[False] * 4]
    assert f"{dataset.shards[0]}: its SHA-256 is not the manifest's" in found[0]
    assert found[4].startswith(f"{dataset.shards[0]} offset {offset}: the record is damaged")
    assert "\n" not in found[4]


def test_a_damaged_record_costs_that_record_alone(dataset: DatasetDir) -> None:
    datasets.flip(dataset.shards[0], int(dataset.index.offset[0]) + 500)
    with pytest.raises(DataError, match=f"{re.escape(str(dataset.shards[0]))} offset 0: the record is damaged"):
        directory.read_record(dataset, 0)
    assert [directory.read_record(dataset, n).id for n in range(1, 6)] == [f"s1/c{n}" for n in range(1, 6)]


def test_verify_compares_the_records_with_the_index(dataset: DatasetDir) -> None:
    texts = dataset.index.text.tolist()
    texts[3] = "xxx"
    lying = dataclasses.replace(dataset, index=dataclasses.replace(dataset.index, text=StringArray.of(texts)))
    found = [problem for problem in directory.verify(lying) if problem]
    assert found == [f"{dataset.shards[1]} offset 0: differs from the index in text"]


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_foreign_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json: not "):
        directory.open_dataset(tmp_path)
