from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.synthetic import corpus
from tests import videos


def read(path: Path) -> np.ndarray:
    """All frames of a video, uint8 [F, H, W]."""
    return videos.read(path).luma


@pytest.fixture(scope="session")
def clip(grid_clips: Path) -> Callable[[str], np.ndarray]:
    """Frames of real clips by name: `s1/bbaf2n.mp4` of GRID, or `brbk7n.mpg` of another talker."""
    found: dict[str, np.ndarray] = {}

    def get(name: str) -> np.ndarray:
        path = grid_clips / name if "/" in name else grid_clips.parent / "recordings" / name
        if not path.is_file():
            pytest.skip(f"needs {path.name} in a folder `recordings` beside LIPFLOW_GRID")
        if name not in found:
            found[name] = read(path)
        return found[name].copy()

    return get


@pytest.fixture(scope="session")
def talkers(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Two drawn faces that talk, uint8 [30, 288, 360]."""
    root = tmp_path_factory.mktemp("synthetic")
    made = corpus.render(root, corpus.SyntheticConfig(clips=2, speakers=2))
    return [read(path)[:30] for path in made if path.suffix == ".mp4"]


@pytest.fixture
def drawn(talkers: list[np.ndarray]) -> np.ndarray:
    return talkers[0].copy()
