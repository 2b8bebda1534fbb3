"""Frames -> windows: five consecutive lip frames as the channels of one picture."""

import tensorflow as tf

from pipeline.schema import CONTEXT, BatchKey

PADDINGS = ("valid", "same")


def count(frames: tf.Tensor | int, padding: str = "valid") -> tf.Tensor | int:
    """How many windows `frames` frames give: `F - 4` for `valid`, `F` for `same`."""
    return frames - (CONTEXT - 1) if padding == "valid" else frames


def make(frames: tf.Tensor, lengths: tf.Tensor | None = None, padding: str = "valid", host: bool = False) -> tf.Tensor:
    """`windows[b, s, y, x, k] = frames[b, s + k, y, x]`.

    With `same`, the first and the last valid frame stand in for the two frames missing at either end, so that the
    window's middle frame is frame `s`. Steps past a row's last window are zero.

    Args:
      frames: [B, F, H, W], any dtype, on any device.
      lengths: int32 [B], valid frames of each row; None where all are.
      padding: `valid` or `same`.
      host: compiled for the CPU, and only there: the same windows in an eighth of the time, but a third of a second
        to compile for each new shape.

    Returns:
      [B, S, H, W, 5] of the same dtype, S = `count(F, padding)`.
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
    windows = _compiled(frames, valid) if host else _stacked(frames, valid)
    windows.set_shape([frames.shape[0], valid.shape[1], frames.shape[2], frames.shape[3], CONTEXT])
    return windows


# On a GPU TensorFlow has no kernel that gathers or stacks bytes: it would do so on the host, and copy there and back.


def _gathered(frames: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Frames `wanted`, int32 [B, N], of each row."""
    wide = tf.cast(frames, tf.int32) if frames.dtype == tf.uint8 else frames
    return tf.cast(tf.gather(wide, wanted, batch_dims=1), frames.dtype)


def _stacked(frames: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    steps = tf.shape(valid)[1]
    windows = tf.concat([frames[:, shift : shift + steps, :, :, None] for shift in range(CONTEXT)], axis=-1)
    return tf.where(valid[:, :, None, None, None], windows, tf.zeros([], frames.dtype))


@tf.function(jit_compile=True, autograph=False)
def _compiled(frames: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """One loop over the output, which XLA makes of choosing between shifted frames by channel."""
    steps, channel = tf.shape(valid)[1], tf.range(CONTEXT)
    windows = frames[:, :steps, :, :, None]
    for shift in range(1, CONTEXT):
        windows = tf.where(channel < shift, windows, frames[:, shift : shift + steps, :, :, None])
    return tf.where(valid[:, :, None, None, None], windows, tf.zeros([], frames.dtype))


def of_batch(batch: dict[str, tf.Tensor], padding: str, host: bool = False) -> dict[str, tf.Tensor]:
    """A batch with `windows` uint8 [B, S, 112, 112, 5] in the place of `frames` uint8 [B, F, 112, 112]; see `make`."""
    frames = batch[BatchKey.FRAMES]
    total = tf.shape(frames)[1]
    lengths = batch[BatchKey.LENGTHS] + total - count(total, padding)  # of windows -> of frames
    rest = {key: value for key, value in batch.items() if key != BatchKey.FRAMES}
    return {BatchKey.WINDOWS: make(frames, lengths, padding, host), **rest}
