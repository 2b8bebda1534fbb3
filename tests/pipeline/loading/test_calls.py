import subprocess
import sys
from collections.abc import Callable

import pytest

from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records.directory import DatasetDir
from pipeline.vocab import Vocabulary

ENDED_WITH_A_STREAM = """
import sys
from pathlib import Path
from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records.directory import open_dataset
from pipeline.vocab import Vocabulary

data, reader = open_dataset(Path(sys.argv[1])), sys.argv[2]
config = DataConfig(Vocabulary.of_characters())
batches = iter(dataset.load(data, "train", config, PlanConfig(2), epochs=None, reader=reader))
for _ in range(70):
    next(batches)
"""


@pytest.mark.parametrize("reader", ["graph", "direct"])
def test_a_program_ends_while_a_stream_is_open(tiny: Callable[[str], DatasetDir], reader: str) -> None:
    command = [sys.executable, "-c", ENDED_WITH_A_STREAM, str(tiny("raw").root), reader]
    assert subprocess.run(command, timeout=120).returncode == 0


def test_a_stream_that_is_dropped_waits_for_no_tuner(tiny: Callable[[str], DatasetDir]) -> None:
    """Whose thread may sleep for a minute: see `dataset._options`."""
    settings = tiny("raw"), "train", DataConfig(Vocabulary.of_characters()), PlanConfig(2)
    for layout in ("frames", "windows"):
        assert dataset.load(*settings, layout=layout).options().autotune.enabled is False
    assert dataset.portable(*settings).options().autotune.enabled is False
