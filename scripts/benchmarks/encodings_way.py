"""One encoding of frames: bytes, speed of writing and of the reading path, and what jpeg loses."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline import parse
from pipeline.schema import Encoding, Key, to_example
from pipeline.shards import open_dataset, read_record


def main(data: str, records: list[int], encoding: str, quality: int, workers: int) -> dict[str, float]:
    """Encodes clips of a raw dataset on one core, and decodes them in a tf.data map on `workers`; an item is a clip."""
    dataset, way = open_dataset(Path(data)), Encoding(encoding, quality)
    clips = [read_record(dataset, record) for record in records]
    began = time.perf_counter()
    encoded = [to_example(clip, way) for clip in clips]
    encode_s = time.perf_counter() - began
    decoded = tf.data.Dataset.from_tensor_slices(encoded).map(lambda record: _decode(record, way), workers)
    errors = [np.square(a.astype(np.float64) - b.frames).mean() for a, b in zip(_arrays(decoded), clips, strict=True)]
    began = time.perf_counter()
    for _ in decoded:
        pass
    seconds = time.perf_counter() - began
    figures = {"encode_rate": len(clips) / encode_s, "bytes": float(np.mean([len(record) for record in encoded]))}
    loss = {"psnr": 10 * float(np.log10(255**2 / np.mean(errors)))} if np.any(errors) else {}
    return {"items": len(clips), "seconds": seconds, **figures, **loss}


def _decode(record: tf.Tensor, encoding: Encoding) -> tf.Tensor:
    features = parse.parse(record, encoding)
    return parse.decode_frames(features, tf.constant(0, tf.int64), features[Key.FRAME_COUNT], encoding)


def _arrays(frames: tf.data.Dataset) -> list[np.ndarray]:
    return list(frames.as_numpy_iterator())


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
