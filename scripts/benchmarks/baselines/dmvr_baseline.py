"""DMVR, in TensorFlow: a SequenceExample of JPEG frames a clip, decoded frame by frame."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from consumer import consume

SHUFFLE = 64  # clips in the buffer


def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A clip's uint8 frames [F, 112, 112] and its text."""
    context, sequence = tf.io.parse_single_sequence_example(
        record,
        {"text": tf.io.FixedLenFeature([], tf.string)},
        {"image/encoded": tf.io.FixedLenSequenceFeature([], tf.string)},
    )
    frames = tf.map_fn(
        lambda image: tf.io.decode_jpeg(image, channels=1),
        sequence["image/encoded"],
        fn_output_signature=tf.TensorSpec([112, 112, 1], tf.uint8),
    )
    return frames[..., 0], context["text"]


def main(records: str, batch: int, seconds: float) -> dict[str, float]:
    """Shards side by side, a shuffle buffer, maps and prefetch as wide as tf.data finds best.

    Args:
      records: directory of TFRecord shards.
      batch: clips.
      seconds: to measure.
    """
    paths = sorted(str(path) for path in Path(records).glob("*.tfrecord"))
    clips = tf.data.Dataset.from_tensor_slices(paths).repeat()
    clips = clips.interleave(tf.data.TFRecordDataset, cycle_length=len(paths), num_parallel_calls=tf.data.AUTOTUNE)
    clips = (
        clips.shuffle(SHUFFLE)
        .map(parse, tf.data.AUTOTUNE)
        .map(lambda frames, text: (frames, tf.shape(frames)[0], text))
    )
    batches = clips.padded_batch(batch, ([None, 112, 112], [], []), drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for frames, counts, _ in batches.as_numpy_iterator():
            yield frames, counts - 4

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
