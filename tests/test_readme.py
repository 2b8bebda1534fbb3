import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tf_keras

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
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input([None, CROP, CROP, CONTEXT]),
            tf_keras.layers.GlobalAveragePooling3D(),
            tf_keras.layers.Dense(9),
        ]
    )
    names = {  # what the reader brings
        "learn": lambda windows, labels: seen.append(windows.shape),
        "model": model,
        "tf_keras": tf_keras,
        "torch": SimpleNamespace(from_numpy=from_numpy),
    }
    for block in BLOCKS:
        exec(block, names)
    assert capsys.readouterr().out.count("(8, ") == 10
    assert len(seen) == 10
    assert names["windows"].shape[0] == 8
    assert names["windows"].shape[2:] == (CROP, CROP, CONTEXT)
    assert model.optimizer.iterations == 2 * 3
