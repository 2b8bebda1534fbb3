from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import parse
from pipeline.schema import Encoding, Key, from_example, to_example
from pipeline.shards import DatasetDir
from tests import datasets

CLIP = datasets.clip("s1/a", 9, seed=2)


def features(encoding: Encoding, **changes: Any) -> dict[str, tf.Tensor]:
    parsed = parse.parse(tf.constant(to_example(CLIP, encoding)), encoding)
    return {**parsed, **{Key[name]: tf.constant(value) for name, value in changes.items()}}


@pytest.mark.parametrize("name", ["raw", "png", "jpeg"])
@pytest.mark.parametrize(("start", "stop"), [(0, 9), (0, 1), (3, 8), (8, 9)])
def test_frames_are_those_of_the_record(name: str, start: int, stop: int) -> None:
    encoding = Encoding(name)
    want = from_example(to_example(CLIP, encoding), encoding).frames[start:stop]

    def decode(first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        return parse.decode_frames(features(encoding), first, last, encoding)

    span = tf.constant(start, tf.int64), tf.constant(stop, tf.int64)
    for got in (decode(*span), next(iter(tf.data.Dataset.from_tensors(span).map(decode)))):
        assert got.dtype == tf.uint8
        assert got.shape == want.shape
        assert np.abs(got.numpy().astype(int) - want).max() <= (2 if name == "jpeg" else 0)


def test_what_reading_needs_is_parsed() -> None:
    parsed = features(Encoding())
    assert parsed[Key.ID].numpy() == b"s1/a"
    assert parsed[Key.TEXT].numpy() == b"bin at now"
    assert parsed[Key.FRAME_COUNT].numpy() == 9
    assert parsed[Key.WORD_TEXT].numpy().tolist() == [b"bin", b"at", b"now"]


def test_a_record_is_read_at_its_offset(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    for number in (0, 4, 5, 14):
        path = str(dataset.shards[dataset.index.shard[number]])
        record = parse.read(tf.constant(path), tf.constant(dataset.index.offset[number]))
        assert from_example(record.numpy(), Encoding()).id == dataset.index.id[number]


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (b"no example", "Could not parse example input"),
        (tf.train.Example().SerializeToString(), "Feature: (id|text|frames|frame_count)"),
    ],
)
def test_another_record_is_refused(record: bytes, match: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        parse.parse(tf.constant(record), Encoding())


@pytest.mark.parametrize(("wrote", "reads"), [("raw", "png"), ("png", "raw")])
def test_the_frames_of_another_encoding_are_refused(wrote: str, reads: str) -> None:
    record = tf.constant(to_example(CLIP, Encoding(wrote)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="frame"):
        parse.decode_frames(
            parse.parse(record, Encoding(reads)),
            tf.constant(0, tf.int64),
            tf.constant(9, tf.int64),
            Encoding(reads),
        )


@pytest.mark.parametrize(
    ("encoding", "changes", "span", "match"),
    [
        ("raw", {"FRAME_COUNT": np.int64(10)}, (0, 9), "frame_count and frames disagree in clip(.|\n)*s1/a"),
        ("raw", {"FRAMES": b"12"}, (0, 9), "frame_count and frames disagree"),
        ("raw", {"FRAME_COUNT": np.int64(2**60)}, (0, 9), "frame_count and frames disagree"),
        ("png", {"FRAME_COUNT": np.int64(8)}, (0, 8), "frame_count and frames disagree in clip(.|\n)*s1/a"),
        ("png", {"FRAMES": [b"12"] * 9}, (0, 9), r"pos 37 out of range"),
        ("raw", {}, (0, 10), "no frames(.|\n)*s1/a"),
        ("png", {}, (3, 3), "no frames"),
        ("raw", {}, (-1, 3), "no frames"),
    ],
)
def test_a_malformed_record_is_refused(encoding: str, changes: dict, span: tuple[int, int], match: str) -> None:
    start, stop = (tf.constant(place, tf.int64) for place in span)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        parse.decode_frames(features(Encoding(encoding), **changes), start, stop, Encoding(encoding))


def test_a_png_of_another_size_is_refused() -> None:
    wide = tf.io.encode_png(tf.zeros([112, 113, 1], tf.uint8))
    spoilt = features(Encoding("png"), FRAMES=[wide.numpy()] * 9)
    with pytest.raises(tf.errors.InvalidArgumentError, match="want gray png images of 112x112"):
        parse.decode_frames(spoilt, tf.constant(0, tf.int64), tf.constant(9, tf.int64), Encoding("png"))
