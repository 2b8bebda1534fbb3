"""One training step: optimizer, gradient."""

import math
from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras

from model import batch as fields
from model import distribution as distributions
from model import losses, replicas
from model.averaging import Average
from model.config import TrainConfig
from model.lipreader import LipReader, input_keys

Batch = Mapping[str, tf.Tensor]
VALUES = ("loss", "gradient_norm", "learning_rate", "loss_scale")  # of a step; the scale is 0 without loss scaling
SCALE, GROWTH = 2.0**15, 2000  # of the loss, and steps without an overflow after which it doubles: Keras' own


class WarmupCosine(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that grows linearly to `peak`, then falls to 0 along half a cosine.

    At step t: `peak (t + 1) / warmup` where t < warmup, else
    `peak (1 + cos(pi (t - warmup) / (total - warmup))) / 2`.
    """

    def __init__(self, peak: float, warmup: int, total: int) -> None:
        self.peak, self.warmup, self.total = peak, warmup, total

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rising = (step + 1) / max(self.warmup, 1)
        falling = (1 + tf.cos(math.pi * (step - self.warmup) / (self.total - self.warmup))) / 2
        return self.peak * tf.where(step < self.warmup, rising, falling)


def make_optimizer(model: LipReader, config: TrainConfig, total: int) -> tf_keras.optimizers.Optimizer:
    """Builds AdamW over `total` steps, with its slots, so that a checkpoint restores at once.

    In float16 it scales the loss (Micikevicius et al. 2018): a step of which a gradient overflows is left out and
    halves the scale, `GROWTH` steps without one double it.
    """
    schedule = WarmupCosine(config.learning_rate, int(config.warmup * total), total)
    optimizer = tf_keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, jit_compile=False)
    vectors = [variable for variable in model.trainable_variables if variable.shape.rank < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)  # biases, and gamma and beta of batch normalisation
    if model.config.precision == "mixed_float16":
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer, True, SCALE, GROWTH)
    optimizer.build(model.trainable_variables)
    return optimizer


def make_step(
    model: LipReader,
    optimizer: tf_keras.optimizers.Optimizer,
    config: TrainConfig,
    distribution: distributions.Distribution = distributions.SINGLE,
    average: Average | None = None,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Builds the training step, traced once: a batch of each share -> float32 losses `[B]`, nats, and `VALUES`, `[4]`.

    Loss and gradient are those of the global batch: each replica divides by the weights of all, and the sums over the
    replicas are clipped and applied by each alike. A gradient that is not finite is not applied: training then ends,
    and the checkpoint is kept, not the model in memory, whose statistics have met that batch. What is returned stays on
    the device, so that the caller decides when to wait for it.
    """
    variables = model.trainable_variables
    scales = isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)

    def learn(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        step, scale = tf.identity(optimizer.iterations), tf.identity(optimizer.loss_scale) if scales else 0.0
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
            rows = losses.rows(model.config.head, logits, batch, config.label_smoothing)
            loss = losses.weighted_mean(rows, batch[fields.WEIGHTS])
            scaled = optimizer.get_scaled_loss(loss) if scales else loss
        gradients = tape.gradient(scaled, variables)
        gradients = optimizer.get_unscaled_gradients(gradients) if scales else gradients
        gradients, norm = tf.clip_by_global_norm(replicas.summed(gradients), config.clip_norm)
        if not scales:  # a scaling optimizer leaves such a gradient out itself, and has to see it
            gradients = [tf.where(tf.math.is_finite(norm), gradient, 0.0) for gradient in gradients]
        pairs = zip(gradients, variables, strict=True)
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        if average:
            average.update(step)
        return rows, tf.stack([replicas.summed(loss), norm, optimizer.learning_rate, scale])

    return distribution.function(learn, fields.specs(batch_keys(model)))


def batch_keys(model: LipReader) -> tuple[str, ...]:
    """Returns the batch keys that a step reads."""
    labels = (fields.LABELS, fields.LABEL_LENGTHS) if model.config.head == "ctc" else (fields.LABELS,)
    return (*input_keys(model.config), *labels, fields.WEIGHTS)
