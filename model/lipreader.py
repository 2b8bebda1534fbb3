"""The lip reader: VGG-M on every window, an LSTM over the windows, a head that names a word or spells a text.

    x_s = dropout(VGG-M(window_s))                                    [B, S, 112, 112, 5] -> [B, S, 512]
    i, f, o = sigmoid(W x_s + U h_{s-1} + b) each, g = tanh(the same)
    c_s = f * c_{s-1} + i * g,   h_s = o * tanh(c_s)                  [B, S, 512] -> [B, S, units]
    word:  logits = V mean_s(h_s) + a, over the word's own windows    -> [B, classes]
    ctc:   logits_s = V h_s + a                                       -> [B, S, classes + 1], blank last

(Hochreiter and Schmidhuber 1997; Schuster and Paliwal 1997 for both directions.) Steps beyond a row's length
and rows of weight 0 reach no state, nor, with the sequence wrappers `packed` and `chunked`, a statistic: the law is
"more padding, same logits". With the other wrappers it holds at inference alone.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from model import batch as fields
from model import replicas
from model.config import LipReaderConfig
from model.sequence import WRAPPERS
from model.vgg_m import VGGM


class StepDropout(tf_keras.layers.Layer):
    """Dropout with one mask for all steps of a row (Gal and Ghahramani 2016), so that padding changes no draw.

    The mask is a pure function of `seed`, of `calls`, the training calls so far, which a checkpoint carries, and of the
    row in the global batch: a resumed run draws what an unbroken one draws, and several replicas what one draws.
    """

    def __init__(self, rate: float, seed: int, name: str | None = None) -> None:
        super().__init__(name=name, dtype=tf.float32)
        self.rate = rate
        self.seed = seed
        self.calls = self.add_weight(
            "calls",
            shape=[],
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops inputs of float `[B, S, n]`; keeps the shape."""
        if not training or self.rate == 0:
            return x
        seed = tf.random.experimental.stateless_fold_in([self.seed, 0], self.calls)
        self.calls.assign_add(1)
        draw = lambda rows: tf.random.stateless_uniform([rows, 1, x.shape[-1]], seed)  # noqa: E731
        keep = replicas.own_rows(draw, tf.shape(x)[0]) >= self.rate
        return tf.where(keep, x / (1 - self.rate), tf.zeros([], x.dtype))


def input_keys(config: LipReaderConfig) -> tuple[str, ...]:
    """Returns the keys of a batch that the logits depend on."""
    return (fields.WINDOWS, fields.LENGTHS) + ((fields.IN_WORD,) if config.use_in_word else ())


