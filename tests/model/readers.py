"""Small lip readers whose texts are worth comparing, and what they read."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model import decoding
from model.config import LipReaderConfig
from model.lipreader import LipReader
from pipeline.loading import windows as loading
from pipeline.vocab import Vocabulary

SYMBOLS = (" ", "a", "b", "c")
# How far scores may be from those of the eager model. A graph has convolutions, normalisations and ReLUs fused, which
# in half precision leaves roundings out, and logits of `lively` magnify what that changes.
FLOAT, HALF = {"rtol": 1e-3, "atol": 1e-5}, {"rtol": 0.02, "atol": 0.1}
SCORES = {"float32": FLOAT, "mixed_bfloat16": HALF, "mixed_float16": HALF}


def write_run(directory: Path, config: LipReaderConfig, **sections: dict[str, Any]) -> None:
    """Writes the `run.json` of a model, with more of its sections."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps({"version": 2, "model": dataclasses.asdict(config), **sections}))


def reader(**settings: Any) -> LipReader:
    """Untrained, and lively on `frames`."""
    shape = {"head": "ctc", "width": 0.0625, "lstm_units": 8, "bidirectional": False, **settings}
    return lively(LipReader(LipReaderConfig(classes=len(SYMBOLS), **shape), seed=1), frames(4, 20))


def lively(model: LipReader, clips: np.ndarray) -> LipReader:
    """Gives a model a head that finds every symbol in uint8 [B, F, 112, 112]: its logits have mean 0, deviation 3."""
    cut = windows(clips)
    batch = {
        "windows": cut,
        "lengths": tf.fill(cut.shape[:1], cut.shape[1]),
        "in_word": tf.ones(cut.shape[:2], tf.uint8),
    }
    logits = tf.reshape(model(batch), [-1, model.head.units])  # [B, S, n] or [B, n] -> [N, n]
    scale = 3 / tf.math.reduce_std(logits, 0)
    model.head.kernel.assign(scale * model.head.kernel)
    model.head.bias.assign(-scale * tf.reduce_mean(logits, 0))
    return model


def unit(model: LipReader) -> str:
    return "word" if model.config.head == "word" else "character"


def frames(clips: int, count: int) -> np.ndarray:
    """uint8 [clips, count, 112, 112]: bars that move, each clip's at another speed."""
    place, time = np.arange(112), np.arange(count)
    speed = np.arange(1, clips + 1)[:, None]
    waves = np.sin(place * (0.05 + 0.04 * np.sin(speed * time)[..., None]) + (speed * time)[..., None])
    return np.broadcast_to(128 + 120 * waves[:, :, None], [clips, count, 112, 112]).astype(np.uint8)


def windows(frames: np.ndarray | tf.Tensor, lengths: Sequence[int] | tf.Tensor | None = None) -> tf.Tensor:
    """uint8 [B, F, 112, 112] -> [B, F - 4, 112, 112, 5]."""
    return loading.make(tf.convert_to_tensor(frames), lengths)


def read(model: LipReader, frames: np.ndarray, lengths: np.ndarray) -> list[tuple[str, float]]:
    """Text and score of each clip, by the decoder in NumPy."""
    logits = model({"windows": windows(frames), "lengths": tf.constant(lengths - 4, tf.int32)}).numpy()
    vocabulary = Vocabulary(unit(model), SYMBOLS)
    return [
        (vocabulary.decode(row.labels), row.score) for row in decoding.decode(model.config.head, logits, lengths - 4)
    ]
