"""Keras 3, which TensorFlow brings and the project does not use, fits a model of its own on our batches."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.schema import Clip
from pipeline.vocab import Vocabulary
from tests import datasets

GRAYS = {"bin": 40, "at": 120, "now": 200}
CONFIG = DataConfig(Vocabulary.of_words(sorted(GRAYS)), unit="word", margin=0)


def shaded(number: int) -> Clip:
    """A clip whose words differ by how bright they are."""
    clip = datasets.clip(f"s1/c{number}", 24, [("bin", 0, 8), ("at", 8, 16), ("now", 16, 24)])
    frames = np.zeros_like(clip.frames)
    for word in clip.words:
        frames[word.start : word.stop] = GRAYS[word.text] + number
    return dataclasses.replace(clip, frames=frames)


def test_keras_3_learns_from_the_dataset(tmp_path: Path) -> None:
    assert keras.__version__.startswith("3.")
    keras.utils.set_random_seed(0)
    data = datasets.write_dataset(tmp_path / "data", {"train": [[shaded(number) for number in range(8)]]})
    stream = data, "train", CONFIG, PlanConfig(batch_size=4)

    def examples(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        return batch["windows"], batch["labels"][:, 0], batch["weights"]

    batches = dataset.load(*stream, epochs=None, layout="windows").map(examples)
    convolutions = [layers.Conv2D(channels, 3, 4, "same", activation="relu") for channels in (8, 16)]
    cnn = keras.Sequential([layers.Rescaling(1 / 255), *convolutions, layers.Flatten()])
    named = layers.Dense(len(CONFIG.vocabulary))
    model = keras.Sequential([layers.TimeDistributed(cnn), layers.GlobalAveragePooling1D(), named])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, weighted_metrics=["accuracy"])
    learned = model.fit(batches, steps_per_epoch=dataset.steps_per_epoch(*stream), epochs=20, verbose=0).history
    assert learned["accuracy"][-1] > 0.9
