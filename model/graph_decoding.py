"""Decodes logits to text within a graph, greedily as `decoding` does, so that exports need no Python."""

from collections.abc import Sequence

import tensorflow as tf


def pieces(symbols: Sequence[str], unit: str) -> tuple[str, ...]:
    """Returns what each class of a CTC head adds to a text; the blank, which is last, adds nothing.

    Args:
      symbols: of the labels, in their order.
      unit: what a symbol is, "character" or "word".
    """
    return (*(symbol + " " * (unit == "word") for symbol in symbols), "")


def name(logits: tf.Tensor, symbols: Sequence[str]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the likeliest word of each row.

    Args:
      logits: float32 `[B, classes]`.
      symbols: of the classes.

    Returns:
      string `[B]`, and its log probability, float32 `[B]`.
    """
    return tf.gather(tf.constant(symbols), tf.argmax(logits, -1)), tf.reduce_max(tf.nn.log_softmax(logits), -1)


def spell(
    logits: tf.Tensor, lengths: tf.Tensor, before: tf.Tensor, adds: Sequence[str]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes the best path of each row, repeats collapsed, then blanks dropped (Graves et al. 2006, section 3.2).

    Args:
      logits: float32 `[B, S, classes + 1]`, blank last, S at least 1.
      lengths: int32 `[B]`, valid steps.
      before: int32 `[B]`, the class of the step before the first, of which a repeat says nothing new.
      adds: of `pieces`.

    Returns:
      What the path adds to a text, string `[B]`; its log probability, float32 `[B]`; the class of its last step, which
      is valid where the row is full, int32 `[B]`.
    """
    path = tf.argmax(logits, -1, tf.int32)  # [B, S]
    starts = path != tf.concat([before[:, tf.newaxis], path[:, :-1]], 1)
    valid = tf.sequence_mask(lengths, tf.shape(path)[1])
    added = tf.where(starts & valid, tf.gather(tf.constant(adds), path), "")
    best = tf.reduce_max(tf.nn.log_softmax(logits), -1)
    return tf.strings.reduce_join(added, 1), tf.reduce_sum(tf.where(valid, best, 0.0), 1), path[:, -1]


def single_spaced(text: tf.Tensor) -> tf.Tensor:
    """Collapses runs of spaces and removes leading ones; one at the end stays, as the text may continue."""
    return tf.strings.regex_replace(tf.strings.regex_replace(text, " +", " "), "^ ", "")
