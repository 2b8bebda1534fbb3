"""Run directories as training leaves them, of models that have learned nothing."""

import dataclasses
import functools
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from model import checkpoints, run
from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader
from model.train_step import make_optimizer
from pipeline.loading.config import DataConfig
from pipeline.mouth.settings import CropSettings
from pipeline.vocab import Vocabulary
from scripts.common import run_settings
from tests import datasets
from tests.model import readers

WORDS = ("at", "bin", "now")
LETTERS = " abintow"
WHOLE = CropSettings(mode="resize")  # the whole picture is the mouth: no face is needed


def write(directory: Path, unit: str = "sentence", *, crop: CropSettings = WHOLE, **settings: Any) -> Path:
    """A run of `unit` that reads much in `datasets.pixels`: a copy, since it takes a while to make one.

    Args:
      directory: to make.
      unit: `sentence` or `word`.
      crop: of the frames that it wants.
      settings: of the LipReaderConfig.
    """
    return shutil.copytree(Path(_made(unit, crop, **settings).name), directory)


@functools.cache
def _made(unit: str, crop: CropSettings, **settings: Any) -> tempfile.TemporaryDirectory:
    vocabulary = Vocabulary.of_words(WORDS) if unit == "word" else Vocabulary.of_characters(LETTERS)
    head = "word" if unit == "word" else "ctc"
    shape = {"width": 0.0625, "lstm_units": 8, **settings}
    clips = np.stack([datasets.pixels(20, seed) for seed in range(4)])
    model = readers.lively(LipReader(LipReaderConfig(classes=len(vocabulary), head=head, **shape), seed=2), clips)
    saved = {
        "version": run.VERSION,
        "model": dataclasses.asdict(model.config),
        "data": dataclasses.asdict(DataConfig(vocabulary, unit=unit)),
        "input": {"crop": dataclasses.asdict(crop), "fps": 25.0},
        "words": list(WORDS),
    }
    made = tempfile.TemporaryDirectory()
    run_settings.save_run(Path(made.name), saved)
    state = checkpoints.TrainingState(model, make_optimizer(model, TrainConfig(), 1), Path(made.name))
    state.save_if_best(math.nextafter(math.inf, 0))
    return made
