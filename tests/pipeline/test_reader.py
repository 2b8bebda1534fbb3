import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import reader, shards
from pipeline.reader import Reader
from pipeline.schema import CROP, FRAME_BYTES, DataError, Encoding, to_example
from pipeline.shards import DatasetDir
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
            frames = shards.read_record(dataset, record).frames
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


def test_a_span_of_a_sound_raw_record_costs_its_bytes_alone(tmp_path: Path) -> None:
    clips = [datasets.clip("s1/c0", 12, seed=0)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    source = Reader(dataset)
    datasets.flip(dataset.shards[0], int(dataset.index.length[0]) - FRAME_BYTES)  # in one of the last frames
    with pytest.raises(DataError, match="its CRC does not match"):
        read(source, 0, 1, 3)
    datasets.flip(dataset.shards[0], int(dataset.index.length[0]) - FRAME_BYTES)
    read(source, 0, 1, 3)
    datasets.flip(dataset.shards[0], int(dataset.index.length[0]) - FRAME_BYTES)
    np.testing.assert_array_equal(read(source, 0, 1, 3), clips[0].frames[1:3])
    with pytest.raises(DataError, match="its CRC does not match"):  # whole, it is looked at again
        read(source, 0, 0, 12)


@pytest.mark.parametrize("frames", [5, 9, 10, 75, 130, 1000])
def test_raw_pixels_lie_where_they_are_sought(frames: int) -> None:
    record = to_example(datasets.clip("s1/a", frames, seed=frames), Encoding())
    head, at = reader.raw_head(frames), reader.raw_start(len(record))
    assert record[at : at + len(head)] == head
    pixels = np.frombuffer(record, np.uint8, frames * FRAME_BYTES, at + len(head))
    np.testing.assert_array_equal(pixels.reshape(-1, CROP, CROP), datasets.clip("s1/a", frames, seed=frames).frames)


def test_the_length_of_a_record_is_skipped() -> None:
    for inner in (1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28):
        varint = max(1, -(-inner.bit_length() // 7))
        assert reader.raw_start(1 + varint + inner) == 1 + varint + reader.FPS_BYTES


def test_the_frames_of_another_encoding_are_refused(tiny: Callable[[str], DatasetDir]) -> None:
    raw, png = tiny("raw"), tiny("png")
    other = dataclasses.replace(png, manifest=raw.manifest)
    with pytest.raises(DataError, match="offset 0: key frames: not raw frames"):
        read(Reader(other), 0, 0, 5)
