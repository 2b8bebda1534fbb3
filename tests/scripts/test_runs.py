import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model.lipreader import LipReader, LipReaderConfig
from pipeline import shards
from pipeline.dataset import DataConfig
from pipeline.mouth import CropSettings
from pipeline.plan import PlanConfig
from pipeline.schema import DataError
from pipeline.shards import DatasetDir
from pipeline.vocab import Vocabulary
from scripts import runs

MODEL = LipReaderConfig(classes=2, width=0.0625, lstm_units=4)


def test_data_of_other_crops_is_refused_with_each_difference(tiny: Callable[[], DatasetDir], tmp_path: Path) -> None:
    data = tiny()
    conversion = data.manifest["conversion"]
    crop = CropSettings(**conversion["crop"])
    opened = runs.Run(LipReader(MODEL), DataConfig(Vocabulary.of_characters()), crop, conversion["fps"])
    runs.check_input(data, opened)
    other = dataclasses.replace(opened, crop=dataclasses.replace(crop, smoothing=7.0), fps=50.0)
    with pytest.raises(DataError, match=r"crop.smoothing is .*, the run has 7.0; fps is 25.0, the run has 50.0"):
        runs.check_input(data, other)


def test_a_damaged_record_stops_reading_with_a_way_out(tiny: Callable[[], DatasetDir], tmp_path: Path) -> None:
    whole = tiny()
    root = tmp_path / "data"
    shutil.copytree(whole.root, root)
    data = shards.open_dataset(root)
    with data.shards[0].open("r+b") as file:
        file.seek(int(data.index.offset[0]) + 500)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    order = PlanConfig(batch_size=2, shuffle=False)
    with pytest.raises(DataError, match=r"split 'train' holds a record that cannot be read .*records verify --data="):
        list(runs.batches(data, "train", DataConfig(Vocabulary.of_characters()), order))