class LipReader(tf_keras.Model):
    """Computes float32 logits of a batch: `[B, classes]` (word) or `[B, S, classes + 1]` with the blank last (ctc).

    All variables exist from construction on, so that a checkpoint restores at once.

    Args:
      config: the shape.
      seed: of the initial weights and of dropout.
    """

    def __init__(self, config: LipReaderConfig, seed: int = 0, name: str = "lip_reader") -> None:
        super().__init__(name=name, dtype=tf.float32)
        self.config = config
        seeds = iter(np.random.SeedSequence(seed).generate_state(2 + 5 * config.lstm_layers).tolist())
        cnn = VGGM(config.table, width=config.width, seed=next(seeds), dtype=config.precision)
        self.steps = WRAPPERS[config.sequence](cnn, name="steps")
        self.dropouts = [StepDropout(config.dropout, next(seeds), f"dropout{i + 1}") for i in range(config.lstm_layers)]
        self.lstms = [_lstm(config, seeds, f"lstm{i + 1}") for i in range(config.lstm_layers)]
        self.head = tf_keras.layers.Dense(
            config.classes + (config.head == "ctc"),
            kernel_initializer=tf_keras.initializers.GlorotUniform(next(seeds)),
            dtype=tf.float32,
            name="head",
        )
        self.infer = tf.function(
            lambda batch: self(batch, training=False),
            input_signature=[fields.specs((*input_keys(config), fields.WEIGHTS))],
            autograph=False,
        )
        self(_blank(config))

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and all of tf_keras to try
    def call(self, batch: Mapping[str, tf.Tensor], training: bool | None = None) -> tf.Tensor:
        """Computes the logits of a batch (keys in `model.batch`); without `weights` every row counts.

        Raises:
          ValueError: a key is missing, or has another dtype or shape.
        """
        batch, valid = _inputs(batch, self.config)
        x = self.features(batch[fields.WINDOWS], valid, training=training)
        if self.config.use_in_word:
            x = tf.concat([x, tf.cast(batch[fields.IN_WORD], x.dtype)[..., tf.newaxis]], axis=-1)
        # A row without a valid step keeps one, a zero: cuDNN's LSTM refuses a row that is all padding.
        mask = tf.sequence_mask(tf.maximum(batch[fields.LENGTHS], 1), tf.shape(x)[1])
        for dropout, lstm in zip(self.dropouts, self.lstms, strict=True):
            x = lstm(dropout(x, training=training), mask=mask, training=training)
        if self.config.head == "word":
            x = _masked_mean(x, _own(batch[fields.IN_WORD], mask) if self.config.use_in_word else mask)
        return self.head(x)

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool) -> tf.Tensor:
        """Computes the LSTM's inputs: uint8 `[B, S, 112, 112, 5]`, bool `[B, S]` -> float32 `[B, S, 512]`."""
        return tf.cast(self.steps(windows, valid, training=training), tf.float32)


def _inputs(batch: Mapping[str, tf.Tensor], config: LipReaderConfig) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns the checked entries that the logits depend on, and which steps count, bool `[B, S]`."""
    chosen = fields.select(batch, input_keys(config))
    if fields.WEIGHTS in batch:
        chosen[fields.LENGTHS] *= tf.cast(tf.convert_to_tensor(batch[fields.WEIGHTS]) > 0, tf.int32)
    return chosen, tf.sequence_mask(chosen[fields.LENGTHS], tf.shape(chosen[fields.WINDOWS])[1])


def _lstm(config: LipReaderConfig, seeds: Iterator[int], name: str) -> tf_keras.layers.Layer:
    def one(backwards: bool) -> tf_keras.layers.LSTM:
        return tf_keras.layers.LSTM(
            config.lstm_units,
            return_sequences=True,
            go_backwards=backwards,
            kernel_initializer=tf_keras.initializers.GlorotUniform(next(seeds)),
            recurrent_initializer=tf_keras.initializers.Orthogonal(seed=next(seeds)),
            dtype=tf.float32,
            name=f"{name}/{'backward' if backwards else 'forward'}",
        )

    if not config.bidirectional:
        return one(backwards=False)
    both = {"layer": one(backwards=False), "backward_layer": one(backwards=True)}
    return tf_keras.layers.Bidirectional(**both, dtype=tf.float32, name=name)


def _own(in_word: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Selects the steps in the word itself, or all of a row that has none: uint8, bool `[B, S]` -> bool `[B, S]`."""
    own = (in_word > 0) & mask
    return tf.where(tf.reduce_any(own, axis=1, keepdims=True), own, mask)


def _masked_mean(x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Averages over the steps of `mask`: `[B, S, n]`, bool `[B, S]` -> `[B, n]`."""
    weight = tf.cast(mask, x.dtype)[..., tf.newaxis]
    return tf.reduce_sum(x * weight, axis=1) / tf.reduce_sum(weight, axis=1)


def _blank(config: LipReaderConfig) -> dict[str, tf.Tensor]:
    """Returns the smallest batch: one row of one step."""
    shapes = {fields.WINDOWS: [1, 1, *fields.WINDOW], fields.LENGTHS: [1], fields.IN_WORD: [1, 1]}
    batch = {key: tf.zeros(shapes[key], fields.SPECS[key].dtype) for key in input_keys(config)}
    return {**batch, fields.LENGTHS: tf.ones([1], tf.int32)}
