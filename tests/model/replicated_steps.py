"""Twenty steps on one device and on two, of batches with padding and weights of 0.

`python -m tests.model.replicated_steps STRATEGY HEAD PRECISION OUTPUT`: the chief writes losses, norms, weights
and their averages.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads

import numpy as np
import tensorflow as tf

from model import batch as fields
from model.averaging import Average
from model.config import LipReaderConfig, TrainConfig
from model.distribution import SINGLE, Distribution, open_distribution
from model.lipreader import LipReader
from model.train_step import batch_keys, make_optimizer, make_step

STEPS, ROWS, WINDOWS = 20, 4, 6
HOW = TrainConfig(epochs=1, warmup=0.0, ema=0.9)


def batch(step: int, head: str) -> dict[str, np.ndarray]:
    """In every fourth batch replica 0 has no row that counts, in another one replica 1 lacks a row."""
    draw = np.random.default_rng(step)
    labels = 2 if head == "ctc" else 1
    weights = np.ones(ROWS, np.float32)
    weights[{1: [0, 2], 2: [3]}.get(step % 4, [])] = 0
    return {
        "windows": draw.integers(0, 256, [ROWS, WINDOWS, *fields.WINDOW], np.uint8),
        "lengths": draw.integers(4, WINDOWS, ROWS).astype(np.int32),
        "labels": draw.integers(0, 4, [ROWS, labels]).astype(np.int32),
        "label_lengths": np.full(ROWS, labels, np.int32),
        "weights": weights,
    }


def learn(distribution: Distribution, head: str, precision: str) -> dict[str, np.ndarray]:
    shape = {"table": "C", "width": 0.05, "lstm_units": 8, "bidirectional": False, "dropout": 0.3}
    with distribution.scope():
        model = LipReader(LipReaderConfig(classes=4, head=head, precision=precision, **shape), seed=1)
        optimizer = make_optimizer(model, HOW, STEPS)
        average = Average(model, HOW.ema)
    weights = {f"initial{place}": value for place, value in enumerate(model.get_weights())}
    step, taken = make_step(model, optimizer, HOW, distribution, average), []
    for number in range(STEPS):
        whole = batch(number, head)
        shares = [{key: each[own.worker :: own.workers] for key, each in whole.items()} for own in distribution.shares]
        _, values = step(*(fields.select(share, batch_keys(model)) for share in shares))
        taken.append(values[:2].numpy())
    weights |= {f"weight{place}": value for place, value in enumerate(model.get_weights())}
    with average.applied():
        weights |= {f"average{place}": value for place, value in enumerate(model.get_weights())}
    return {"taken": np.array(taken), "replicas": np.array(distribution.shares[0].workers), **weights}


def main(strategy: str, head: str, precision: str, output: str) -> None:
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    distribution = open_distribution(strategy, 120, lambda cluster: None)
    if distribution.is_chief:
        np.savez(f"{output}/single", **learn(SINGLE, head, precision))  # the others wait at their first variable
    found = learn(distribution, head, precision)
    if distribution.is_chief:
        np.savez(f"{output}/several", **found)
    distribution.exchange(None)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
