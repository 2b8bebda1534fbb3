"""TensorFlow tutorials: the windows of a clip as one float_list."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from consumer import consume

SHUFFLE = 16  # clips in the buffer, 18 MB each


def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A clip's float32 windows [S, 112, 112, 5], S, and its text."""
    clip = tf.io.parse_single_example(
        record,
        {
            "windows": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
            "text": tf.io.FixedLenFeature([], tf.string),
        },
    )
    windows = tf.reshape(clip["windows"], [-1, 112, 112, 5])
    return windows, tf.shape(windows)[0], clip["text"]


def main(records: str, batch: int, seconds: float) -> dict[str, float]:
    """Reads as the guides of tf.data advise.

    Args:
      records: directory of TFRecord shards.
      batch: clips.
      seconds: to measure.
    """
    paths = sorted(str(path) for path in Path(records).glob("*.tfrecord"))
    clips = tf.data.TFRecordDataset(paths, num_parallel_reads=tf.data.AUTOTUNE).repeat().shuffle(SHUFFLE)
    batches = clips.map(parse, tf.data.AUTOTUNE).padded_batch(batch, ([None, 112, 112, 5], [], []), drop_remainder=True)

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for windows, counts, _ in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield windows, counts

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
