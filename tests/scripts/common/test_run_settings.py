import dataclasses
from pathlib import Path

import pytest

from model import run
from model.config import LipReaderConfig
from model.errors import RunError
from pipeline.schema import DataError
from scripts.common import run_settings

MODEL = LipReaderConfig(classes=2, width=0.0625, lstm_units=4)


def test_settings_come_back(tmp_path: Path) -> None:
    settings = {"version": 2, "model": dataclasses.asdict(MODEL), "other": {"dir": "corpus", "shape": (1, 2)}}
    run_settings.save_run(tmp_path / "run", settings)
    run_settings.save_run(tmp_path / "run", settings)
    assert run.load_run(tmp_path / "run") == {**settings, "other": {"dir": "corpus", "shape": [1, 2]}}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


def test_other_settings_are_refused_with_each_difference(tmp_path: Path) -> None:
    run_settings.save_run(tmp_path, {"version": 2, "seed": 1, "train": {"epochs": 2}})
    with pytest.raises(RunError, match=r"run.json") as error:
        run_settings.save_run(tmp_path, {"version": 2, "seed": 2, "new": 3, "train": {"epochs": 4}})
    for changed in ("seed was 1, is 2", "train.epochs was 2, is 4", "new was absent, is 3"):
        assert changed in str(error.value)
    assert run.load_run(tmp_path)["seed"] == 1


def test_a_run_that_lists_the_words_of_all_splits_goes_on(tmp_path: Path) -> None:
    """Older runs do; now they are those of the training examples, which follow from what else is compared."""
    run_settings.save_run(tmp_path, {"version": 2, "words": ["at", "now", "on"]})
    run_settings.save_run(tmp_path, {"version": 2, "words": ["at", "now"]})
    assert run.load_run(tmp_path)["words"] == ["at", "now", "on"]


def test_a_run_is_trained_once_at_a_time(tmp_path: Path) -> None:
    run_settings.save_run(tmp_path, {"model": {}})
    before = (tmp_path / "run.json").read_bytes()
    busy = pytest.raises(DataError, match="another training is writing there; wait, or name a new directory")
    with run_settings.locked(tmp_path), busy, run_settings.locked(tmp_path):
        pass
    with run_settings.locked(tmp_path):  # again, once it is free
        assert (tmp_path / "run.json").read_bytes() == before
