from pathlib import Path

import numpy as np
import pytest

from pipeline.synthetic.corpus import SyntheticConfig, render
from tests import conversions, videos


@pytest.fixture(scope="module")
def talkers(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Two drawn faces, uint8 [25, 224, 280]."""
    root = tmp_path_factory.mktemp("faces")
    config = SyntheticConfig(clips=2, speakers=2, width=280, height=224)
    return [videos.read(path).luma[:25] for path in sorted(render(root, config))]


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus converted without a fault; read, never written."""
    output = tmp_path_factory.mktemp("whole") / "grid"
    conversions.run(corpus, output, workers=2)
    return output
