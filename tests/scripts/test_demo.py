import re
from pathlib import Path

import pytest

from tests.scripts import commands


@pytest.mark.slow
def test_the_demo_learns_to_read(tmp_path: Path) -> None:
    (printed,) = commands.run(["demo", f"--output={tmp_path}"])
    accuracy = re.search(r"word accuracy +([\d.]+)%", printed)
    assert accuracy is not None
    assert float(accuracy[1]) >= 90
    assert re.search(r"clips +\d+ converted, 1 rejected", printed)
