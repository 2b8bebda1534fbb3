"""Reads the frames of batches inside the TensorFlow graph, without Python.

tensorflow-io's `IO>FileRead` takes exactly the bytes that are wanted in one operation; TensorFlow has none.
Where tensorflow-io does not load, TensorFlow's own reader takes whole records and checks the CRC of each. Both read
`s3://` by the file system of tensorflow-io, with two requests a read (`scripts.benchmark read` compares).
"""

import os
from collections.abc import Callable

import tensorflow as tf

from pipeline.loading import tensorflow_io
from pipeline.records.bucket import Url
from pipeline.records.codecs import FRAMES_PER_IMAGE
from pipeline.records.directory import DatasetDir
from pipeline.records.storage import Place
from pipeline.records.tfrecord import HEADER_BYTES
from pipeline.schema import CROP, FRAME_BYTES, Key

READS_AT_ONCE = 16  # of a batch, from a store
Columns = dict[str, tf.Tensor]  # of one batch, as in `columns.Columns`
Reader = Callable[[Columns], tf.Tensor]  # -> uint8 [B, F, 112, 112]


def reader(dataset: DatasetDir, checks_crc: bool = False) -> Reader:
    """The function that reads the frames of a batch; rows are padded with zeros to `read_frames`.

    Args:
      dataset: where the records lie.
      checks_crc: whether TensorFlow's own reader takes each record whole and checks its CRC; otherwise tensorflow-io,
        where it loads, takes just the bytes that are wanted, of records that were checked before.

    Raises:
      DataError: the records lie in a store, and tensorflow-io does not load.
    """
    ranges = None if checks_crc else tensorflow_io.operations()
    decode = decoder(dataset.encoding.name)
    paths, remote = [_name(shard) for shard in dataset.shards], dataset.is_remote

    def read(batch: Columns) -> tf.Tensor:
        total, path = batch["read_frames"], tf.gather(paths, batch["shard"])
        first = batch["offset"] + HEADER_BYTES + batch["skip"] if ranges else batch["offset"]
        first = tf.where(batch["size"] > 0, first, 0)  # a record that is left out may lie behind the end of its shard
        where = (path, first, *(batch[key] for key in ("skip", "size", "start", "stop")))

        def row(path: tf.Tensor, first: tf.Tensor, skip: tf.Tensor, size: tf.Tensor, *span: tf.Tensor) -> tf.Tensor:
            if ranges:
                return decode(ranges.io_file_read(path, first, size, ""), *span, total)
            found = tf.cond(size > 0, lambda: tf.strings.substr(_record(path, first), skip, size), lambda: "")
            return decode(found, *span, total)

        known = decode is _raw and batch["shard"].shape[0] and not remote
        frames = _unrolled(row, where) if known else looped(row, where, at_once=READS_AT_ONCE if remote else 1)
        return tf.reshape(frames, [-1, total, CROP, CROP])  # [B, F*112*112] -> [B, F, 112, 112]

    return read


def decoder(encoding: str) -> Callable[..., tf.Tensor]:
    """The function (what was read of a record, start, stop, F) -> its frames `[start, stop)`, uint8 [F*112*112]."""
    return _raw if encoding == "raw" else _images(encoding)


def _name(shard: Place) -> bytes:
    if isinstance(shard, Url):
        tensorflow_io.open_store(shard)
    return os.fsencode(str(shard))


def _record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The payload of the record whose header is at `offset`, by TensorFlow's own reader, which checks its CRCs."""
    none = tf.constant(0, tf.int64)  # a buffer would read more than the record
    # With the name of another file, which is never read, a store is not asked for the rest of the shard.
    names, offsets = tf.stack([path, "/dev/null"]), tf.stack([offset, none])
    found = tf.raw_ops.TFRecordDatasetV2(filenames=names, compression_type="", buffer_size=none, byte_offsets=offsets)
    return tf.data.experimental.from_variant(found, tf.TensorSpec([], tf.string)).take(1).get_single_element()


def _raw(pixels: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Pixels of the span, string [] -> uint8 [total*112*112]."""
    del start, stop  # only the span was read
    return tf.io.decode_raw(pixels, tf.uint8, fixed_length=tf.cast(total * FRAME_BYTES, tf.int32))


def parse_images(record: tf.Tensor) -> tf.Tensor:
    """The images of a record, string [] -> string [n]."""
    feature = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    return tf.io.parse_single_example(record, {str(Key.FRAMES): feature})[str(Key.FRAMES)]


def _images(kind: str) -> Callable[..., tf.Tensor]:
    decode = _jpeg_rows if kind == "jpeg" else _png_rows

    def frames(record: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        """A record, string [] -> frames `[start, stop)`, uint8 [total*112*112]."""
        images = parse_images(record)
        first, behind = start // FRAMES_PER_IMAGE, -(-stop // FRAMES_PER_IMAGE)

        def image(number: tf.Tensor) -> tf.Tensor:
            top = number * FRAMES_PER_IMAGE
            own = tf.maximum(start - top, 0), tf.minimum(stop - top, FRAMES_PER_IMAGE)
            return tf.reshape(decode(images[number], *own), [-1])  # [n*112, 112, 1] -> [n*112*112]

        array = tf.TensorArray(tf.uint8, tf.cast(behind - first, tf.int32), infer_shape=False, element_shape=[None])
        array = tf.while_loop(
            lambda number, _: number < behind,
            lambda number, array: (number + 1, array.write(tf.cast(number - first, tf.int32), image(number))),
            (first, array),
            parallel_iterations=1,
        )[1]
        pixels = array.concat()
        return tf.pad(pixels, [[0, total * FRAME_BYTES - tf.size(pixels, tf.int64)]])

    return frames


def _jpeg_rows(image: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    window = tf.cast(tf.stack([start * CROP, 0, (stop - start) * CROP, CROP]), tf.int32)
    return tf.io.decode_and_crop_jpeg(image, window, channels=1, dct_method="INTEGER_ACCURATE")  # as Pillow decodes


def _png_rows(image: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_png(image, channels=1)[start * CROP : stop * CROP]


def _unrolled(row: Callable[..., tf.Tensor], where: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """Rows, one after the other: what was read is decoded while the processor's cache still holds it."""
    read: list[tf.Tensor] = []
    for own in zip(*map(tf.unstack, where), strict=True):
        with tf.control_dependencies(read[-1:]):
            read.append(row(*own))
    return tf.stack(read)


def looped(row: Callable[..., tf.Tensor], where: tuple[tf.Tensor, ...], at_once: int = 1) -> tf.Tensor:
    """The same for any number of rows, and for images, whose graph is larger."""
    spec = tf.TensorSpec([None], tf.uint8)
    return tf.map_fn(lambda own: row(*own), where, fn_output_signature=spec, parallel_iterations=at_once)
