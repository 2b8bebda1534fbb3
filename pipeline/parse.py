"""A record's bytes -> tensors: read, parse, select, decode. Pure tensor functions, checked before any reshape."""

import struct
from collections.abc import Callable

import tensorflow as tf

from pipeline.schema import CROP, FRAME_BYTES, Encoding, Key

READ_BUFFER_BYTES = 256 * 1024
# Which bytes an image has where: what `Encoding` writes, gray, 112x112, 8 bits, so that nothing else is decoded.
IMAGE_BYTES = {
    "png": {  # signature, IHDR; the pixels follow at once, so there is one picture
        0: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", CROP, CROP, 8, 0, 0, 0, 0),
        37: b"IDAT",
    },
    "jpeg": {  # SOI, JFIF's segment, one quantization table, a baseline frame of one component
        0: b"\xff\xd8\xff\xe0\0\x10",
        20: b"\xff\xdb\0\x43\0",
        89: b"\xff\xc0\0\x0b\x08" + struct.pack(">HHB", CROP, CROP, 1),
    },
}


def read(shard: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The record at a byte offset of a shard, natively and with its CRC checked.

    Args:
      shard: string [], path.
      offset: int64 [], bytes from the start of the file to the record's header.

    Returns:
      string [], a serialized `tf.train.Example`.

    Raises:
      tf.errors.DataLossError: the record's CRC is wrong.
    """
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[shard], compression_type="", buffer_size=READ_BUFFER_BYTES, byte_offsets=[offset]
    )
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()


def parse(record: tf.Tensor, encoding: Encoding) -> dict[str, tf.Tensor]:
    """String [] -> what reading needs of the record; frames still encoded: string [] (raw) or [F] (jpeg, png).

    Raises:
      tf.errors.InvalidArgumentError: not a `tf.train.Example`, or a key is missing or of another type; it is named.
    """
    one = tf.io.FixedLenFeature([], tf.string)
    many = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    return tf.io.parse_single_example(
        record,
        {
            Key.ID: one,
            Key.TEXT: one,
            Key.FRAME_COUNT: tf.io.FixedLenFeature([], tf.int64),
            Key.FRAMES: one if encoding.name == "raw" else many,
            Key.WORD_TEXT: many,
        },
    )


def check(features: dict[str, tf.Tensor], clip: tf.Tensor, text: tf.Tensor, frames: tf.Tensor) -> list[tf.Operation]:
    """What fails where a record is not the one that the index says lies there.

    Args:
      features: of `parse`.
      clip: string [], its id.
      text: string [].
      frames: int64 [], its frame count.

    Raises:
      tf.errors.InvalidArgumentError: naming both.
    """
    expected = {Key.ID: clip, Key.TEXT: text, Key.FRAME_COUNT: frames}
    return [
        tf.debugging.Assert(tf.equal(features[key], want), [f"{key}: want", want, "got", features[key]])
        for key, want in expected.items()
    ]


def decode_frames(features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor, encoding: Encoding) -> tf.Tensor:
    """The frames `[start, stop)`, selected while still encoded; no image is decoded before its header is checked.

    Returns:
      uint8 [stop - start, 112, 112].

    Raises:
      tf.errors.InvalidArgumentError: the record holds fewer frames, or other ones, than it says; its id is named where
        the count is wrong.
    """
    if encoding.name == "raw":
        return _decode_raw(features, start, stop)
    images = features[Key.FRAMES]
    sound = tf.equal(tf.size(images, tf.int64), features[Key.FRAME_COUNT])
    with tf.control_dependencies(_checks(features, start, stop, sound)):
        images = images[start:stop]
    with tf.control_dependencies(_image_checks(images, encoding)):
        images = tf.identity(images)
    return tf.map_fn(_decoder(encoding), images, fn_output_signature=tf.TensorSpec([CROP, CROP], tf.uint8))


def _decode_raw(features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    frames = features[Key.FRAMES]
    held = tf.cast(tf.strings.length(frames), tf.int64)
    sound = tf.equal(held // FRAME_BYTES, features[Key.FRAME_COUNT]) & tf.equal(held % FRAME_BYTES, 0)
    with tf.control_dependencies(_checks(features, start, stop, sound)):
        chosen = tf.strings.substr(frames, start * FRAME_BYTES, (stop - start) * FRAME_BYTES)
    return tf.reshape(tf.io.decode_raw(chosen, tf.uint8), [-1, CROP, CROP])  # [n*112*112] -> [n, 112, 112]


def _checks(features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor, sound: tf.Tensor) -> list[tf.Operation]:
    clip, count = features[Key.ID], features[Key.FRAME_COUNT]
    inside = (start >= 0) & (start < stop) & (stop <= count)
    return [
        tf.debugging.Assert(sound, [f"{Key.FRAME_COUNT} and {Key.FRAMES} disagree in clip", clip, count]),
        tf.debugging.Assert(inside, ["no frames", start, stop, "in clip", clip]),
    ]


def _image_checks(images: tf.Tensor, encoding: Encoding) -> list[tf.Operation]:
    wants = [tf.equal(tf.strings.substr(images, at, len(b)), b) for at, b in IMAGE_BYTES[encoding.name].items()]
    sound = tf.reduce_all(tf.stack(wants))
    return [tf.debugging.Assert(sound, [f"{Key.FRAMES}: want gray {encoding.name} images of {CROP}x{CROP}"])]


def _decoder(encoding: Encoding) -> Callable[[tf.Tensor], tf.Tensor]:
    decode = tf.io.decode_png if encoding.name == "png" else tf.io.decode_jpeg
    return lambda value: tf.ensure_shape(decode(value, channels=1), [CROP, CROP, 1])[..., 0]
