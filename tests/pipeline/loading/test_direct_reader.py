import dataclasses
import errno
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import direct_reader, mixture
from pipeline.loading.direct_reader import Reader
from pipeline.records import directory, storage
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import to_example
from pipeline.schema import CROP, FRAME_BYTES, Clip, DataError
from tests import datasets

SPANS = [(0, None), (3, 7), (0, 1), (5, None)]


def read(source: Reader, record: int, start: int, stop: int) -> np.ndarray:
    out = np.empty([stop - start, CROP, CROP], np.uint8)
    source.read(record, start, stop, out)
    return out


@pytest.mark.parametrize("cache_bytes", [0, 15 * FRAME_BYTES, 10**9])
@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_frames_are_those_of_the_record(tiny: Callable[[str], DatasetDir], encoding: str, cache_bytes: int) -> None:
    dataset = tiny(encoding)
    source = Reader(dataset, cache_bytes)
    for _ in range(2):  # of a raw record only the span, or of memory, the second time
        for record in range(len(dataset.index)):
            frames = directory.read_record(dataset, record).frames
            for start, stop in SPANS:
                stop = stop or len(frames)
                np.testing.assert_array_equal(read(source, record, start, stop), frames[start:stop])


def test_what_is_in_memory_is_not_read_again(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(4)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    source = Reader(dataset, cache_bytes=25 * FRAME_BYTES)  # two clips of 10 frames
    for record in range(4):
        read(source, record, 2, 5)
    dataset.shards[0].unlink()
    for record in (0, 1):
        np.testing.assert_array_equal(read(source, record, 0, 10), clips[record].frames)
    for record in (2, 3):
        with pytest.raises(FileNotFoundError):
            read(source, record, 0, 10)


def test_a_clip_that_cannot_be_read_takes_no_room(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(3)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    datasets.flip(dataset.shards[0], 5000)
    source = Reader(dataset, cache_bytes=20 * FRAME_BYTES)  # two clips
    for _ in range(3):
        with pytest.raises(DataError, match="its CRC does not match"):
            read(source, 0, 0, 10)
    _assert_kept(source, clips, [1, 2])


def test_threads_that_meet_at_a_clip_keep_it_once(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(6)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]}, Encoding("png"))
    source, start = Reader(dataset, cache_bytes=60 * FRAME_BYTES), threading.Barrier(4)

    def all_of_them(_: int) -> None:
        for record in range(6):
            start.wait()
            read(source, record, 0, 10)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(all_of_them, range(4)))
    _assert_kept(source, clips, range(6))


def _assert_kept(source: Reader, clips: list[Clip], records: Iterable[int]) -> None:
    for record in records:
        read(source, record, 0, 1)
    source.dataset.shards[0].unlink()
    for record in records:
        np.testing.assert_array_equal(read(source, record, 0, 10), clips[record].frames)


def damage(path: Path, at: int, *, seen: bool = True) -> None:
    """Turns over a bit; unseen, the file looks as if it had not been written to."""
    before = path.stat()
    datasets.flip(path, at)
    if seen:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    else:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_frames_of_a_sound_raw_record_cost_their_bytes_alone(tmp_path: Path) -> None:
    clips = [datasets.clip("s1/c0", 12, seed=0)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    source, shard, late = Reader(dataset), dataset.shards[0], int(dataset.index.length[0]) - FRAME_BYTES
    read(source, 0, 1, 3)
    damage(shard, late, seen=False)  # in one of the last frames
    np.testing.assert_array_equal(read(source, 0, 1, 3), clips[0].frames[1:3])
    assert (read(source, 0, 0, 12) != clips[0].frames).sum() == 1  # not looked at again: the shard seems untouched
    with pytest.raises(DataError, match="its CRC does not match"):
        read(Reader(dataset), 0, 0, 12)


def test_a_shard_that_was_written_to_is_looked_at_anew(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [[datasets.clip("s1/c0", 12, seed=0)]]})
    source = Reader(dataset)
    read(source, 0, 1, 3)
    damage(dataset.shards[0], int(dataset.index.length[0]) - FRAME_BYTES)
    with pytest.raises(DataError, match="its CRC does not match"):
        read(source, 0, 1, 3)


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_shard_that_is_cut_while_it_is_open_is_refused(tmp_path: Path, encoding: str) -> None:
    clips = [datasets.clip("s1/c0", 12, seed=0)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]}, Encoding(encoding))
    source = Reader(dataset)
    read(source, 0, 8, 12)
    os.truncate(dataset.shards[0], 2000)
    with pytest.raises(DataError, match="offset 0: the record is damaged, the shard ends"):
        read(source, 0, 8, 12)


def test_a_file_is_read_on_where_a_call_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: whole(file, [buffers[0][:7]], at))
    one, two, three = bytearray(10), np.zeros([2, 20], np.uint8), bytearray(0)
    with (tmp_path / "a").open("rb") as file:
        storage.fill(file.fileno(), [one, three, two], 30)
        assert bytes(one) + two.tobytes() == bytes(range(30, 80))
        with pytest.raises(ValueError, match="the shard ends"):
            storage.fill(file.fileno(), [one, two], 60)


def test_a_sector_that_cannot_be_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [[datasets.clip("s1/c0", 12, seed=0)]]})
    whole = os.preadv

    def fails(file: int, buffers: list, at: int) -> int:
        if at:
            raise OSError(errno.EIO, "Input/output error")
        return whole(file, [buffers[0][:7]], at)

    monkeypatch.setattr(os, "preadv", fails)
    with pytest.raises(OSError, match="Input/output error"):
        read(Reader(dataset), 0, 0, 12)


def test_a_mixture_tells_the_reason_that_its_part_has(tmp_path: Path) -> None:
    def part(name: str) -> DatasetDir:
        clip = datasets.clip("s1/c0", 12, seed=0)
        dataset = datasets.write_dataset(tmp_path / name, {"train": [[clip]]})
        example = tf.train.Example.FromString(to_example(clip, Encoding()))
        example.features.feature["a"].bytes_list.value.append(b"before the others")
        return datasets.with_record(dataset, 0, example.SerializeToString(deterministic=True))

    for dataset in (part("x"), mixture.join([part("y"), part("z")])):
        with pytest.raises(DataError, match="offset 0: key frames: not where this program writes it"):
            read(Reader(dataset), 0, 0, 12)


@pytest.mark.parametrize("frames", [5, 9, 10, 75, 130, 1000])
def test_raw_pixels_lie_where_they_are_sought(frames: int) -> None:
    record = to_example(datasets.clip("s1/a", frames, seed=frames), Encoding())
    head, at = direct_reader.raw_head(frames), direct_reader.raw_start(len(record))
    assert record[at : at + len(head)] == head
    pixels = np.frombuffer(record, np.uint8, frames * FRAME_BYTES, at + len(head))
    np.testing.assert_array_equal(pixels.reshape(-1, CROP, CROP), datasets.clip("s1/a", frames, seed=frames).frames)


def test_the_length_of_a_record_is_skipped() -> None:
    for inner in (1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28):
        varint = max(1, -(-inner.bit_length() // 7))
        assert direct_reader.raw_start(1 + varint + inner) == 1 + varint + direct_reader.FPS_BYTES


def test_the_frames_of_another_encoding_are_refused(tiny: Callable[[str], DatasetDir]) -> None:
    raw, png = tiny("raw"), tiny("png")
    other = dataclasses.replace(png, manifest=raw.manifest)
    with pytest.raises(DataError, match="offset 0: key frames: not raw frames"):
        read(Reader(other), 0, 0, 5)
