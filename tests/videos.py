"""Videos at once, for tests: all frames of a video in one array."""

import dataclasses
from pathlib import Path

import numpy as np

from pipeline.video import decode


@dataclasses.dataclass(frozen=True)
class Frames:
    """What `decode.Video` says after its last frame; `luma` is uint8 [F, H, W], `times` float64 [F]."""

    luma: np.ndarray
    times: np.ndarray
    begins: float
    truncated: bool


def read(path: Path, **settings: object) -> Frames:
    """Reads all frames, with the settings of `decode.opened`."""
    with decode.opened(path, **settings) as video:
        luma = np.stack(list(video))
    return Frames(luma, np.array(video.times), video.begins, video.truncated)
