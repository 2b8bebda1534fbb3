"""Six clips in two shards of which one record is damaged, and what reading says of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import dataset as data
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.records.storage import Place
from pipeline.schema import Clip
from pipeline.vocab import Vocabulary
from tests import datasets, laws

BAD = 2  # the record that is damaged, the last of the first of two shards
CLIPS = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(6)]
SENTENCE = DataConfig(Vocabulary.of_characters())
IN_ORDER = PlanConfig(3, shuffle=False)


def write(root: Path, clips: list[Clip] = CLIPS, encoding: str = "raw") -> DatasetDir:
    return datasets.write_dataset(root, {"train": [clips[: BAD + 1], clips[BAD + 1 :]]}, Encoding(encoding))


def location(dataset: DatasetDir, record: int = BAD) -> tuple[Place, int]:
    return dataset.shards[dataset.index.shard[record]], int(dataset.index.offset[record])


def refused(dataset: DatasetDir, reason: str, record: int = BAD) -> None:
    """Reading in order stops with an error that names the record and the reason."""
    path, offset = location(dataset, record)
    with pytest.raises(tf.errors.UnknownError, match=f"DataError: {path} offset {offset}: .*{reason}") as caught:
        laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER))
    problem = str(data.problem(caught.value))
    assert problem.startswith(f"{path} offset {offset}: ")
    assert "\n" not in problem


def skipped(dataset: DatasetDir, sound: list[laws.Batch], reason: str, **where: Any) -> None:
    """Every row but those of the record is as in `sound`; those are empty, and the record is counted once."""
    config, order = where.pop("config", SENTENCE), where.pop("order", IN_ORDER)
    met: set[str] = set()
    got = laws.read(data.load(dataset, "train", config, order, on_bad_record="skip", skipped=met, **where))
    gone = str(dataset.index.id[BAD]).encode()
    for left, whole in zip(got, sound, strict=True):
        lost = np.array([name.partition(b"#")[0] == gone for name in whole["ids"]])
        for key in whole:
            if key not in ("frames", "weights"):
                np.testing.assert_array_equal(left[key], whole[key], err_msg=key)
        np.testing.assert_array_equal(left["frames"], np.where(lost[:, None, None, None], 0, whole["frames"]))
        np.testing.assert_array_equal(left["weights"], np.where(lost, 0, whole["weights"]))
    path, offset = location(dataset)
    assert len(met) == 1
    assert f"{path} offset {offset}: " in min(met)
    assert reason in min(met)
