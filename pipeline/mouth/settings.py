"""Which part of a picture becomes the mouth crop."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class CropSettings:
    """Which part of a frame becomes the crop.

    Attributes:
      mode: `face` tracks the mouth; `box` crops a fixed box; `resize` takes the whole picture, for clips that are
        mouth crops already.
      margin: side of the square in inter-ocular distances (`face`). 1.6 shows the lips with room to open, the tip of
        the nose and the chin at the borders, and some cheek.
      box: x0, y0, x1, y1 as fractions of the picture (`box`).
      smoothing: standard deviation, in frames, of the Gaussian that smooths the square's path; 0 for none.
      max_gap: the maximal number of consecutive frames without a face that are bridged.
      stride: landmarks are computed on every `stride`-th frame and interpolated; on every frame where a face is missed.
    """

    mode: Literal["face", "box", "resize"] = "face"
    margin: float = 1.6
    box: tuple[float, float, float, float] | None = None
    smoothing: float = 2.0
    max_gap: int = 5
    stride: int = 5

    def __post_init__(self) -> None:
        if self.mode not in ("face", "box", "resize"):
            raise ValueError(f"mode: want face, box or resize, got {self.mode!r}")
        if not 0.5 <= self.margin <= 8:
            raise ValueError(f"margin: want 0.5 to 8 inter-ocular distances, got {self.margin}")
        if (self.box is None) != (self.mode != "box"):
            raise ValueError(f"box: want one with --crop=box and only then, got {self.box} with --crop={self.mode}")
        if self.box is not None and not _is_box(self.box):
            raise ValueError(f"box: want 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, got {self.box}")
        if not 0 <= self.smoothing <= 50:
            raise ValueError(f"smoothing: want 0 to 50 frames, got {self.smoothing}")
        if self.max_gap < 0:
            raise ValueError(f"max_gap: want 0 frames or more, got {self.max_gap}")
        if self.stride < 1:
            raise ValueError(f"stride: want 1 or more, got {self.stride}")


FACE = CropSettings()


def _is_box(box: tuple[float, ...]) -> bool:
    return len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
