"""s3fs: the spans of a batch by `cat_ranges`, in a `tf.numpy_function`."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import s3fs
import tensorflow as tf
from consumer import consume

SIDE = 112
BATCHES_AT_ONCE, THREADS = 4, 32  # as many as ours


def main(spans: str, requests: int, seconds: float) -> dict[str, float]:
    """Reads planned batches again and again; the server is that of AWS_ENDPOINT_URL.

    Args:
      spans: JSON file: of each batch `frames`, and of its rows `paths`, `starts` and `ends`.
      requests: at once, for a batch; 1 reads one batch at a time too.
      seconds: to measure.
    """
    batches = json.loads(Path(spans).read_text())
    config = {"response_checksum_validation": "when_required"}  # rclone's server sends none
    files = s3fs.S3FileSystem(endpoint_url=os.environ.get("AWS_ENDPOINT_URL"), config_kwargs=config)

    def read(number: np.int64) -> np.ndarray:
        planned = batches[number]
        found = files.cat_ranges(planned["paths"], planned["starts"], planned["ends"], batch_size=requests)
        pixels = np.zeros((len(found), planned["frames"], SIDE, SIDE), np.uint8)
        for row, part in zip(pixels.reshape(len(found), -1), found, strict=True):
            row[: len(part)] = np.frombuffer(part, np.uint8)
        return pixels

    ds = tf.data.Dataset.range(len(batches)).repeat()
    at_once = BATCHES_AT_ONCE if requests > 1 else 1
    ds = ds.map(lambda number: tf.numpy_function(read, [number], tf.uint8), at_once, deterministic=True).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = THREADS
    ds = ds.with_options(options)

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for pixels in ds:
            frames = np.asarray(pixels)
            yield frames, np.full(len(frames), frames.shape[1] - 4)

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
