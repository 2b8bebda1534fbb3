"""The settings of a run for TensorBoard's HParams, beside its curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import summary_v2

SECTIONS = ("data", "order", "augment", "model", "train")  # of run.json


def write(run_dir: Path, settings: Mapping[str, Any]) -> None:
    """Writes the settings of a run that begins.

    Args:
      run_dir: of the run; its curves lie in directories below the one that is written, so HParams joins them.
      settings: contents of `run.json`.
    """
    with tf.summary.create_file_writer(str(run_dir / "tensorboard")).as_default():
        summary_v2.hparams(flat(settings), trial_id=run_dir.resolve().name)


def flat(settings: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Returns the settings that are one number or text each, by the names of their fields."""
    values = {name: value for section in SECTIONS for name, value in settings[section].items()}
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}
