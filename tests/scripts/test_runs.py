import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from model.lipreader import LipReader, LipReaderConfig
from pipeline.dataset import DataConfig
from pipeline.mouth import CropSettings
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
