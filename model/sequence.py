"""One CNN over every step of a padded batch: `[B, S, 112, 112, 5]` -> `[B, S, features]`.

Each wrapper takes the windows and `valid`, bool `[B, S]`, true where a step counts, and gives zeros
elsewhere. At inference they agree. In training only `packed` keeps padding out of the batch normalisation's
statistics, so it is the default: there, more padding changes nothing.
"""

import tensorflow as tf
import tf_keras


class StepWise(tf_keras.layers.Layer):
    """What the wrappers share: the CNN, and the shape of what comes out."""

    def __init__(self, cnn: tf_keras.layers.Layer, name: str | None = None) -> None:
        super().__init__(name=name)
        self.cnn = cnn

    def call(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """uint8 `[B, S, 112, 112, 5]`, bool `[B, S]` -> `[B, S, features]`, zeros where not valid."""
        features = self.features(windows, valid, training)
        return tf.ensure_shape(features, [*windows.shape[:2], features.shape[-1]])

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        """As `call`; static B and S may be lost."""
        raise NotImplementedError


class Reshape(StepWise):
    """Every step, padding included, as one long batch: shapes stay static where they were."""

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        steps = tf.shape(windows)[:2]
        flat = tf.reshape(windows, [-1, *windows.shape[2:]])  # [B, S, 112, 112, 5] -> [B*S, 112, 112, 5]
        features = self.cnn(flat, training=training)  # [B*S, 112, 112, 5] -> [B*S, features]
        width = features.shape[-1]
        features = tf.reshape(features, [steps[0], steps[1], width])  # [B*S, features] -> [B, S, features]
        return tf.where(valid[..., tf.newaxis], features, tf.zeros([], features.dtype))


class Packed(StepWise):
    """Only the valid steps, gathered and scattered back: padding costs nothing and no statistic sees it."""

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        steps = tf.shape(windows)[:2]
        where = tf.cast(tf.where(valid), tf.int32)  # [N, 2], row by row whatever the padding
        count = tf.shape(where)[0]
        spare = tf.zeros([tf.cast(count == 0, tf.int32), 2], tf.int32)  # no convolution takes an empty batch
        packed = tf.gather_nd(windows, tf.concat([where, spare], 0))  # [B, S, 112, 112, 5] -> [N, 112, 112, 5]
        features = self.cnn(packed, training=training)[:count]  # [N, 112, 112, 5] -> [N, features]
        width = features.shape[-1]
        return tf.scatter_nd(where, features, [steps[0], steps[1], width])  # [N, features] -> [B, S, features]


WRAPPERS: dict[str, type[StepWise]] = {"packed": Packed, "reshape": Reshape}
