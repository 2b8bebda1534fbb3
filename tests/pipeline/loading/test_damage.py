"""Damaged datasets, made out of sound ones: what is wrong is named, or left out alone."""

import dataclasses
import gzip
import io
import itertools
import logging
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.loading import checked_plan
from pipeline.loading import dataset as data
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.mixture import join
from pipeline.records import directory, storage, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import to_example
from pipeline.records.storage import Place
from pipeline.schema import CROP, Clip, DataError, Key
from pipeline.vocab import Vocabulary
from tests import datasets, laws
from tests.stores import Store

BAD = 2  # the record that is damaged, the last of the first of two shards
CLIPS = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(6)]
SENTENCE = DataConfig(Vocabulary.of_characters())
WORD = DataConfig(Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]), unit="word", margin=1)
IN_ORDER = PlanConfig(3, shuffle=False)


def write(root: Path, clips: list[Clip] = CLIPS, encoding: str = "raw") -> DatasetDir:
    return datasets.write_dataset(root, {"train": [clips[: BAD + 1], clips[BAD + 1 :]]}, Encoding(encoding))


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetDir:
    return write(tmp_path / "data")


Hold = Callable[[DatasetDir], DatasetDir]


@pytest.fixture(params=["disk", "store"])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    """Opens a dataset directory anew, as it is now, on a disk or in a store."""
    if request.param == "disk":
        return lambda dataset: directory.open_dataset(dataset.root)
    store: Store = request.getfixturevalue("store")
    return lambda dataset: directory.open_dataset(store.put_tree(dataset.root, f"{tmp_path.name}/{dataset.root.name}"))


def location(dataset: DatasetDir, record: int = BAD) -> tuple[Place, int]:
    return dataset.shards[dataset.index.shard[record]], int(dataset.index.offset[record])


def refused(dataset: DatasetDir, reason: str, record: int = BAD) -> None:
    """Reading in order stops with an error that names the record and the reason."""
    path, offset = location(dataset, record)
    with pytest.raises(tf.errors.UnknownError, match=f"DataError: {path} offset {offset}: .*{reason}") as caught:
        laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    problem = str(data.problem(caught.value))
    assert problem.startswith(f"{path} offset {offset}: ")
    assert "\n" not in problem


def skipped(dataset: DatasetDir, sound: list[laws.Batch], reason: str, **where: Any) -> None:
    """Every row but those of the record is as in `sound`; those are empty, and the record is counted once."""
    config, order = where.pop("config", SENTENCE), where.pop("order", IN_ORDER)
    met: set[str] = set()
    got = laws.read(data.load(dataset, "train", config, order, on_bad_record="skip", skipped=met, **where))
    gone = str(dataset.index.id[BAD]).encode()
    for left, whole in zip(got, sound, strict=True):
        lost = np.array([name.partition(b"#")[0] == gone for name in whole["ids"]])
        for key in whole:
            if key not in ("frames", "weights"):
                np.testing.assert_array_equal(left[key], whole[key], err_msg=key)
        np.testing.assert_array_equal(left["frames"], np.where(lost[:, None, None, None], 0, whole["frames"]))
        np.testing.assert_array_equal(left["weights"], np.where(lost, 0, whole["weights"]))
    path, offset = location(dataset)
    assert len(met) == 1
    assert f"{path} offset {offset}: " in min(met)
    assert reason in min(met)


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
    sound = laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    spoil, reason = FLIPS[name]
    spoil(*location(dataset))
    dataset = hold(dataset)
    refused(dataset, reason)
    skipped(dataset, sound, "the record is damaged, its ")
    problems = [problem for problem in directory.verify(dataset) if problem]
    assert len(problems) == 2  # the shard's SHA-256 and the record
    assert problems[1].startswith("{} offset {}: ".format(*location(dataset)))


