"""One CNN over every step of a padded batch: `[B, S, 112, 112, 5]` -> `[B, S, features]`.

Each wrapper takes the windows and `valid`, bool `[B, S]`, true where a step counts, and gives zeros elsewhere. The same
weights give the same features and gradients, to the rounding of float32 or of a mixed policy's half precision, where
the CNN takes each window by itself. Batch normalisation does so at inference; in training its statistics are those of
the windows that the CNN meets at once:

    packed             the valid ones of the batch: more padding changes nothing, so it is the default
    chunked            a share of the valid ones, drawn evenly from all rows; memory is that of one share
    reshape            all of the batch, padding included
    map_batch          those of one row, padding included
    map_time           those of one step, padding included
    time_distributed   as map_time where the batch size is static, else as reshape
"""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf
import tf_keras

from model import replicas


class StepWise(tf_keras.layers.Layer):
    """Base class of the wrappers: the CNN and the shape of its output."""

    def __init__(self, cnn: tf_keras.layers.Layer, name: str | None = None) -> None:
        super().__init__(name=name)
        self.cnn = cnn

    @tf.autograph.experimental.do_not_convert  # as in `LipReader.call`
    def call(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes uint8 `[B, S, 112, 112, 5]`, bool `[B, S]` -> `[B, S, features]`, zeros where not valid."""
        features = self.features(windows, valid, training)
        return tf.ensure_shape(features, [*windows.shape[:2], features.shape[-1]])

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        """Computes what `call` does; static B and S may be lost."""
        raise NotImplementedError


def _at(windows: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """`tf.gather_nd`, four pixels as one int32: TensorFlow gathers those on a GPU, but bytes on the host alone.

    uint8 `[B, S, h, w, c]` whose h w c is static and divisible by 4, int32 `[N, 2]` -> `[N, h, w, c]`.
    """
    steps, shape = tf.shape(windows)[:2], windows.shape[2:]
    words = tf.reshape(windows, [steps[0], steps[1], shape.num_elements() // 4, 4])
    chosen = tf.gather_nd(tf.bitcast(words, tf.int32), where)  # [B, S, hwc/4] -> [N, hwc/4]
    return tf.reshape(tf.bitcast(chosen, tf.uint8), [-1, *shape])


class Packed(StepWise):
    """Runs the CNN on the valid steps alone, gathered and scattered back; padding costs nothing."""

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        steps = tf.shape(windows)[:2]
        where = tf.cast(tf.where(valid), tf.int32)  # [N, 2], row by row whatever the padding
        count = tf.shape(where)[0]
        spare = tf.zeros([tf.cast(count == 0, tf.int32), 2], tf.int32)  # no convolution takes an empty batch
        with replicas.counting(count):
            features = self.packed(windows, tf.concat([where, spare], 0), training)[:count]
        width = features.shape[-1]
        return tf.scatter_nd(where, features, [steps[0], steps[1], width])  # [N, features] -> [B, S, features]

    def packed(self, windows: tf.Tensor, where: tf.Tensor, training: bool | None) -> tf.Tensor:
        """`[B, S, 112, 112, 5]`, int32 `[N, 2]`, the places of N windows in it -> `[N, features]`."""
        return self.cnn(_at(windows, where), training=training)


class Chunked(Packed):
    """Runs the CNN on at most `size` valid steps at a time, and again in the backward pass, in the memory of one chunk.

    Inside a `tf.function` that is; in eager mode a tape keeps every chunk. The CNN has to be a function of windows and
    weights, without dropout.

    Windows are dealt to the chunks in turn, so each has some of every row, and none is much smaller than another. In
    training a chunk is normalised by its own statistics, as in a batch of that size ("ghost batches", Hoffer et al.
    2017): features differ from those of `Packed`, though padding still moves nothing. The moving statistics move once a
    batch, by the mean over its chunks.

    Args:
      cnn: the CNN.
      size: windows of a chunk, at most.
    """

    def __init__(self, cnn: tf_keras.layers.Layer, size: int = 64, name: str | None = None) -> None:
        if size < 1:
            raise ValueError(f"size: want at least 1, got {size}")
        super().__init__(cnn, name)
        self.size = size

    def packed(self, windows: tf.Tensor, where: tf.Tensor, training: bool | None) -> tf.Tensor:
        count = tf.shape(where)[0]
        chunks = -(-count // self.size)

        def part(chunk: tf.Tensor) -> tf.Tensor:
            return tf.range(chunk, count, chunks)

        def convolved(chunk: tf.Tensor) -> tf.Tensor:
            return self.cnn(_at(windows, tf.gather(where, part(chunk))), training=training)

        @tf.custom_gradient
        def features(_: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            def gradient(upstream: tf.Tensor, variables: list[tf.Variable]) -> tuple[None, list[tf.Tensor]]:
                return None, self._backward(
                    chunks, convolved, lambda chunk: tf.gather(upstream, part(chunk)), variables
                )

            return self._forward(chunks, convolved, part, count, bool(training)), gradient

        return features(windows)

    def _forward(
        self, chunks: tf.Tensor, convolved: Callable, part: Callable, count: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Computes the features of all windows `[N, features]`; in training, updates the statistics."""
        state = self.cnn.non_trainable_variables if training else []
        out = tf.TensorArray(self.cnn.output.dtype, count, element_shape=self.cnn.output_shape[1:])

        def body(chunk: tf.Tensor, out: tf.TensorArray, sums: list[tf.Tensor]) -> tuple:
            with _restored(state):
                out = out.scatter(part(chunk), convolved(chunk))
                sums = [total + variable for total, variable in zip(sums, state, strict=True)]
            return chunk + 1, out, sums

        _, out, sums = _loop(chunks, body, out, [tf.zeros_like(variable) for variable in state])
        for variable, total in zip(state, sums, strict=True):
            variable.assign(total / tf.cast(chunks, variable.dtype))
        return out.stack()

    def _backward(
        self, chunks: tf.Tensor, convolved: Callable, upstream: Callable, variables: list[tf.Variable]
    ) -> list[tf.Tensor]:
        """Sums the gradients of `variables` over the chunks."""

        def body(chunk: tf.Tensor, sums: list[tf.Tensor]) -> tuple:
            with _restored(self.cnn.non_trainable_variables), tf.GradientTape() as tape:
                features = convolved(chunk)
            gradients = tape.gradient(features, variables, upstream(chunk), tf.UnconnectedGradients.ZERO)
            return chunk + 1, [total + gradient for total, gradient in zip(sums, gradients, strict=True)]

        return _loop(chunks, body, [tf.zeros_like(variable) for variable in variables])[1]


def _loop(chunks: tf.Tensor, body: Callable, *carried: object) -> tuple:
    """Runs chunk after chunk, never two at once."""
    return tf.while_loop(lambda chunk, *_: chunk < chunks, body, (0, *carried), parallel_iterations=1)


@contextlib.contextmanager
def _restored(variables: list[tf.Variable]) -> Iterator[None]:
    before = [tf.identity(variable) for variable in variables]
    yield
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)


