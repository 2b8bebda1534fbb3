"""Makes windows: five consecutive lip frames as the channels of one image."""

from typing import TypeVar

import numpy as np
import tensorflow as tf

from pipeline.loading import buffers, calls
from pipeline.loading.config import PADDINGS
from pipeline.schema import CONTEXT, BatchKey

Count = TypeVar("Count", int, np.ndarray, tf.Tensor)


def count(frames: Count, padding: str = "valid") -> Count:
    """The number of windows of F frames: `F - 4` for `valid`, `F` for `same`."""
    return frames - (CONTEXT - 1) if padding == "valid" else frames


def frame_count(windows: Count, padding: str = "valid") -> Count:
    """The number of frames of S windows, the inverse of `count`: `S + 4` for `valid`, `S` for `same`."""
    return windows + (CONTEXT - 1) if padding == "valid" else windows


def middle(padding: str = "valid") -> int:
    """The frame in the middle of window 0; that of window s is s frames later."""
    return CONTEXT // 2 if padding == "valid" else 0


def make(frames: tf.Tensor, lengths: tf.Tensor | None = None, padding: str = "valid", host: bool = False) -> tf.Tensor:
    """Makes windows of frames: `windows[b, s, y, x, k] = frames[b, s + k, y, x]`.

    With `same`, the first and last valid frames are repeated twice, so the middle frame of window `s` is frame `s`.
    Windows past the last valid one of a row are zero.

    Args:
      frames: [B, F, H, W], any dtype, on any device.
      lengths: int32 [B], valid frames of each row; None where all are valid.
      padding: `valid` or `same`.
      host: whether NumPy copies the frames, on the CPU and in this process alone. The windows are the same, in a
        fifteenth of the time.

    Returns:
      [B, S, H, W, 5] of the same dtype, S = `count(F, padding)`.

    Raises:
      ValueError: `padding` is something else.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding: want valid or same, got {padding!r}")
    shape = tf.shape(frames)
    if lengths is None:
        lengths = tf.fill(shape[:1], shape[1])
    steps = tf.range(tf.maximum(count(shape[1], padding), 0))
    valid = steps[None] < count(lengths, padding)[:, None]  # [B, S]
    if padding == "same":
        border = CONTEXT // 2
        wanted = tf.maximum(tf.range(-border, shape[1] + border), 0)
        last = tf.maximum(lengths - 1, 0)[:, None]
        wanted = tf.minimum(wanted[None], last)
        frames = tf.gather(frames, wanted, batch_dims=1) if host else _gathered(frames, wanted)  # [B, F + 4, H, W]
    windows = _copied(frames, count(lengths, padding)) if host else _stacked(frames, valid)
    windows.set_shape([frames.shape[0], valid.shape[1], frames.shape[2], frames.shape[3], CONTEXT])
    return windows


# TensorFlow has no GPU kernel that gathers or stacks uint8. It would copy the frames to the host and back.


def _gathered(frames: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """[B, F, H, W] -> [B, N, H, W]: the frames `wanted`, int32 [B, N], of each row."""
    wide = tf.cast(frames, tf.int32) if frames.dtype == tf.uint8 else frames
    return tf.cast(tf.gather(wide, wanted, batch_dims=1), frames.dtype)


def _stacked(frames: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    steps = tf.shape(valid)[1]
    windows = tf.concat([frames[:, shift : shift + steps, :, :, None] for shift in range(CONTEXT)], axis=-1)
    return tf.where(valid[:, :, None, None, None], windows, tf.zeros([], frames.dtype))


def _copied(frames: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    return calls.numpy_function(_copy, [frames, counts], frames.dtype)


def _copy(frames: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[B, F, H, W], of each row the number of windows, integers [B] -> [B, F - 4, H, W, 5]."""
    rows, total, *sides = frames.shape
    windows = buffers.WINDOWS.take((rows, max(count(total), 0), *sides, CONTEXT), frames.dtype)
    for made, own, steps in zip(windows, frames, np.maximum(counts, 0).tolist(), strict=True):
        for shift in range(CONTEXT):
            made[:steps, ..., shift] = own[shift : shift + steps]
        made[steps:] = 0
    return windows


def of_batch(batch: dict[str, tf.Tensor], padding: str, host: bool = False) -> dict[str, tf.Tensor]:
    """Replaces `frames` uint8 [B, F, 112, 112] of a batch by `windows` uint8 [B, S, 112, 112, 5]; see `make`."""
    frames = batch[BatchKey.FRAMES]
    lengths = frame_count(batch[BatchKey.LENGTHS], padding)
    rest = {key: value for key, value in batch.items() if key != BatchKey.FRAMES}
    return {BatchKey.WINDOWS: make(frames, lengths, padding, host), **rest}
