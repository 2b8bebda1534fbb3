import json
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
    commands.run(["evaluate", f"--run={tmp_path / 'run'}", f"--data={tmp_path / 'data'}"])
    times = json.loads((tmp_path / "run" / "evaluation-data-test" / "report.json").read_text())["times"]
    assert times["words"] >= 200
    assert max(times["start"], times["stop"]) <= 2
    assert max(times["start_90"], times["stop_90"]) <= 4