class Reshape(StepWise):
    """Runs the CNN on every step, padding included, as one long batch; static shapes stay static."""

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        steps = tf.shape(windows)[:2]
        flat = tf.reshape(windows, [-1, *windows.shape[2:]])  # [B, S, 112, 112, 5] -> [B*S, 112, 112, 5]
        features = self.cnn(flat, training=training)  # [B*S, 112, 112, 5] -> [B*S, features]
        width = features.shape[-1]
        features = tf.reshape(features, [steps[0], steps[1], width])  # [B*S, features] -> [B, S, features]
        return _blanked(features, valid)


class MapBatch(StepWise):
    """`tf.map_fn` over the rows of the batch.

    Args:
      cnn: the CNN.
      parallel_iterations: as `tf.map_fn` takes it.
      swap_memory: as `tf.map_fn` takes it.
    """

    def __init__(
        self,
        cnn: tf_keras.layers.Layer,
        parallel_iterations: int = 30,
        swap_memory: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(cnn, name)
        self.how = {"parallel_iterations": parallel_iterations, "swap_memory": swap_memory}

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        return _blanked(self.mapped(windows, training), valid)

    def mapped(self, slices: tf.Tensor, training: bool | None) -> tf.Tensor:
        """`[n, m, 112, 112, 5]` -> `[n, m, features]`, m windows at a time."""
        out = tf.TensorSpec([slices.shape[1], *self.cnn.output_shape[1:]], self.cnn.output.dtype)

        @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and all of tf_keras to try
        def convolved(one: tf.Tensor) -> tf.Tensor:
            return self.cnn(one, training=training)

        return tf.map_fn(convolved, slices, fn_output_signature=out, **self.how)


class MapTime(MapBatch):
    """`tf.map_fn` over time, with the arguments of `MapBatch`."""

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        slices = tf.transpose(windows, [1, 0, 2, 3, 4])  # [B, S, 112, 112, 5] -> [S, B, 112, 112, 5]
        features = tf.transpose(self.mapped(slices, training), [1, 0, 2])  # [S, B, features] -> [B, S, features]
        return _blanked(features, valid)


class TimeDistributed(StepWise):
    """Keras's layer of that name: a loop over steps if the batch size is static, else a reshape."""

    def __init__(self, cnn: tf_keras.layers.Layer, name: str | None = None) -> None:
        super().__init__(cnn, name)
        self.distributed = tf_keras.layers.TimeDistributed(cnn)

    def features(self, windows: tf.Tensor, valid: tf.Tensor, training: bool | None) -> tf.Tensor:
        return _blanked(self.distributed(windows, training=training), valid)


def _blanked(features: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    return tf.where(valid[..., tf.newaxis], features, tf.zeros([], features.dtype))


WRAPPERS: dict[str, type[StepWise]] = {
    "packed": Packed,
    "chunked": Chunked,
    "reshape": Reshape,
    "map_batch": MapBatch,
    "map_time": MapTime,
    "time_distributed": TimeDistributed,
}
