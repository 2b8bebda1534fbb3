"""A lip reader that reads frames as they arrive and keeps the LSTM's state; the text equals that of the whole clip.

    state = start(streams=1)
    while there are frames:
        state = step(frames=frames, **state)      # state["text"] and state["score"]: so far
    state = finish(**state)

A step reads every window that the frames so far fill: the state keeps the last four of them, and of the reader

    lstm    float32 [layers, 2, B, units]  h and c of each layer
    ctc:    last int32 [B]                 the class of the last step, so that a sound that goes on is not said twice
    word:   total float32 [B, units]       the sum of the last layer's outputs, and
            steps int32 []                 of how many
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from model import batch as fields
from model import export, graph_decoding
from model.errors import RunError
from model.lipreader import LipReader

BEFORE = fields.WINDOW[2] - 1  # frames that the next one makes a window with
State = dict[str, tf.Tensor]


class Stream:
    """The graphs `start`, `step` and `finish` of a run.

    Args:
      model: reads in inference mode, forward only.
      symbols: of the labels, in their order.
      unit: what a symbol is, "character" or "word".
      windows: frames uint8 `[B, F, 112, 112]` to windows uint8 `[B, F - 4, 112, 112, 5]`, none of fewer than five.
      border: how often the first and the last frame are repeated at the ends of a clip.

    Raises:
      RunError: the model has to see the end of the clip first.
    """

    def __init__(
        self,
        model: LipReader,
        symbols: Sequence[str],
        unit: str,
        windows: Callable[[tf.Tensor], tf.Tensor],
        border: int = 0,
    ) -> None:
        for field in ("bidirectional", "use_in_word"):
            if getattr(model.config, field):
                raise RunError(f"streaming: the run is {field}, which wants whole clips; train with --no{field}")
        self._model, self._symbols, self._unit = model, symbols, unit
        self._windows, self._border = windows, border
        # The model's own cells, in layers that give their state.
        how = {"return_sequences": True, "return_state": True, "dtype": tf.float32}
        self._lstms = [tf_keras.layers.RNN(one.cell, **how) for one in model.lstms]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Returns `start`, `step` and `finish` as graphs, for any number of streams and of frames a step."""
        start = tf.function(lambda streams: self.start(streams), autograph=False)
        step = tf.function(lambda frames, **state: self.step(frames, state), autograph=False)
        finish = tf.function(lambda **state: self.finish(state), autograph=False)
        specs = self._specs()
        return {
            "start": start.get_concrete_function(streams=tf.TensorSpec([], tf.int32)),
            "step": step.get_concrete_function(frames=export.FRAMES, **specs),
            "finish": finish.get_concrete_function(**specs),
        }

    def start(self, streams: tf.Tensor) -> State:
        """Returns the state before the first frame of `streams` clips, read in parallel."""
        state = {
            name: tf.zeros([streams if size is None else size for size in spec.shape], spec.dtype)
            for name, spec in self._specs().items()
            if name not in ("context", "last")
        }
        state["context"] = tf.zeros([streams, 0, export.SIDE, export.SIDE], tf.uint8)
        if self._model.config.head == "ctc":
            state["last"] = tf.fill([streams], self._model.config.classes)  # blank
        return state

    def step(self, frames: tf.Tensor, state: State) -> State:
        """Returns the state after frames, uint8 `[B, N, 112, 112]`, N of 0 or more."""
        before = state["context"]
        border = tf.where(tf.shape(before)[1] == 0, self._border, 0)
        seen = tf.concat([before, tf.repeat(frames[:, :1], border, 1), frames], 1)
        windows = self._windows(seen)
        state = tf.cond(tf.shape(windows)[1] > 0, lambda: self._read(windows, state), lambda: dict(state))
        return {**state, "context": seen[:, -BEFORE:]}

    def finish(self, state: State) -> State:
        """Returns the state after the last frame."""
        if self._border:
            state = self.step(tf.repeat(state["context"][:, -1:], self._border, 1), state)
        return {**state, "text": tf.strings.strip(state["text"])}

    def _specs(self) -> dict[str, tf.TensorSpec]:
        config = self._model.config
        specs = {
            "context": tf.TensorSpec(export.FRAMES.shape, tf.uint8),
            "lstm": tf.TensorSpec([config.lstm_layers, 2, None, config.lstm_units], tf.float32),
            "text": tf.TensorSpec([None], tf.string),
            "score": tf.TensorSpec([None], tf.float32),
        }
        if config.head == "ctc":
            return {**specs, "last": tf.TensorSpec([None], tf.int32)}
        mean = {"total": tf.TensorSpec([None, config.lstm_units], tf.float32), "steps": tf.TensorSpec([], tf.int32)}
        return {**specs, **mean}

    def _read(self, windows: tf.Tensor, state: State) -> State:
        """Returns the state after windows, uint8 `[B, S, 112, 112, 5]`, S of 1 or more; its `context` unchanged."""
        x = self._model.features(windows, tf.ones(tf.shape(windows)[:2], bool), training=False)
        memories = []
        for lstm, memory in zip(self._lstms, tf.unstack(state["lstm"]), strict=True):
            x, *memory = lstm(x, initial_state=tf.unstack(memory), training=False)
            memories.append(tf.stack(memory))
        return {**state, "lstm": tf.stack(memories), **(self._say if "last" in state else self._name)(x, state)}

    def _say(self, x: tf.Tensor, state: State) -> State:
        """Decodes what outputs, float32 `[B, S, units]`, add to a text."""
        shape = tf.shape(x)
        lengths = tf.fill(shape[:1], shape[1])
        adds = graph_decoding.pieces(self._symbols, self._unit)
        added, score, last = graph_decoding.spell(self._model.head(x), lengths, state["last"], adds)
        text = graph_decoding.single_spaced(tf.strings.join([state["text"], added]))
        return {"text": text, "score": state["score"] + score, "last": last}

    def _name(self, x: tf.Tensor, state: State) -> State:
        """Names the word of the mean of all outputs; the newest are float32 `[B, S, units]`."""
        total, steps = state["total"] + tf.reduce_sum(x, 1), state["steps"] + tf.shape(x)[1]
        text, score = graph_decoding.name(self._model.head(total / tf.cast(steps, tf.float32)), self._symbols)
        return {"text": text, "score": score, "total": total, "steps": steps}
