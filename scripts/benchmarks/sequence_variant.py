"""One wrapper that runs the CNN over time: forward, training step, tracing, memory."""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from model.batch import WINDOW
from model.sequence import WRAPPERS, StepWise
from model.vgg_m import MOMENTUM, TABLES, VGGM, Conv, Pool
from scripts.benchmarks.sequence import PLAIN

FEATURES = 512
SIGNATURE = [tf.TensorSpec([None, None, *WINDOW], tf.uint8), tf.TensorSpec([None, None], tf.bool)]
KB, MB = 1024, 1e6


def plain(table: str, width: float, features: int = FEATURES) -> tf_keras.Sequential:
    """Builds VGG-M of the usual Keras layers: convolution, normalisation, ReLU, pooling."""
    layers = tf_keras.layers
    stack = [tf_keras.Input(WINDOW), layers.Rescaling(1 / 63.75, -2.0)]
    for name, row in TABLES[table].items():
        if isinstance(row, Pool):
            stack.append(layers.MaxPooling2D(row.size, row.stride, row.padding, name=name))
            continue
        if isinstance(row, Conv):
            channels = max(1, round(row.channels * width))
            stack.append(layers.Conv2D(channels, row.kernel, row.stride, row.padding, use_bias=False, name=name))
        else:
            stack += [layers.Flatten(), layers.Dense(features, use_bias=False, name=name)]
        stack += [layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}/norm"), layers.ReLU(name=f"{name}/relu")]
    return tf_keras.Sequential(stack)


def main(
    variant: str, table: str, width: float, batch: int, length: int, padding: float, precision: str, repeats: int
) -> dict[str, float]:
    """Runs random windows through one wrapper; an item is a valid window of a training step.

    Args:
      variant: a wrapper's name, or `keras`.
      table: VGG-M's layers.
      width: of VGG-M.
      batch: rows.
      length: steps of the longest rows.
      padding: share of the steps that is padding, in rows whose lengths are evenly spread.
      precision: of the CNN, as a lip reader's configuration has it.
      repeats: of which the median counts.
    """
    tf_keras.mixed_precision.set_global_policy(precision)  # a process of its own
    wrapper = wrapped(variant, table, width)
    lengths = spread(batch, length, padding)
    windows = np.random.default_rng(0).integers(0, 256, [batch, length, *WINDOW], np.uint8)
    given = tf.constant(windows), tf.sequence_mask(lengths, length)
    train = trainer(wrapper)

    @tf.function(input_signature=SIGNATURE, autograph=False)
    def forward(windows: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.cast(wrapper(windows, valid, training=False), tf.float32))

    before = _peak_mb()
    forward_s, _, _ = _timed(forward, given, repeats)
    forward_mb = _peak_mb() - before
    train_s, train_cpu_s, trace_s = _timed(train, given, repeats)
    memory = {"forward_mb": forward_mb, "train_mb": _peak_mb() - before}
    times = {"seconds": train_s, "train_cpu_s": train_cpu_s, "forward_s": forward_s, "trace_s": trace_s}
    return {"items": sum(lengths), **times, **memory, "padding": 1 - sum(lengths) / (batch * length)}


def wrapped(variant: str, table: str, width: float) -> StepWise:
    if variant == PLAIN:
        return WRAPPERS["reshape"](plain(table, width))
    return WRAPPERS[variant](VGGM(table, width=width, features=FEATURES))


def trainer(wrapper: StepWise) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A training step: windows and which of them are valid -> the loss, the mean square of the features."""
    optimizer = tf_keras.optimizers.SGD(1e-6, jit_compile=False)
    variables = wrapper.cnn.trainable_variables
    optimizer.build(variables)

    @tf.function(input_signature=SIGNATURE, autograph=False)
    def train(windows: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(wrapper(windows, valid, training=True), tf.float32)))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return train


def spread(batch: int, length: int, padding: float) -> list[int]:
    """Returns row lengths, evenly spread around their mean, the longest of full length."""
    mean = length * (1 - padding)
    reach = min(length - mean, mean - 1)
    return [round(mean + reach * offset) for offset in np.linspace(1, -1, batch)] if batch > 1 else [round(mean)]


def _timed(function: Callable, given: tuple[tf.Tensor, ...], repeats: int) -> tuple[float, float, float]:
    """Returns median seconds and processor seconds of a call, after one that does not count, and those of tracing."""
    began = time.perf_counter()
    function.get_concrete_function()
    trace_s = time.perf_counter() - began
    calls = []
    for _ in range(repeats + 1):
        before = time.perf_counter(), time.process_time()
        float(function(*given))
        calls.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    seconds, cpu_s = (statistics.median(values) for values in zip(*calls[1:], strict=True))
    return seconds, cpu_s, trace_s


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KB / MB


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