@pytest.mark.parametrize(
    ("config", "order"),
    [
        (SENTENCE, PlanConfig(4, seed=5, remainder="pad")),
        (SENTENCE, PlanConfig(4, seed=5, max_windows_per_batch=30)),
        (SENTENCE, PlanConfig(1, seed=1)),
        (WORD, PlanConfig(4, seed=2, remainder="pad", worker=1, workers=2)),
    ],
    ids=["padded", "budget", "one a batch", "words of a worker"],
)
def test_what_is_left_is_what_it_would_have_been(
    dataset: DatasetDir, hold: Hold, config: DataConfig, order: PlanConfig
) -> None:
    sound = laws.read(data.load(dataset, "train", config, order, epochs=2))
    datasets.flip(location(dataset)[0], location(dataset)[1] + 5000)
    dataset = hold(dataset)
    skipped(dataset, sound, "CRC", config=config, order=order, epochs=2)
    skipped(dataset, sound[2:], "CRC", config=config, order=order, epochs=2, step=2)


def test_a_skipped_record_is_logged_once(dataset: DatasetDir, caplog: pytest.LogCaptureFixture) -> None:
    datasets.flip(location(dataset)[0], location(dataset)[1] + 5000)
    with caplog.at_level(logging.WARNING):
        laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER, epochs=3, on_bad_record="skip"))
    assert [record.getMessage() for record in caplog.records] == [
        "skipped: {} offset {}: the record is damaged, its CRC does not match".format(*location(dataset))
    ]


def test_a_mixture_names_the_shard_of_its_part(tmp_path: Path, dataset: DatasetDir, hold: Hold) -> None:
    other = write(tmp_path / "other", [datasets.clip(f"s2/d{n}", 9 + n, seed=n) for n in range(6)])
    datasets.flip(location(other)[0], location(other)[1] + 5000)
    mixed = join([dataset, hold(other)])
    assert len(laws.read(data.load(join([dataset]), "train", SENTENCE, IN_ORDER))) == 2
    refused(mixed, "its CRC does not match", record=6 + BAD)


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
    refused(dataset, "gzip-compressed", record=0)
    met: set[str] = set()
    got = laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER, on_bad_record="skip", skipped=met))
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
    dataset = write(tmp_path / "data", encoding=encoding)
    other = write(tmp_path / "other", [datasets.clip(f"s2/c{n}", 10 + n, seed=n) for n in range(6)], encoding)
    for source, target in zip(other.shards, dataset.shards, strict=True):
        shutil.copy(source, target)
    first, second = (f"{path.name} is of another conversion" for path in dataset.shards)
    with pytest.raises(DataError, match=f"data: {first}; {second}; restore the files or convert again"):
        hold(dataset)


def test_a_shard_of_the_same_clips_with_other_pixels_is_named_at_the_start(
    tmp_path: Path, dataset: DatasetDir, hold: Hold
) -> None:
    other = write(tmp_path / "other", [dataclasses.replace(clip, frames=255 - clip.frames) for clip in CLIPS])
    assert [path.stat().st_size for path in other.shards] == [path.stat().st_size for path in dataset.shards]
    shutil.copy(other.shards[1], dataset.shards[1])
    with pytest.raises(DataError, match=f"data: {dataset.shards[1].name} is of another conversion; restore"):
        hold(dataset)


@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_without_the_manifests_word_another_shard_is_told_by_its_clips(
    tmp_path: Path, hold: Hold, encoding: str
) -> None:
    dataset = write(tmp_path / "data", encoding=encoding)
    other = write(tmp_path / "other", [datasets.clip(f"s2/c{n}", 10 + n, seed=n) for n in range(6)], encoding)
    shutil.copy(other.shards[0], dataset.shards[0])
    for shard in dataset.manifest["splits"]["train"]["shards"]:
        del shard["last_crc"]
    storage.write_json(dataset.root / directory.MANIFEST, dataset.manifest)
    refused(hold(dataset), "differs from the index in id, speaker", record=0)


@pytest.mark.parametrize("left", [1000, 0])
def test_a_shard_that_was_cut_is_named_at_the_start(dataset: DatasetDir, hold: Hold, left: int) -> None:
    os.truncate(dataset.shards[0], left)
    with pytest.raises(DataError, match=f"{dataset.shards[0].name} has {left} bytes, the manifest says"):
        hold(dataset)


