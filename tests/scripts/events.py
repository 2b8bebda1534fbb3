"""What a run gave to TensorBoard."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event


def written(directory: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Of each tag the steps and values in the order they came: scalars float32 [], pictures uint8 [H, W, C]."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    paths = sorted(str(path) for path in directory.glob("events*"))
    for event in map(Event.FromString, tf.data.TFRecordDataset(paths).as_numpy_iterator()):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, _value(value)))
    return found


def _value(value: tf.compat.v1.Summary.Value) -> np.ndarray:
    content = tf.make_ndarray(value.tensor)
    if value.metadata.plugin_data.plugin_name != "images":
        return content
    width, height, *pictures = content.tolist()  # as the plug-in has them: two numbers in ASCII, then PNG files
    (picture,) = [tf.io.decode_png(encoded).numpy() for encoded in pictures]
    assert picture.shape[:2] == (int(height), int(width))
    return picture
