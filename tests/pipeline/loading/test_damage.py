"""Damaged datasets, made out of sound ones: what is wrong is named, or left out alone."""

import dataclasses
import gzip
import itertools
import logging
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.loading import checked_plan
from pipeline.loading import dataset as data
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.mixture import join
from pipeline.records import directory, storage, tfrecord
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from tests import datasets, laws
from tests.pipeline.loading import damaged
from tests.pipeline.loading.conftest import Hold

WORD = DataConfig(Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]), unit="word", margin=1)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetDir:
    return damaged.write(tmp_path / "data")


def crc(data: bytes) -> bytes:
    """The masked CRC-32C that a TFRecord carries, four bytes."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def forge(path: Path, at: int) -> None:
    length = struct.pack("<Q", 2**40)
    overwrite(path, at, length + crc(length))


FLIPS: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "payload": (lambda path, at: datasets.flip(path, at + 5000, 3), "its CRC does not match"),
    "CRC of the payload": (lambda path, at: datasets.flip(path, path.stat().st_size - 1), "its CRC does not match"),
    "length": (lambda path, at: datasets.flip(path, at + 1), r"its header says 150,\d+ bytes, the index 150,\d+"),
    "CRC of the length": (lambda path, at: datasets.flip(path, at + 9), "its CRC does not match"),
    "forged length": (forge, "its header says 1,099,511,627,776 bytes"),
    "zeros": (lambda path, at: overwrite(path, at, bytes(4096)), "its header says 0 bytes"),
}


def test_the_crc_is_that_of_tensorflow(dataset: DatasetDir) -> None:
    header = dataset.shards[0].read_bytes()[:12]
    assert crc(header[:8]) == header[8:]


@pytest.mark.parametrize("name", FLIPS)
def test_damaged_bytes_cost_their_record_alone(dataset: DatasetDir, hold: Hold, name: str) -> None:
    sound = laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER))
    spoil, reason = FLIPS[name]
    spoil(*damaged.location(dataset))
    dataset = hold(dataset)
    damaged.refused(dataset, reason)
    damaged.skipped(dataset, sound, "the record is damaged, its ")
    problems = [problem for problem in directory.verify(dataset) if problem]
    assert len(problems) == 2  # the shard's SHA-256 and the record
    assert problems[1].startswith("{} offset {}: ".format(*damaged.location(dataset)))


@pytest.mark.parametrize(
    ("config", "order"),
    [
        (damaged.SENTENCE, PlanConfig(4, seed=5, remainder="pad")),
        (damaged.SENTENCE, PlanConfig(4, seed=5, max_windows_per_batch=30)),
        (damaged.SENTENCE, PlanConfig(1, seed=1)),
        (WORD, PlanConfig(4, seed=2, remainder="pad", worker=1, workers=2)),
    ],
    ids=["padded", "budget", "one a batch", "words of a worker"],
)
def test_what_is_left_is_what_it_would_have_been(
    dataset: DatasetDir, hold: Hold, config: DataConfig, order: PlanConfig
) -> None:
    sound = laws.read(data.load(dataset, "train", config, order, epochs=2))
    datasets.flip(damaged.location(dataset)[0], damaged.location(dataset)[1] + 5000)
    dataset = hold(dataset)
    damaged.skipped(dataset, sound, "CRC", config=config, order=order, epochs=2)
    damaged.skipped(dataset, sound[2:], "CRC", config=config, order=order, epochs=2, step=2)


def test_a_skipped_record_is_logged_once(dataset: DatasetDir, caplog: pytest.LogCaptureFixture) -> None:
    datasets.flip(damaged.location(dataset)[0], damaged.location(dataset)[1] + 5000)
    with caplog.at_level(logging.WARNING):
        laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER, epochs=3, on_bad_record="skip"))
    assert [record.getMessage() for record in caplog.records] == [
        "skipped: {} offset {}: the record is damaged, its CRC does not match".format(*damaged.location(dataset))
    ]


def test_a_mixture_names_the_shard_of_its_part(tmp_path: Path, dataset: DatasetDir, hold: Hold) -> None:
    other = damaged.write(tmp_path / "other", [datasets.clip(f"s2/d{n}", 9 + n, seed=n) for n in range(6)])
    datasets.flip(damaged.location(other)[0], damaged.location(other)[1] + 5000)
    mixed = join([dataset, hold(other)])
    assert len(laws.read(data.load(join([dataset]), "train", damaged.SENTENCE, damaged.IN_ORDER))) == 2
    damaged.refused(mixed, "its CRC does not match", record=6 + damaged.BAD)


GZIPPED: dict[str, Callable[[bytes], bytes]] = {
    "whole": gzip.compress,
    "truncated": lambda shard: gzip.compress(shard, 1)[:-100],
    "bomb": lambda shard: gzip.compress(bytes(1 << 26), 1),  # 64 MB in 0.3
}


@pytest.mark.parametrize("name", GZIPPED)
def test_a_gzipped_shard_of_the_same_size_is_no_shard(dataset: DatasetDir, hold: Hold, name: str) -> None:
    path = dataset.shards[0]
    sound = path.read_bytes()
    path.write_bytes(GZIPPED[name](sound).ljust(len(sound), b"\0"))
    dataset = hold(dataset)
    tracemalloc.start()
    damaged.refused(dataset, "gzip-compressed", record=0)
    met: set[str] = set()
    got = laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER, on_bad_record="skip", skipped=met))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [batch["weights"].tolist() for batch in got] == [[0, 0, 0], [1, 1, 1]]
    assert len(met) == 3
    assert most < 16e6  # nothing is unpacked


@pytest.mark.parametrize("name", GZIPPED)
def test_a_gzipped_shard_of_another_size_is_named_at_the_start(dataset: DatasetDir, hold: Hold, name: str) -> None:
    path = dataset.shards[0]
    path.write_bytes(GZIPPED[name](path.read_bytes()))
    with pytest.raises(DataError, match=f"{path.name} is gzip-compressed; .* --encoding=png"):
        hold(dataset)


def test_a_record_whose_length_looks_like_gzip_is_sound(tmp_path: Path) -> None:
    path, length = tmp_path / "a.tfrecord", int.from_bytes(tfrecord.GZIP_MAGIC, "little")
    with tfrecord.ShardWriter(path) as writer:
        writer.write(bytes(length))
    assert gzip.compress(b"").startswith(path.read_bytes()[:3])
    assert tfrecord.payload(path, 0, length) == bytes(length)


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_shards_of_another_conversion_are_all_named_at_the_start(tmp_path: Path, hold: Hold, encoding: str) -> None:
    dataset = damaged.write(tmp_path / "data", encoding=encoding)
    other = damaged.write(tmp_path / "other", [datasets.clip(f"s2/c{n}", 10 + n, seed=n) for n in range(6)], encoding)
    for source, target in zip(other.shards, dataset.shards, strict=True):
        shutil.copy(source, target)
    first, second = (f"{path.name} is of another conversion" for path in dataset.shards)
    with pytest.raises(DataError, match=f"data: {first}; {second}; restore the files or convert again"):
        hold(dataset)


def test_a_shard_of_the_same_clips_with_other_pixels_is_named_at_the_start(
    tmp_path: Path, dataset: DatasetDir, hold: Hold
) -> None:
    other = damaged.write(
        tmp_path / "other", [dataclasses.replace(clip, frames=255 - clip.frames) for clip in damaged.CLIPS]
    )
    assert [path.stat().st_size for path in other.shards] == [path.stat().st_size for path in dataset.shards]
    shutil.copy(other.shards[1], dataset.shards[1])
    with pytest.raises(DataError, match=f"data: {dataset.shards[1].name} is of another conversion; restore"):
        hold(dataset)


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_without_the_manifests_word_another_shard_is_told_by_its_clips(
    tmp_path: Path, hold: Hold, encoding: str
) -> None:
    dataset = damaged.write(tmp_path / "data", encoding=encoding)
    other = damaged.write(tmp_path / "other", [datasets.clip(f"s2/c{n}", 10 + n, seed=n) for n in range(6)], encoding)
    shutil.copy(other.shards[0], dataset.shards[0])
    for shard in dataset.manifest["splits"]["train"]["shards"]:
        del shard["last_crc"]
    storage.write_json(dataset.root / directory.MANIFEST, dataset.manifest)
    damaged.refused(hold(dataset), "differs from the index in id, speaker", record=0)


@pytest.mark.parametrize("left", [1000, 0])
def test_a_shard_that_was_cut_is_named_at_the_start(dataset: DatasetDir, hold: Hold, left: int) -> None:
    os.truncate(dataset.shards[0], left)
    with pytest.raises(DataError, match=f"{dataset.shards[0].name} has {left} bytes, the manifest says"):
        hold(dataset)


@pytest.mark.parametrize(("encoding", "reader"), [("raw", "graph"), ("raw", "direct"), ("jpeg", "graph")])
@pytest.mark.parametrize("left", [1000, 0])
def test_records_of_a_shard_that_was_cut_are_skipped(tmp_path: Path, encoding: str, reader: str, left: int) -> None:
    dataset = damaged.write(tmp_path / "data", encoding=encoding)
    sound = laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER))
    os.truncate(dataset.shards[0], left)
    stream = dataset, "train", damaged.SENTENCE, damaged.IN_ORDER, AugmentConfig(brightness=50, contrast=0.5)
    met: set[str] = set()
    got = laws.read(data.load(*stream, on_bad_record="skip", skipped=met, reader=reader))
    assert [batch["weights"].tolist() for batch in got] == [[0, 0, 0], [1, 1, 1]]
    assert not got[0]["frames"].any()
    assert got[0]["frames"].shape == sound[0]["frames"].shape
    assert len(met) == 3


@pytest.mark.parametrize("on_bad_record", checked_plan.ON_BAD_RECORD)
def test_a_shard_that_goes_while_it_is_read_is_never_skipped(dataset: DatasetDir, on_bad_record: str) -> None:
    batches = iter(
        data.load(dataset, "train", damaged.SENTENCE, PlanConfig(1), epochs=None, on_bad_record=on_bad_record)
    )
    next(batches)
    dataset.shards[0].unlink()
    with pytest.raises(tf.errors.OpError, match=f"No such file or directory: '{dataset.shards[0]}'"):
        list(itertools.islice(batches, 100))


def test_leftovers_are_not_read(dataset: DatasetDir, hold: Hold) -> None:
    want = laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER))
    for name in (
        f".{dataset.shards[0].name}.99.tmp",
        ".progress/tiny-train.json",
        "tiny-train.tfrecord-00002-of-00003",
    ):
        (dataset.root / name).parent.mkdir(exist_ok=True)
        (dataset.root / name).write_bytes(b"leftover")
    laws.same(laws.read(data.load(hold(dataset), "train", damaged.SENTENCE, damaged.IN_ORDER)), want)


def test_another_policy_is_refused(dataset: DatasetDir) -> None:
    with pytest.raises(ValueError, match="on_bad_record: want raise or skip, got 'ignore'"):
        data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER, on_bad_record="ignore")
