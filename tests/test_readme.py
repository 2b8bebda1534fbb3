import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.schema import CONTEXT, CROP
from pipeline.synthetic.corpus import SyntheticConfig, Utterance, render_clip
from tests import datasets
from tests.scripts import commands, tiny_runs

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def from_numpy(array: np.ndarray) -> np.ndarray:
    assert array.flags.writeable  # torch warns of any other: writing to its tensors would be undefined
    return array


def write_models(root: Path) -> None:
    """What `scripts.export` and a camera leave: two models, and a rendered face that says a sentence."""
    live = tiny_runs.write(root / "runs" / "live", bidirectional=False)
    commands.in_turn(
        "export",
        [f"--run={datasets.GOLDEN / 'reader'}", f"--output={root / 'exported'}"],
        [f"--run={live}", f"--output={root / 'live'}", "--streaming"],
    )
    clip = Utterance(2, "lbaf7s")
    render_clip(root, SyntheticConfig(width=280, height=224), clip)
    shutil.copy(root / clip.video, root / "talk.mp4")


def test_the_blocks_of_the_readme_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(9)]
    validated = [datasets.clip(f"s2/v{n}", 10) for n in range(3)]
    datasets.write_dataset(tmp_path / "data" / "mine", {"train": [clips], "val": [validated]})
    write_models(tmp_path)
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=from_numpy))  # which is not installed
    names = {  # what the reader brings
        "learn": lambda windows, labels: seen.append(windows.shape),
    }
    for block in BLOCKS:
        exec(block, names)
    printed = capsys.readouterr().out
    assert printed.count("(8, ") == 10
    assert "b'lay blue at f seven soon'" in printed
    assert names["crops"].frames.shape == (48, CROP, CROP)
    so_far = printed.partition("soon'], ")[2].splitlines()[1:]
    assert len(so_far) == 10  # 48 frames, five at a time
    assert so_far[-1] == names["state"]["text"].numpy()[0].decode() != ""
    assert len(seen) == 10
    assert names["windows"].shape[0] == 8
    assert names["windows"].shape[2:] == (CROP, CROP, CONTEXT)
    assert names["model"].optimizer.iterations == 6 * 3
    assert {"val_loss", "val_accuracy"} <= names["model"].history.history.keys()
