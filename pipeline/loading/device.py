"""Prefetches batches of frames to the accelerator and makes windows there."""

from collections.abc import Iterator

import tensorflow as tf

from pipeline.loading import windows
from pipeline.schema import BatchKey


def default_device() -> str:
    """The name of the first GPU, or of the CPU if there is none."""
    return "/GPU:0" if tf.config.list_physical_devices("GPU") else "/CPU:0"


def batches(ds: tf.data.Dataset, padding: str = "valid", device: str | None = None) -> Iterator[dict[str, tf.Tensor]]:
    """Iterates over a dataset of `dataset.load`, in either layout, and yields batches with `windows` on `device`.

    Frames are prefetched as uint8, two batches at most, and become windows on the device. So 19 times fewer bytes cross
    the bus than as float32 windows. Strings, int32 and weights stay in host memory, so that reading them waits for no
    computation.

    Args:
      ds: batches with `frames` uint8 [B, F, 112, 112], or with `windows` already.
      padding: the padding that the dataset was loaded with.
      device: such as `/GPU:0`; None for the first GPU, else the CPU.

    Yields:
      Batches with `windows` uint8 [B, S, 112, 112, 5] in place of `frames`.
    """
    device = device or default_device()
    host = is_host(device)
    if not host:
        ds = ds.map(lambda batch: {**batch, BatchKey.WEIGHTS: tf.cast(batch[BatchKey.WEIGHTS], tf.int32)})  # 0 and 1
        ds = ds.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=2))  # leaves strings and int32
    for batch in ds:
        if BatchKey.FRAMES in batch:
            with tf.device(device):
                batch = _to_windows(batch, padding, host)
        if not host:
            with tf.device("/CPU:0"):
                batch = {**batch, BatchKey.WEIGHTS: tf.cast(batch[BatchKey.WEIGHTS], tf.float32)}
        yield batch


def is_host(device: str) -> bool:
    """Whether a device is the CPU, where nothing is moved and NumPy makes the windows."""
    return tf.DeviceSpec.from_string(device).device_type == "CPU"


# Traced once per process, not once per epoch.
_to_windows = tf.function(windows.of_batch, reduce_retracing=True, autograph=False)
