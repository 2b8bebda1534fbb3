"""Mutated records against what reads them: a clip or a named error, nothing else.

python -m tests.fuzz.records 1000000
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import io
import os
import random
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads

import crc32c
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image
from tqdm import tqdm

from pipeline.loading import graph_reader
from pipeline.loading.checker import Checker
from pipeline.records import directory
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.example import to_example
from pipeline.schema import CROP, FRAME_BYTES, DataError, Key
from tests import datasets

CLIP = datasets.clip("s1/bbaf2n", 3, [("bin", 0, 2), ("at", 2, 3)], seed=1)
NUMBERS = (0, 1, -1, 2, 3, 4, 112, 2**31, 2**32, 2**60, 2**63 - 1, -(2**63))
Program = Sequence[tuple[str, int]]  # mutations by name, each with the seed of its draws


def flip(record: bytes, draw: random.Random) -> bytes:
    data = bytearray(record)
    for _ in range(draw.choice((1, 1, 2, 8)) if data else 0):
        data[_place(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(data)


def overwrite(record: bytes, draw: random.Random) -> bytes:
    data = bytearray(record)
    at = _place(data, draw)
    data[at : at + draw.choice((1, 4, 10))] = draw.randbytes(draw.choice((1, 4, 10)))
    return bytes(data)


def lengthen(record: bytes, draw: random.Random) -> bytes:
    """A byte becomes a varint of up to 2^64."""
    at = _place(record, draw)
    number = [0x80 | draw.randrange(128) for _ in range(draw.randrange(10))]
    return record[:at] + bytes([*number, draw.randrange(128)]) + record[at + 1 :]


def cut(record: bytes, draw: random.Random) -> bytes:
    first, last = sorted((_place(record, draw), draw.randrange(len(record) + 1)))
    return draw.choice((record[:first], record[last:], record[:first] + record[last:]))


def repeat(record: bytes, draw: random.Random) -> bytes:
    at = _place(record, draw)
    return draw.choice((record + record, record[:at] + record[at // 2 :], record + record[at:]))


def _place(record: Sequence[int], draw: random.Random) -> int:
    """Mostly where there is more than pixels: at either end."""
    reach = max(1, min(draw.choice((64, 600, len(record))), len(record)))
    near = draw.randrange(reach)
    return near if draw.random() < 0.5 else max(0, len(record) - 1 - near)


def _on_features(change: Callable[[dict, random.Random], None]) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of a record's features, where it still has any."""

    def apply(record: bytes, draw: random.Random) -> bytes:
        example = tf.train.Example()
        try:
            example.ParseFromString(record)
        except DecodeError:
            return record
        if example.features.feature:
            change(example.features.feature, draw)
        return example.SerializeToString()

    return apply


def drop(features: dict[str, tf.train.Feature], draw: random.Random) -> None:
    del features[draw.choice(sorted(features))]


def retype(features: dict[str, tf.train.Feature], draw: random.Random) -> None:
    feature = features[draw.choice(sorted(features))]
    kind, value = draw.choice((("int64_list", 1), ("float_list", 0.5), ("bytes_list", b"a")))
    feature.Clear()
    getattr(feature, kind).value.extend([value] * draw.choice((0, 1, 2, 3)))


def revalue(features: dict[str, tf.train.Feature], draw: random.Random) -> None:
    feature = features[draw.choice(sorted(features))]
    kind = feature.WhichOneof("kind")
    if kind is None:
        return
    values = getattr(feature, kind).value
    odd = {
        "int64_list": NUMBERS,
        "float_list": (0.0, -1.0, float("nan"), float("inf")),
        "bytes_list": (b"", b"\xff", b"\0", "\U0001f600".encode(), b"at", b"x" * 5000),
    }
    change = draw.choice(("set", "append", "remove", "double"))
    if change == "append" or not values:
        values.append(draw.choice(odd[kind]))
    elif change == "set":
        values[draw.randrange(len(values))] = draw.choice(odd[kind])
    elif change == "remove":
        del values[draw.randrange(len(values))]
    else:
        values.extend(list(values))


def picture(features: dict[str, tf.train.Feature], draw: random.Random) -> None:
    """One value of the frames becomes another kind of picture, or a damaged one."""
    values = features[str(Key.FRAMES)].bytes_list.value
    if not values:
        return
    at = draw.randrange(len(values))
    values[at] = draw.choice((*pictures(), flip(values[at], draw), cut(values[at], draw), repeat(values[at], draw)))


@functools.cache
def pictures() -> tuple[bytes, ...]:
    """Pictures that are not gray, not 112x112, not still, not jpeg or png, or say that they are vast."""

    def image(kind: str, mode: str = "L", size: tuple[int, int] = (CROP, CROP), **options: object) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, kind, **options)
        return buffer.getvalue()

    def resized(value: bytes, at: int, form: str, *size: int) -> bytes:
        return value[:at] + struct.pack(form, *size) + value[at + struct.calcsize(form) :]

    other = [Image.new("L", (CROP, CROP), 9)]
    vast = [resized(image("png"), 16, ">II", n, n) for n in (0, 113, 20_000, 2**31)]
    vast += [resized(image("jpeg"), 94, ">HH", n, n) for n in (0, 113, 20_000, 65_535)]
    return (
        *vast,
        *(image("png", mode) for mode in ("L", "1", "P", "RGB", "RGBA", "LA", "I;16")),
        *(image("jpeg", mode) for mode in ("L", "RGB", "CMYK")),
        *(image(kind) for kind in ("gif", "bmp", "tiff", "ppm", "webp")),
        image("jpeg", progressive=True),
        image("png", size=(1, 1)),
        image("png", save_all=True, append_images=other),
        image("gif", save_all=True, append_images=other),
        bytes(CROP * CROP),
    )


