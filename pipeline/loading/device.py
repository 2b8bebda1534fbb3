"""Batches on the accelerator: frames are prefetched to it, windows are made there."""

from collections.abc import Iterator

import tensorflow as tf

from pipeline.loading import windows
from pipeline.schema import BatchKey


def default_device() -> str:
    """The first GPU, else the CPU."""
    return "/GPU:0" if tf.config.list_physical_devices("GPU") else "/CPU:0"


def batches(ds: tf.data.Dataset, padding: str = "valid", device: str | None = None) -> Iterator[dict[str, tf.Tensor]]:
    """Iterates over a dataset of `dataset.load` with `windows` on `device`, whatever its layout.

    uint8 frames are copied ahead, two batches at most, and become windows where the model is: 19 times fewer bytes
    cross the bus than as float32 windows. Strings and int32 stay in the host's memory.

    Args:
      ds: batches with `frames` uint8 [B, F, 112, 112], or with `windows` already.
      padding: as the dataset was loaded with.
      device: such as `/GPU:0`; None for the first GPU, else the CPU.

    Yields:
      The batch with `windows` uint8 [B, S, 112, 112, 5] in the place of `frames`.
    """
    device = device or default_device()
    host = is_host(device)
    if not host:
        ds = ds.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=2))
    for batch in ds:
        if BatchKey.FRAMES in batch:
            with tf.device(device):
                batch = _to_windows(batch, padding, host)
        yield batch


def is_host(device: str) -> bool:
    """Whether a device is the CPU: nothing is copied there, and windows are made by the compiled loop."""
    return tf.DeviceSpec.from_string(device).device_type == "CPU"


# Once a process: each epoch and validation would otherwise trace and compile it anew.
_to_windows = tf.function(windows.of_batch, reduce_retracing=True, autograph=False)
