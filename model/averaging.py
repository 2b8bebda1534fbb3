"""Averages of a model's weights over the steps of a training, which read better than the last ones."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras

WARMUP = 10.0  # steps: the first averages are of few


class Average(tf.Module):
    """The exponential moving average of all weights (Polyak and Juditsky 1992), statistics of normalisation included.

        d_t = min(decay, (1 + t) / (WARMUP + t)),    average = d_t average + (1 - d_t) weight

    Args:
      model: whose variables are averaged; integers, such as counters, are not.
      decay: 0 <= decay < 1.
    """

    def __init__(self, model: tf_keras.Model, decay: float) -> None:
        super().__init__(name="average")
        self._decay = decay
        self._weights = [weight for weight in model.variables if weight.dtype.is_floating]
        # Replicas average alike, each for itself: no sum, and no message.
        alone = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self.averages = [tf.Variable(weight, **alone) for weight in self._weights]

    def update(self, step: tf.Tensor) -> None:
        """Takes the weights of one more step, the `step`-th, from 0."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (WARMUP + step))
        for average, weight in zip(self.averages, self._weights, strict=True):
            average.assign(decay * average + (1 - decay) * weight)

    def apply(self) -> None:
        """Gives the averages to the model."""
        for average, weight in zip(self.averages, self._weights, strict=True):
            weight.assign(average)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Gives the averages to the model within this context, its own weights afterwards."""
        own = [weight.numpy() for weight in self._weights]
        self.apply()
        try:
            yield
        finally:
            for value, weight in zip(own, self._weights, strict=True):
                weight.assign(value)