BYTES = {function.__name__: function for function in (flip, overwrite, lengthen, cut, repeat)}
FEATURES = {function.__name__: _on_features(function) for function in (drop, retype, revalue, picture)}
MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {**BYTES, **FEATURES}


def mutate(record: bytes, program: Program) -> bytes:
    for name, seed in program:
        record = MUTATIONS[name](record, random.Random(seed))
    return record


@functools.cache
def sound(encoding: Encoding) -> bytes:
    return to_example(CLIP, encoding)


def framed(record: bytes) -> bytes:
    """A record as it lies in a shard."""
    length = struct.pack("<Q", len(record))
    return length + _crc(length) + record + _crc(record)


def _crc(data: bytes) -> bytes:
    crc = crc32c.crc32c(data)
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)


def check_record(dataset: DatasetDir, program: Program) -> str:
    """Reads a mutated record with a right CRC, whole and a span of it; returns how that ended."""
    record = mutate(sound(dataset.encoding), program)
    dataset.shards[0].write_bytes(framed(record))
    dataset = dataclasses.replace(
        dataset, index=dataclasses.replace(dataset.index, length=np.array([len(record)], np.int64))
    )
    clip = span = None
    with named(dataset):
        clip = directory.read_record(dataset, 0)
    with named(dataset):
        frames, span = (read_span(dataset, 0, start, len(CLIP.frames)) for start in (0, 1))
    if span is not None:
        np.testing.assert_array_equal(span, frames[1:])
    if clip is not None and span is not None:
        np.testing.assert_array_equal(frames, clip.frames)
    ways = ("refuses" if found is None else "reads" for found in (clip, span))
    return "{}: the record {}, the batch {}".format(dataset.encoding.name, *ways)


def read_span(dataset: DatasetDir, record: int, start: int, stop: int) -> np.ndarray:
    """The frames of a record as a batch gets them: checked, then read by the graph."""
    if problem := Checker(dataset).problems(np.array([record])).get(record):
        raise DataError(problem)
    index, raw = dataset.index, dataset.encoding.name == "raw"
    numbers = {
        "shard": 0,
        "offset": index.offset[record],
        "skip": index.pixels[record] + start * FRAME_BYTES if raw else 0,
        "size": (stop - start) * FRAME_BYTES if raw else index.length[record],
        "start": start,
        "stop": stop,
    }
    batch = {name: tf.constant([int(number)], tf.int64) for name, number in numbers.items()}
    total = {"read_frames": tf.constant(stop - start, tf.int64)}
    try:
        return graph_reader.reader(dataset)({**batch, **total})[0].numpy()
    except tf.errors.InvalidArgumentError as error:  # a decoder's, of an image that begins and ends well
        raise DataError(f"{directory.location(dataset, record)}: {error.message}") from error


@contextlib.contextmanager
def named(dataset: DatasetDir) -> Iterator[None]:
    """Lets errors pass that name the shard, and no others."""
    try:
        yield
    except DataError as error:
        if not str(error).startswith(f"{dataset.shards[0]} offset "):
            raise


def check_shard(dataset: DatasetDir, whole: bytes, program: Program) -> str:
    """Reads the middle record of a mutated shard."""
    dataset.shards[0].write_bytes(mutate(whole, [step for step in program if step[0] in BYTES]))
    clip = span = None
    with named(dataset):
        clip = directory.read_record(dataset, 1)
        assert clip.id == dataset.index.id[1]
    with named(dataset):
        span = read_span(dataset, 1, 1, 3)
    assert (clip is None) == (span is None)
    if span is not None:
        np.testing.assert_array_equal(span, clip.frames[1:3])
    return f"shard: the record {'refuses' if clip is None else 'reads'}"


def fuzz(records: int, seed: int, root: Path) -> collections.Counter[str]:
    """Tries so many mutated records; every tenth in a shard of several, whose CRC is not made to fit."""
    alone = [
        datasets.write_dataset(root / name, {"train": [[CLIP]]}, Encoding(name)) for name in ("raw", "png", "jpeg")
    ]
    clips = [datasets.clip(f"s1/c{n}", 3, [("bin", 0, 2)], seed=n) for n in range(3)]
    several = datasets.write_dataset(root / "several", {"train": [clips]})
    whole, found = several.shards[0].read_bytes(), collections.Counter[str]()
    for number in tqdm(range(records), unit="record", mininterval=10):
        draw = random.Random(f"{seed} {number}")
        program = [(draw.choice(sorted(MUTATIONS)), draw.randrange(2**32)) for _ in range(draw.randint(1, 4))]
        target = alone[number % 3] if number % 10 else several
        try:
            how = check_shard(target, whole, program) if target is several else check_record(target, program)
        except Exception as error:
            error.add_note(f"{target.root.name}: {program}")
            raise
        found[how] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        found = fuzz(arguments.records, arguments.seed, Path(root) / "data")
    for name, count in sorted(found.items()):
        print(f"{count:>9,}  {name}")
    print(f"{found.total():>9,}  records, each a clip or a named error")


if __name__ == "__main__":
    main()
