"""Exports a lip reader as a SavedModel: frames in, text out. It needs TensorFlow alone."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model import batch as fields
from model import graph_decoding
from model.errors import RunError
from model.lipreader import LipReader

ABOUT = "input.json"  # in the SavedModel's directory: what its frames have to look like
SIDE = fields.WINDOW[0]  # pixels of a frame
FRAMES = tf.TensorSpec([None, None, SIDE, SIDE], tf.uint8, "frames")


def whole(
    model: LipReader, symbols: Sequence[str], unit: str, windows: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> Callable[..., dict[str, tf.Tensor]]:
    """Builds the graph that reads whole clips, by best path or best word.

    It takes `frames` uint8 `[B, F, 112, 112]`, `lengths` int32 `[B]` (valid frames) and, where the model uses it,
    `in_word` uint8 `[B, F]` (1 at the frames of the word itself). It gives `text` string `[B]` and `score` float32
    `[B]`, the log probability (nats) of the word, or of the best path through the text, as in `decoding.Hypothesis`.
    Lengths that make no window or are more than F are an InvalidArgumentError.

    Args:
      model: reads in inference mode.
      symbols: of the labels, in their order.
      unit: what a symbol is, "character" or "word".
      windows: frames uint8 `[B, F, 112, 112]` and their lengths to windows uint8 `[B, S, 112, 112, 5]`.
    """
    signature = [FRAMES, tf.TensorSpec([None], tf.int32, "lengths")]
    if model.config.use_in_word:
        signature.append(tf.TensorSpec([None, None], tf.uint8, "in_word"))

    def read(frames: tf.Tensor, lengths: tf.Tensor, in_word: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        batch = _batch(frames, lengths, in_word, windows)
        logits = model(batch, training=False)
        if model.config.head == "word":
            text, score = graph_decoding.name(logits, symbols)
        else:
            blank = tf.fill(tf.shape(lengths), model.config.classes)
            text, score, _ = graph_decoding.spell(
                logits, batch[fields.LENGTHS], blank, graph_decoding.pieces(symbols, unit)
            )
            text = tf.strings.strip(graph_decoding.single_spaced(text))
        return {"text": text, "score": score}

    return tf.function(read, input_signature=signature, autograph=False)


def _batch(
    frames: tf.Tensor,
    lengths: tf.Tensor,
    in_word: tf.Tensor | None,
    windows: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> dict[str, tf.Tensor]:
    total = tf.shape(frames)[1]
    within = tf.debugging.assert_less_equal(lengths, total, "lengths: want at most as many as there are frames")
    with tf.control_dependencies([within]):
        cut = windows(frames, lengths)
    lost = total - tf.shape(cut)[1]  # frames that are no window's middle, half at either end
    steps = lengths - lost
    enough = tf.debugging.assert_positive(steps, "lengths: want enough frames for a window in every row")
    with tf.control_dependencies([enough]):
        batch = {fields.WINDOWS: cut, fields.LENGTHS: tf.identity(steps)}
    if in_word is not None:
        batch[fields.IN_WORD] = in_word[:, lost // 2 : total - lost // 2]  # [B, F] -> [B, S]
    return batch


def save(model: LipReader, signatures: Mapping[str, Any], about: Mapping[str, Any], directory: str | Path) -> None:
    """Writes a SavedModel that gets its name once it is whole.

    Args:
      model: whose weights go along.
      signatures: graphs by name.
      about: what frames have to look like, as JSON can say it; goes into `input.json` beside the graphs.
      directory: to make.

    Raises:
      RunError: it is there already, or there is no directory to make it in.
    """
    directory = Path(directory)
    if directory.exists():
        raise RunError(f"{directory}: is there already; name a new directory")
    if not directory.parent.is_dir():
        raise RunError(f"{directory}: there is no directory {directory.parent}; make it, or name another")
    held = tf.Module()  # not the model itself: saved as a Keras object, every layer would be traced once more
    held.weights = model.variables
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as place:
        unfinished = Path(place) / "model"
        tf.saved_model.save(held, str(unfinished), signatures=dict(signatures))
        (unfinished / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(directory)
