"""A record's bytes -> tensors: read, parse, select, decode. Pure tensor functions, checked before any reshape."""

import tensorflow as tf

from pipeline.schema import CROP, FRAME_BYTES, Encoding, Key

READ_BUFFER_BYTES = 256 * 1024


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


def decode_frames(features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor, encoding: Encoding) -> tf.Tensor:
    """The frames `[start, stop)`, selected while still encoded.

    Returns:
      uint8 [stop - start, 112, 112].

    Raises:
      tf.errors.InvalidArgumentError: the record holds fewer frames, or other sizes, than it says; its id is named.
    """
    if encoding.name == "raw":
        return _decode_raw(features, start, stop)
    images = features[Key.FRAMES]
    with tf.control_dependencies(_checks(features, start, stop, tf.size(images, tf.int64), 1)):
        images = images[start:stop]
    return tf.map_fn(_decode_image, images, fn_output_signature=tf.TensorSpec([CROP, CROP], tf.uint8))


def _decode_raw(features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    frames = features[Key.FRAMES]
    held = tf.strings.length(frames)
    with tf.control_dependencies(_checks(features, start, stop, tf.cast(held, tf.int64), FRAME_BYTES)):
        chosen = tf.strings.substr(frames, start * FRAME_BYTES, (stop - start) * FRAME_BYTES)
    return tf.reshape(tf.io.decode_raw(chosen, tf.uint8), [-1, CROP, CROP])  # [n*112*112] -> [n, 112, 112]


def _checks(
    features: dict[str, tf.Tensor], start: tf.Tensor, stop: tf.Tensor, held: tf.Tensor, per_frame: int
) -> list[tf.Operation]:
    clip, count = features[Key.ID], features[Key.FRAME_COUNT]
    sound = tf.debugging.Assert(
        tf.equal(held, count * per_frame),
        [f"{Key.FRAME_COUNT} and {Key.FRAMES} disagree in clip", clip, count, held],
    )
    inside = tf.debugging.Assert(
        (start >= 0) & (start < stop) & (stop <= count), ["no frames", start, stop, "in clip", clip]
    )
    return [sound, inside]


def _decode_image(value: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(value, channels=1, expand_animations=False)
    return tf.ensure_shape(image, [CROP, CROP, 1])[..., 0]