@pytest.mark.parametrize(("encoding", "reader"), [("raw", "graph"), ("raw", "direct"), ("jpeg", "graph")])
@pytest.mark.parametrize("left", [1000, 0])
def test_records_of_a_shard_that_was_cut_are_skipped(tmp_path: Path, encoding: str, reader: str, left: int) -> None:
    dataset = write(tmp_path / "data", encoding=encoding)
    sound = laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    os.truncate(dataset.shards[0], left)
    stream = dataset, "train", SENTENCE, IN_ORDER, AugmentConfig(brightness=50, contrast=0.5)
    met: set[str] = set()
    got = laws.read(data.load(*stream, on_bad_record="skip", skipped=met, reader=reader))
    assert [batch["weights"].tolist() for batch in got] == [[0, 0, 0], [1, 1, 1]]
    assert not got[0]["frames"].any()
    assert got[0]["frames"].shape == sound[0]["frames"].shape
    assert len(met) == 3


@pytest.mark.parametrize("on_bad_record", checked_plan.ON_BAD_RECORD)
def test_a_shard_that_goes_while_it_is_read_is_never_skipped(dataset: DatasetDir, on_bad_record: str) -> None:
    batches = iter(data.load(dataset, "train", SENTENCE, PlanConfig(1), epochs=None, on_bad_record=on_bad_record))
    next(batches)
    dataset.shards[0].unlink()
    with pytest.raises(tf.errors.OpError, match=f"No such file or directory: '{dataset.shards[0]}'"):
        list(itertools.islice(batches, 100))


def test_leftovers_are_not_read(dataset: DatasetDir, hold: Hold) -> None:
    want = laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    for name in (
        f".{dataset.shards[0].name}.99.tmp",
        ".progress/tiny-train.json",
        "tiny-train.tfrecord-00002-of-00003",
    ):
        (dataset.root / name).parent.mkdir(exist_ok=True)
        (dataset.root / name).write_bytes(b"leftover")
    laws.same(laws.read(data.load(hold(dataset), "train", SENTENCE, IN_ORDER)), want)


def changed(clip: Clip, encoding: Encoding, **changes: Any) -> bytes:
    """A clip's record with other features; None takes one away. As many bytes as frames need stay in it."""
    example = tf.train.Example.FromString(to_example(clip, encoding))
    for name, value in changes.items():
        key = str(Key[name])
        del example.features.feature[key]
        if value is not None:
            example.features.feature[key].MergeFrom(value)
    padding = bytes(len(clip.frames) * CROP * CROP)
    example.features.feature["padding"].bytes_list.value.append(padding)
    return example.SerializeToString(deterministic=True)


