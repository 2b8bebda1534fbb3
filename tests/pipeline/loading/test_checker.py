import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import checker, mixture
from pipeline.loading.checker import Checker
from pipeline.records import directory
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import to_example
from pipeline.schema import FRAME_BYTES
from tests import datasets

CRC = "its CRC does not match"


def written(root: Path, encoding: str = "raw", clips: int = 1) -> DatasetDir:
    own = [datasets.clip(f"s1/c{n}", 12, seed=n) for n in range(clips)]
    return datasets.write_dataset(root, {"train": [own]}, Encoding(encoding))


def problems(source: Checker, *records: int) -> dict[int, str]:
    return source.problems(np.array(records or [0]))


def damage(path: Path, at: int, *, seen: bool = True) -> None:
    """Turns over a bit; unseen, the file looks as if it had not been written to."""
    before = path.stat()
    datasets.flip(path, at)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000 * seen))


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_sound_records_have_no_problem(tiny: Callable[[str], DatasetDir], encoding: str) -> None:
    dataset = tiny(encoding)
    assert problems(Checker(dataset), *range(len(dataset.index))) == {}


def test_a_record_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, opened = Checker(written(tmp_path / "data", clips=3)), []
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: opened.append(at) or whole(file, buffers, at))
    for _ in range(3):
        assert problems(source, 1, 2, 1) == {}
    assert len(opened) == 2
    assert problems(source, 0, 1) == {}
    assert len(opened) == 3


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_damaged_record_is_named_each_time_and_the_others_are_sound(tmp_path: Path, encoding: str) -> None:
    dataset = written(tmp_path / "data", encoding, clips=3)
    source, offset = Checker(dataset), int(dataset.index.offset[1])
    datasets.flip(dataset.shards[0], offset + 300)
    for _ in range(2):
        assert problems(source, 0, 1, 2) == {1: f"{dataset.shards[0]} offset {offset}: the record is damaged, {CRC}"}


def test_a_shard_that_was_written_to_is_looked_at_anew(tmp_path: Path) -> None:
    dataset = written(tmp_path / "data")
    source, late = Checker(dataset), int(dataset.index.length[0]) - FRAME_BYTES
    assert problems(source) == {}
    damage(dataset.shards[0], late, seen=False)
    assert problems(source) == {}  # the shard seems untouched
    damage(dataset.shards[0], late + 1)
    assert CRC in problems(source)[0]


def test_streams_of_a_dataset_share_what_is_known(tmp_path: Path) -> None:
    dataset = written(tmp_path / "data")
    assert checker.of(dataset) is checker.of(dataset)
    assert checker.of(dataset) is not checker.of(directory.open_dataset(dataset.root))


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_shard_that_is_cut_is_named(tmp_path: Path, encoding: str) -> None:
    dataset = written(tmp_path / "data", encoding)
    source = Checker(dataset)
    assert problems(source) == {}
    os.truncate(dataset.shards[0], 2000 if encoding == "raw" else 500)
    assert "offset 0: the record is damaged, the shard ends" in problems(source)[0]


def test_a_sector_that_cannot_be_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, whole = Checker(written(tmp_path / "data")), os.preadv

    def fails(file: int, buffers: list, at: int) -> int:
        if at:
            raise OSError(errno.EIO, "Input/output error")
        return whole(file, [buffers[0][:7]], at)

    monkeypatch.setattr(os, "preadv", fails)
    with pytest.raises(OSError, match="Input/output error"):
        problems(source)


def reordered(record: bytes) -> bytes:
    """The same record with its keys written the other way round, and one more between them."""
    example = tf.train.Example.FromString(record)
    entries = [
        tf.train.Features(feature={key: example.features.feature[key]}).SerializeToString()
        for key in sorted(example.features.feature, reverse=True)
    ]
    more = tf.train.Features(feature={"a": tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))})
    body = more.SerializeToString().join(entries)
    varint, left = b"", len(body)
    while left >= 128:
        varint, left = varint + bytes([left & 127 | 128]), left >> 7
    return b"\n" + varint + bytes([left]) + body


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_keys_in_another_order_are_read_all_the_same(tmp_path: Path, encoding: str) -> None:
    clip = datasets.clip("s1/c0", 12, seed=0)
    record = to_example(clip, Encoding(encoding))
    assert tf.train.Example.FromString(reordered(record)) != tf.train.Example.FromString(b"")
    dataset = datasets.with_record(written(tmp_path / "data", encoding), 0, reordered(record))
    assert problems(Checker(dataset)) == {}
    assert int(dataset.index.pixels[0]) != record.find(clip.frames.tobytes()[:64])


def test_a_record_that_is_not_where_the_index_says_is_named(tmp_path: Path) -> None:
    dataset = written(tmp_path / "data")
    moved = dataclasses.replace(dataset, index=dataclasses.replace(dataset.index, pixels=dataset.index.pixels - 1))
    assert problems(Checker(moved)) == {0: f"{dataset.shards[0]} offset 0: differs from the index in pixels"}


def test_a_mixture_names_the_reason_that_its_part_has(tmp_path: Path) -> None:
    parts = [written(tmp_path / name) for name in "xyz"]
    for dataset in parts:
        record = tf.train.Example.FromString(directory.record_bytes(dataset, 0))
        record.features.feature["id"].bytes_list.value[:] = [b"s9/other"]
        datasets.with_record(dataset, 0, record.SerializeToString(deterministic=True))
    x, *others = (directory.open_dataset(dataset.root) for dataset in parts)
    for dataset in (x, mixture.join(others)):
        index = dataclasses.replace(dataset.index, offset=dataset.index.offset, length=dataset.index.length)
        assert "differs from the index in id" in problems(Checker(dataclasses.replace(dataset, index=index)))[0]


def test_the_frames_of_another_encoding_are_refused(tiny: Callable[[str], DatasetDir]) -> None:
    other = dataclasses.replace(tiny("png"), manifest=tiny("raw").manifest)
    assert "offset 0: key frames: not raw frames" in problems(Checker(other))[0]
