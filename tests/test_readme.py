import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.schema import CONTEXT, CROP
from tests import datasets

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def from_numpy(array: np.ndarray) -> np.ndarray:
    assert array.flags.writeable  # torch warns of any other: writing to its tensors would be undefined
    return array


def test_the_blocks_of_the_readme_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(9)]
    datasets.write_dataset(tmp_path / "data" / "mine", {"train": [clips]})
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=from_numpy))  # which is not installed
    names = {  # what the reader brings
        "learn": lambda windows, labels: seen.append(windows.shape),
    }
    for block in BLOCKS:
        exec(block, names)
    assert capsys.readouterr().out.count("(8, ") == 10
    assert len(seen) == 10
    assert names["windows"].shape[0] == 8
    assert names["windows"].shape[2:] == (CROP, CROP, CONTEXT)
    assert names["model"].optimizer.iterations == 2 * 3
