"""Per-example losses and their weighted mean, float32."""

from collections.abc import Mapping

import tensorflow as tf

from model import batch as fields
from model import replicas


def word(logits: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Computes the cross-entropy against smoothed targets (Szegedy et al. 2016).

        q_k = (1 - smoothing) [k = y] + smoothing / K,    loss = -sum_k q_k log softmax(z)_k

    Args:
      logits: `[B, K]`.
      labels: int32 `[B]`, 0 <= label < K.
      smoothing: 0 <= smoothing < 1.

    Returns:
      float32 `[B]`, nats.
    """
    logs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    right = tf.gather(logs, labels, axis=1, batch_dims=1)
    return -(1 - smoothing) * right - smoothing * tf.reduce_mean(logs, axis=1)


def min_ctc_windows(labels: tf.Tensor, label_lengths: tf.Tensor) -> tf.Tensor:
    """Returns the minimal number of windows that CTC needs for each row: labels, and blanks between equal neighbours.

    Args:
      labels: int32 `[B, L]`.
      label_lengths: int32 `[B]`.

    Returns:
      int32 `[B]`.
    """
    inner = tf.sequence_mask(label_lengths - 1, tf.maximum(tf.shape(labels)[1] - 1, 0))
    repeats = tf.cast((labels[:, 1:] == labels[:, :-1]) & inner, tf.int32)
    return label_lengths + tf.reduce_sum(repeats, axis=1)


def ctc(logits: tf.Tensor, lengths: tf.Tensor, labels: tf.Tensor, label_lengths: tf.Tensor) -> tf.Tensor:
    """Computes the connectionist temporal classification loss (Graves et al. 2006), over true lengths, blank last.

        loss = -log sum_{pi in B^-1(y)} prod_{s < length} softmax(z_s)_{pi_s}

    where B drops repeats, then blanks. A row with fewer windows than `min_ctc_windows` has no such path: its
    loss is infinity, and `model.train` stops and names the clip. Conversion rejects such clips (`text_too_long`).

    Args:
      logits: `[B, S, classes + 1]`.
      lengths: int32 `[B]`, windows.
      labels: int32 `[B, L]`, 0 <= label < classes.
      label_lengths: int32 `[B]`.

    Returns:
      float32 `[B]`, nats.
    """
    logits = tf.cast(logits, tf.float32)
    possible = min_ctc_windows(labels, label_lengths) <= lengths
    blanks = -tf.nn.log_softmax(logits)[..., -1]  # [B, S]: of a text without labels, blanks are the only path
    empty = tf.reduce_sum(tf.where(tf.sequence_mask(lengths, tf.shape(logits)[1]), blanks, 0.0), axis=1)
    # The kernel refuses rows without labels or without a path: one label in one window stands in for them.
    usual = possible & (label_lengths > 0)
    # Sparse labels take the native kernel, or cuDNN's; dense ones a scan of small operations, seven times slower.
    loss = tf.nn.ctc_loss(
        labels=_sparse(labels, tf.where(usual, label_lengths, 1)),
        logits=logits,
        label_length=None,
        logit_length=tf.where(usual, lengths, 1),
        logits_time_major=False,
        blank_index=-1,
    )
    return tf.where(usual, loss, tf.where(possible, empty, float("inf")))


def _sparse(labels: tf.Tensor, label_lengths: tf.Tensor) -> tf.SparseTensor:
    """Returns the first `label_lengths` labels of each row, on the host, where both kernels want them."""
    with tf.device("/CPU:0"):
        labels = tf.pad(labels, [[0, 0], [0, 1]])  # a column at least
        kept = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
        return tf.SparseTensor(tf.where(kept), labels[kept], tf.shape(labels, tf.int64))


def rows(head: str, logits: tf.Tensor, batch: Mapping[str, tf.Tensor], smoothing: float = 0.0) -> tf.Tensor:
    """Computes the loss of each row for the head "word" (with `smoothing`) or "ctc".

    Returns:
      float32 `[B]`, nats; 0 where the weight is 0.
    """
    if head == "word":
        loss = word(logits, batch[fields.LABELS][:, 0], smoothing)
    else:
        loss = ctc(logits, batch[fields.LENGTHS], batch[fields.LABELS], batch[fields.LABEL_LENGTHS])
    return tf.where(batch[fields.WEIGHTS] > 0, loss, 0.0)


def weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns `sum(w v) / sum(w)` of two float32 `[B]`; 0 where all weights are 0.

    Where a step has several replicas the second sum is over all of them, so that the results of all add up to the mean.
    """
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), replicas.summed(tf.reduce_sum(weights)))
