"""One training step of a CNN, operation by operation: TensorFlow's profiler, summed by layer and direction."""

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from model.batch import WINDOW
from model.vgg_m import TABLES, Pool
from scripts.benchmarks.sequence_variant import trainer, wrapped

FORWARD, GRADIENTS = "forward", "gradients"
INPUT, NORMS, POOLS, RELUS, REST = "gray values", "normalisation", "pooling", "ReLU", "rest"
SHARED = (INPUT, NORMS, POOLS, RELUS, REST)  # parts that are not a layer's own
GFLOP, STEP, PEAK = "GFLOP", "step ms", "peak GFLOP/s"
SIDE = 2048  # of the matrices whose product shows what the cores can do


def main(variant: str, table: str, width: float, batch: int, length: int, repeats: int) -> dict[str, float]:
    """Runs random windows through the CNN over the reshape, one operation after another, each with all cores.

    Args:
      variant: `reshape` or `keras`.
      table: VGG-M's layers.
      width: of VGG-M.
      batch: rows.
      length: windows of each.
      repeats: steps, of which the median, and the mean of each part, counts.

    Returns:
      Milliseconds a part, such as "conv1 forward" or "pooling"; `GFLOP` of a direct convolution behind each layer's;
      "step ms"; "peak GFLOP/s", those of a matrix product.
    """
    tf.config.threading.set_inter_op_parallelism_threads(1)  # whose time it is shall be plain
    wrapper = wrapped(variant, table, width)
    train = trainer(wrapper)
    windows = np.random.default_rng(0).integers(0, 256, [batch, length, *WINDOW], np.uint8)
    given = tf.constant(windows), tf.ones([batch, length], tf.bool)
    seconds = statistics.median(_timed(lambda: float(train(*given)), repeats))
    with tempfile.TemporaryDirectory() as scratch:
        tf.profiler.experimental.start(scratch)
        for _ in range(repeats):
            float(train(*given))
        tf.profiler.experimental.stop()
        (profile,) = Path(scratch).rglob("*.xplane.pb")
        spent = Counter(dict.fromkeys(SHARED, 0.0))
        for operation, milliseconds in operations(profile.read_bytes()):
            spent[part(operation, table)] += milliseconds / repeats
    work = {f"{layer} {GFLOP}": batch * length * flop / 1e9 for layer, flop in flops(wrapper.cnn, table).items()}
    return {"items": batch * length, "seconds": seconds, STEP: 1e3 * seconds, PEAK: _peak(repeats), **spent, **work}


def operations(profile: bytes) -> Iterator[tuple[str, float]]:
    """Yields TensorFlow's operations in a profile, `path/of/its/node`, with their milliseconds."""
    for plane in xplane_pb2.XSpace.FromString(profile).planes:
        if plane.name == "/host:CPU":
            for event in (event for line in plane.lines for event in line.events):
                node, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and kind.isidentifier() and ":" not in node:  # `Executor::Process` is none
                    yield node, event.duration_ps / 1e9


def part(operation: str, table: str) -> str:
    """Returns the part of the step that an operation belongs to: a layer and direction, or a shared part."""
    path = operation.split("/")
    layer = next((name for name in path if name in TABLES[table]), None)
    if layer is None:
        return INPUT if {"rescaling", "Cast"} & set(path) else REST
    if isinstance(TABLES[table][layer], Pool):
        return POOLS
    for name, shared in (("norm", NORMS), ("relu", RELUS)):
        if name in path:
            return shared
    return f"{layer} {GRADIENTS if path[0] == 'gradient_tape' else FORWARD}"


def flops(cnn: tf_keras.Sequential, table: str) -> dict[str, float]:
    """Layer -> floating-point operations of a window forward, two a tap and place, as a direct convolution has them."""
    work = {}
    for name, row in TABLES[table].items():
        if not isinstance(row, Pool):
            layer = cnn.get_layer(name)
            places = np.prod(layer.output_shape[1:-1])  # 1 of a dense layer
            work[name] = 2.0 * places * np.prod(layer.kernel.shape)
    return work


def _timed(function: Callable[[], float], repeats: int) -> list[float]:
    """Returns the seconds of each call, after one that does not count."""
    function()
    marks = [time.perf_counter()]
    for _ in range(repeats):
        function()
        marks.append(time.perf_counter())
    return np.diff(marks).tolist()


def _peak(repeats: int) -> float:
    matrix = tf.random.stateless_normal([SIDE, SIDE], [0, 0])
    return 2 * SIDE**3 / 1e9 / min(_timed(lambda: float((matrix @ matrix)[0, 0]), repeats))


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
