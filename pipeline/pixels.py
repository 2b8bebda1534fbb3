"""Frames out of a record's bytes with few copies: raw ones cut out in place, jpeg ones decoded in one call."""

import numpy as np
import tensorflow as tf

from pipeline.schema import CROP, FRAME_BYTES, Encoding, Key

FPS_BYTES = 17  # of the key fps, the first in a record

_SAMPLE = Encoding("jpeg").encode(np.zeros([1, CROP, CROP], np.uint8))[0]
_QUALITY = slice(20, 89)  # of a jpeg frame: its quantization, which alone of the head depends on the quality
_SIZE = 94  # where the frame's height lies, two bytes
_SCAN = _SAMPLE.index(b"\xff\xda")  # where the segment lies that begins the scan
HEAD_BYTES = _SCAN + 10  # of a jpeg frame before its pixels
_EVERY_FRAME = b"\xff\xdd\0\x04" + (CROP * CROP // 64).to_bytes(2, "big")  # a restart interval of one frame, in blocks
_RESTARTS = [bytes([0xFF, 0xD0 + number]) for number in range(8)]
_END = b"\xff\xd9"
_BYTES = [bytes([value]) for value in range(256)]
MOST_FRAMES = 65500 // CROP  # of one jpeg, by libjpeg


def raw_head(frames: int) -> bytes:
    """What a raw record holds between its key fps and its pixels: the frame count, the frames' key and length."""
    pixels = bytes(frames * FRAME_BYTES)
    count = tf.train.Feature(int64_list=tf.train.Int64List(value=[frames]))
    values = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
    features = tf.train.Features(feature={str(Key.FRAME_COUNT): count, str(Key.FRAMES): values})
    return features.SerializeToString(deterministic=True)[: -len(pixels)]


def raw_start(lengths: np.ndarray) -> np.ndarray:
    """Where `raw_head` begins in records of these lengths, int64 [N]: behind their own length, a varint, and fps."""
    varint = np.ones_like(lengths)
    for size in range(1, 5):
        varint += lengths - 1 - size >= 1 << 7 * size
    return 1 + varint + FPS_BYTES


def cut_raw(record: tf.Tensor, head: tf.Tensor, at: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    """The frames `[start, stop)` of a raw record, copied twice and not parsed.

    Args:
      record: string [], as `schema.to_example` writes it.
      head: string [], the `raw_head` of its frame count.
      at: int64 [], its `raw_start`.
      start: int64 [].
      stop: int64 [].

    Returns:
      uint8 [stop - start, 112, 112].

    Raises:
      tf.errors.InvalidArgumentError: the head is not there, or the record ends before `stop`.
    """
    size = tf.strings.length(head)
    found = tf.strings.substr(record, at, tf.cast(size, tf.int64))
    there = tf.debugging.Assert(tf.equal(found, head), [f"{Key.FRAMES}: not where this program writes them"])
    with tf.control_dependencies([there]):
        first = at + tf.cast(size, tf.int64) + start * FRAME_BYTES
        chosen = tf.strings.substr(record, first, (stop - start) * FRAME_BYTES)
    return tf.reshape(tf.io.decode_raw(chosen, tf.uint8), tf.stack([stop - start, CROP, CROP]))


def decode_jpegs(images: tf.Tensor) -> tf.Tensor:
    """uint8 [n, 112, 112] of n gray jpegs of 112x112, to the bit what decoding each gives.

    Jpegs that begin alike, as those of one writer do, lie end to end in one tall jpeg that restarts at each of them:
    one call decodes it, in half the time of n calls.
    """
    heads = tf.strings.substr(images, 0, HEAD_BYTES)
    known = tf.strings.substr(heads[0], _QUALITY.stop, HEAD_BYTES - _QUALITY.stop)
    alike = tf.reduce_all(tf.equal(heads, heads[0])) & tf.equal(known, _SAMPLE[_QUALITY.stop : HEAD_BYTES])
    whole = tf.reduce_all(tf.equal(tf.strings.substr(images, -2, 2), _END))
    return tf.cond(
        alike & whole & (tf.size(images) <= MOST_FRAMES), lambda: _decode_tall(images), lambda: _decode_each(images)
    )


def _decode_each(images: tf.Tensor) -> tf.Tensor:
    spec = tf.TensorSpec([CROP, CROP, 1], tf.uint8)
    return tf.map_fn(lambda image: tf.io.decode_jpeg(image, channels=1), images, fn_output_signature=spec)[..., 0]


def _decode_tall(images: tf.Tensor) -> tf.Tensor:
    number = tf.size(images)
    scans = tf.strings.substr(images, tf.fill([number], HEAD_BYTES), tf.strings.length(images) - HEAD_BYTES - 2)
    restarts = tf.gather(_RESTARTS, tf.range(number) % 8)
    pixels = tf.strings.reduce_join(tf.strings.join([scans, tf.concat([restarts[:-1], [_END]], 0)]))
    height = tf.gather(_BYTES, tf.stack([number * CROP // 256, number * CROP % 256]))
    begins = tf.strings.substr(images[0], 0, _SIZE)
    rest = [_SAMPLE[_SIZE + 2 : _SCAN], _EVERY_FRAME, _SAMPLE[_SCAN:HEAD_BYTES]]
    tall = tf.io.decode_jpeg(tf.strings.join([begins, height[0], height[1], *rest, pixels]), channels=1)
    return tf.reshape(tall, [number, CROP, CROP])  # [n*112, 112, 1] -> [n, 112, 112]
