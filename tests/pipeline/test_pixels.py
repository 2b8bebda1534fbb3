import io
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline import parse, pixels
from pipeline.schema import Encoding, to_example
from tests import datasets


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 112, 112)).astype(np.uint8)


def one_by_one(images: list[bytes]) -> np.ndarray:
    return np.stack([tf.io.decode_jpeg(image, channels=1)[..., 0] for image in images])


def both_ways(decode: Callable[..., tf.Tensor], *arguments: tf.Tensor) -> list[np.ndarray]:
    """Eagerly, and in a dataset."""
    mapped = tf.data.Dataset.from_tensors(arguments).map(decode)
    return [decode(*arguments).numpy(), next(iter(mapped)).numpy()]


@pytest.mark.parametrize("quality", [1, 75, 92, 100])
@pytest.mark.parametrize("frames", [1, 2, 8, 9, 17])
def test_jpegs_decoded_at_once_are_those_decoded_one_by_one(frames: int, quality: int) -> None:
    shown = np.concatenate([noise(frames // 2, frames), datasets.pixels(frames - frames // 2, frames)])
    images = Encoding("jpeg", quality).encode(shown)
    for got in both_ways(pixels.decode_jpegs, tf.constant(images)):
        np.testing.assert_array_equal(got, one_by_one(images))
    np.testing.assert_array_equal(pixels._decode_tall(tf.constant(images)), one_by_one(images))


def test_the_longest_jpeg_and_one_frame_more() -> None:
    images = Encoding("jpeg", 50).encode(datasets.pixels(90, 1)) * 7
    for frames in (pixels.MOST_FRAMES, pixels.MOST_FRAMES + 1):
        got = pixels.decode_jpegs(tf.constant(images[:frames]))
        np.testing.assert_array_equal(got, np.resize(one_by_one(images[:90]), (frames, 112, 112)))


def optimized(frame: np.ndarray) -> bytes:
    """A jpeg with Huffman tables of its own."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg", optimize=True)
    return buffer.getvalue()


def test_jpegs_that_do_not_begin_alike_are_decoded_one_by_one() -> None:
    frames = noise(3)
    for images in (
        [Encoding("jpeg", quality).encode(frames[:1])[0] for quality in (92, 91, 92)],
        [optimized(frame) for frame in frames],
        [Encoding("jpeg").encode(frames[:1])[0] + b"\0", *Encoding("jpeg").encode(frames[1:])],
    ):
        np.testing.assert_array_equal(pixels.decode_jpegs(tf.constant(images)), one_by_one(images))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_jpeg_that_is_cut_is_refused(place: int) -> None:
    images = Encoding("jpeg").encode(noise(3))
    images[place] = images[place][:1000]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG"):
        pixels.decode_jpegs(tf.constant(images))


@pytest.mark.parametrize("frames", [5, 75, 127, 128, 300])
def test_raw_frames_are_cut_out(frames: int) -> None:
    clip = datasets.clip("s1/a", frames, seed=frames)
    record = to_example(clip, Encoding())
    at = pixels.raw_start(np.array([len(record)]))[0]
    head = pixels.raw_head(frames)
    assert record[at : at + len(head)] == head
    for start, stop in ((0, frames), (0, 1), (3, 5), (frames - 1, frames)):
        span = tf.constant(start, tf.int64), tf.constant(stop, tf.int64)
        for got in both_ways(pixels.cut_raw, tf.constant(record), tf.constant(head), tf.constant(at), *span):
            np.testing.assert_array_equal(got, clip.frames[start:stop])


def test_the_length_of_a_record_is_skipped() -> None:
    for inner in (1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28):
        varint = max(1, -(-inner.bit_length() // 7))
        assert pixels.raw_start(np.array([1 + varint + inner])) == [1 + varint + pixels.FPS_BYTES]


def test_another_record_is_not_cut() -> None:
    record = to_example(datasets.clip("s1/a", 9), Encoding())
    at = pixels.raw_start(np.array([len(record)]))[0]
    span = tf.constant(0, tf.int64), tf.constant(9, tf.int64)
    for spoilt, head in (
        (record, pixels.raw_head(10)),
        (record[:at] + b"?" + record[at + 1 :], pixels.raw_head(9)),
        (b"", pixels.raw_head(9)),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError):
            pixels.cut_raw(tf.constant(spoilt), tf.constant(head), tf.constant(at), *span)
    with pytest.raises(tf.errors.InvalidArgumentError):
        pixels.cut_raw(tf.constant(record[:-9999]), tf.constant(pixels.raw_head(9)), tf.constant(at), *span)


def test_what_is_cut_is_what_is_parsed() -> None:
    record = to_example(datasets.clip("s1/a", 9, seed=4), Encoding())
    span = tf.constant(2, tf.int64), tf.constant(7, tf.int64)
    parsed = parse.decode_frames(parse.parse(tf.constant(record), Encoding()), *span, Encoding())
    at = pixels.raw_start(np.array([len(record)]))[0]
    np.testing.assert_array_equal(pixels.cut_raw(tf.constant(record), pixels.raw_head(9), at, *span), parsed)
