import math

import numpy as np
import pytest
import tensorflow as tf

from model import losses
from tests.model import ctc_oracle


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _ctc_by_enumeration(logits: np.ndarray, label: tuple[int, ...]) -> float:
    return -ctc_oracle.posterior(_log_softmax(logits))[label]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_word_loss_is_cross_entropy_with_the_smoothed_target(smoothing: float) -> None:
    logits = np.random.default_rng(0).normal(size=[3, 4]).astype(np.float32)
    labels = np.array([0, 3, 1])
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    want = -(target * _log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(losses.word(logits, labels, smoothing), want, rtol=1e-5)


def test_word_loss_of_even_logits_is_the_log_of_the_classes() -> None:
    np.testing.assert_allclose(losses.word(tf.zeros([1, 4]), [2]), [math.log(4)], rtol=1e-6)


@pytest.mark.parametrize("label", [(), (0,), (1, 0), (1, 1), (0, 1, 0)], ids=str)
def test_ctc_loss_is_the_sum_over_all_paths_of_the_true_length(label: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=[2, 6, 3]).astype(np.float32)
    padded = np.array([[*label, *[0] * (4 - len(label))]] * 2, np.int32)
    got = losses.ctc(logits, np.int32([4, 6]), padded, np.int32([len(label)] * 2))
    want = [_ctc_by_enumeration(logits[0, :4], label), _ctc_by_enumeration(logits[1], label)]
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_windows_needed_counts_a_blank_between_equal_neighbours() -> None:
    labels = tf.constant([[1, 2, 3], [1, 1, 1], [1, 1, 0], [0, 0, 0], [0, 0, 0]])
    got = losses.min_ctc_windows(labels, tf.constant([3, 3, 2, 1, 0]))
    np.testing.assert_array_equal(got, [3, 5, 3, 1, 0])


def test_a_text_too_long_for_its_windows_is_infinity_and_leaves_the_other_rows_alone() -> None:
    logits = tf.Variable(np.random.default_rng(2).normal(size=[3, 3, 3]).astype(np.float32))
    labels = tf.constant([[0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 0, 0]])
    lengths, label_lengths = tf.constant([3, 2, 3]), tf.constant([4, 2, 2])
    with tf.GradientTape() as tape:
        loss = losses.ctc(logits, lengths, labels, label_lengths)
    assert np.isposinf(loss[:2]).all()
    np.testing.assert_allclose(loss[2], _ctc_by_enumeration(logits.numpy()[2], (0, 1)), rtol=1e-4)
    assert np.isfinite(tape.gradient(loss, logits)[2]).all()


def test_ctc_loss_and_gradient_are_those_of_dense_labels() -> None:
    rng = np.random.default_rng(4)
    logits = tf.constant(rng.normal(size=[4, 20, 7]).astype(np.float32))
    labels = tf.constant(rng.integers(0, 6, [4, 5]).astype(np.int32))
    lengths, label_lengths = tf.constant([20, 13, 9, 20]), tf.constant([5, 3, 1, 0])

    def dense() -> tf.Tensor:
        return tf.nn.ctc_loss(labels, logits, label_lengths, lengths, logits_time_major=False, blank_index=-1)

    found = []
    for compute in (dense, lambda: losses.ctc(logits, lengths, labels, label_lengths)):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = compute()
        found.append((loss, tape.gradient(loss, logits)))
    for ours, want in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-5)


def test_a_row_without_windows_counts_as_no_text() -> None:
    logits, lengths = tf.zeros([2, 4, 3]), tf.constant([0, 0])
    got = losses.ctc(logits, lengths, tf.constant([[0], [0]]), tf.constant([0, 1]))
    np.testing.assert_array_equal(got, [0, np.inf])
    assert losses.ctc(logits, lengths, tf.zeros([2, 0], tf.int32), lengths).shape == [2]


@pytest.mark.parametrize("head", ["word", "ctc"])
def test_rows_of_weight_zero_count_nowhere(head: str) -> None:
    logits = np.random.default_rng(3).normal(size=[2, 4, 3] if head == "ctc" else [2, 3]).astype(np.float32)
    batch = {
        "lengths": tf.constant([4, 1]),
        "labels": tf.constant([[0, 1], [1, 1]]),
        "label_lengths": tf.constant([2, 2]),
        "weights": tf.constant([1.0, 0.0]),
    }
    loss = losses.rows(head, logits, batch)
    assert loss[1] == 0
    assert losses.weighted_mean(loss, batch["weights"]) == loss[0]


def test_weighted_mean() -> None:
    assert losses.weighted_mean(tf.constant([1.0, 4.0, 9.0]), tf.constant([1.0, 2.0, 0.0])) == 3
    assert losses.weighted_mean(tf.constant([1.0]), tf.constant([0.0])) == 0