def numbers(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def texts(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


RAW: dict[str, tuple[Callable[[Clip], bytes], str]] = {
    "no Example": (lambda clip: b"no example" * 20_000, "not a tf.train.Example"),
    "no id": (lambda clip: changed(clip, Encoding(), ID=None), "key id: want one value, got 0"),
    "no frames": (
        lambda clip: changed(clip, Encoding(), FRAMES=None),
        "key frames: want 12 frames, as frame_count says, got 0",
    ),
    "another type": (lambda clip: changed(clip, Encoding(), FRAME_COUNT=texts(b"12")), "key frame_count: want a int64"),
    "a frame less": (
        lambda clip: changed(clip, Encoding(), FRAMES=texts(clip.frames[1:].tobytes())),
        "key frames: want 12 frames, as frame_count says, got 11",
    ),
    "a byte less": (
        lambda clip: changed(clip, Encoding(), FRAMES=texts(clip.frames.tobytes()[1:])),
        "key frames: not raw",
    ),
    "absurd count": (
        lambda clip: changed(clip, Encoding(), FRAME_COUNT=numbers(2**60)),
        "key frames: want 1152921504606846976 frames, as frame_count says, got 12",
    ),
    "another text": (lambda clip: changed(clip, Encoding(), TEXT=texts(b"at")), "differs from the index in text"),
    "not UTF-8": (lambda clip: changed(clip, Encoding(), TEXT=texts(b"\xff")), "key text: not UTF-8"),
}


@pytest.mark.parametrize("name", RAW)
def test_a_malformed_record_with_a_right_crc_is_named(dataset: DatasetDir, hold: Hold, name: str) -> None:
    sound = laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    make, reason = RAW[name]
    dataset = hold(datasets.with_record(dataset, BAD, make(CLIPS[BAD])))
    refused(dataset, reason)
    skipped(dataset, sound, reason)


def image(kind: str, size: tuple[int, int] = (CROP, CROP), mode: str = "L", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    frames = [Image.new("L", (CROP, CROP), shade) for shade in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def resized(value: bytes, at: int, form: str) -> bytes:
    """An image whose header says 20000x20000."""
    return value[:at] + struct.pack(form, 20_000, 20_000) + value[at + struct.calcsize(form) :]


IMAGES: dict[str, tuple[str, bytes, str]] = {
    "png, said to be vast": ("png", resized(image("png"), 16, ">II"), "key frames: not png frames of 112x112"),
    "png, vast": ("png", image("png", (20_000, 20_000), "1"), "key frames: not png frames of 112x112"),
    "png, truncated": ("png", image("png")[:-30], "key frames: not png"),
    "png, wide": ("png", image("png", (113, CROP)), "an image of 113x112, mode L"),
    "png, colour": ("png", image("png", mode="RGB"), "mode RGB"),
    "png, 16 bits": ("png", image("png", mode="I;16"), "mode I;16"),
    "png, animated": ("png", animated("png"), "an animation of 3 frames"),
    "gif for png": ("png", image("gif"), "cannot identify image as png"),
    "jpeg for png": ("png", image("jpeg"), "cannot identify image as png"),
    "jpeg, said to be vast": ("jpeg", resized(image("jpeg"), 94, ">HH"), "key frames: not jpeg frames of 112x112"),
    "jpeg, truncated": ("jpeg", image("jpeg")[:200], "key frames: not jpeg"),
    "jpeg, CMYK": ("jpeg", image("jpeg", mode="CMYK"), "mode CMYK"),
    "jpeg, several in one (MPO)": ("jpeg", animated("mpo"), "an animation of 3 frames"),
    "png for jpeg": ("jpeg", image("png"), "cannot identify image as jpeg"),
    "nothing": ("jpeg", b"", "cannot identify image as jpeg"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_picture_of_another_kind_is_refused_before_it_is_decoded(tmp_path: Path, hold: Hold, name: str) -> None:
    encoding, value, reason = IMAGES[name]
    sound = write(tmp_path / "data", encoding=encoding)
    want = laws.read(data.load(sound, "train", SENTENCE, IN_ORDER))
    values = [*Encoding(encoding).encode(CLIPS[BAD].frames)[:-1], value]
    dataset = hold(datasets.with_record(sound, BAD, changed(CLIPS[BAD], Encoding(encoding), FRAMES=texts(*values))))
    refused(dataset, reason)
    skipped(dataset, want, reason)


def test_a_picture_less_is_refused(tmp_path: Path) -> None:
    values = Encoding("png").encode(CLIPS[BAD].frames[:-1])
    dataset = datasets.with_record(
        write(tmp_path / "data", encoding="png"), BAD, changed(CLIPS[BAD], Encoding("png"), FRAMES=texts(*values))
    )
    refused(dataset, "key frames: want 12 frames, as frame_count says, got 11")


def test_images_that_are_not_full_are_refused(tmp_path: Path) -> None:
    values = [each for frames in np.split(CLIPS[BAD].frames, 2) for each in Encoding("jpeg").encode(frames)]
    dataset = datasets.with_record(
        write(tmp_path / "data", encoding="jpeg"), BAD, changed(CLIPS[BAD], Encoding("jpeg"), FRAMES=texts(*values))
    )
    refused(dataset, r"want images of 584 frames and a last one, got \[6, 6\]")


def test_another_policy_is_refused(dataset: DatasetDir) -> None:
    with pytest.raises(ValueError, match="on_bad_record: want raise or skip, got 'ignore'"):
        data.load(dataset, "train", SENTENCE, IN_ORDER, on_bad_record="ignore")
