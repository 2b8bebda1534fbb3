"""Crops the mouth out of gray frames: an upright square on the lips, smoothed over time, 112x112 pixels."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

import numpy as np
from PIL import Image

from pipeline.mouth import landmarks
from pipeline.mouth.doubt import CERTAIN, Doubt
from pipeline.mouth.tracking import check_gaps, interpolate, mask_outliers, poses, smooth
from pipeline.schema import CROP
from pipeline.video import images


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
      on_gap: `reject` a clip with a longer gap or a cut, or `split` it into its stretches with a face.
      stride: landmarks are computed on every `stride`-th frame and interpolated; on every frame where a face is missed.
    """

    mode: Literal["face", "box", "resize"] = "face"
    margin: float = 1.6
    box: tuple[float, float, float, float] | None = None
    smoothing: float = 2.0
    max_gap: int = 5
    stride: int = 5
    on_gap: Literal["reject", "split"] = "reject"

    def __post_init__(self) -> None:
        if self.mode not in ("face", "box", "resize"):
            raise ValueError(f"mode: want face, box or resize, got {self.mode!r}")
        if self.on_gap not in ("reject", "split"):
            raise ValueError(f"on_gap: want reject or split, got {self.on_gap!r}")
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


def _is_box(box: tuple[float, ...]) -> bool:
    return len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1


@dataclasses.dataclass(frozen=True)
class Crops:
    """The mouth crops of a clip, or of one stretch of it.

    Attributes:
      frames: uint8 [F, 112, 112].
      tracked: bool [F], False where the square was interpolated over a gap.
      corners: float32 [F, 4, 2], x and y in picture pixels of the square's top left, top right, bottom right and bottom
        left corner.
      start: the frame of the clip at which the stretch begins.
      doubt: how doubtful the crops are.
    """

    frames: np.ndarray
    tracked: np.ndarray
    corners: np.ndarray
    start: int = 0
    doubt: Doubt = CERTAIN


class MouthCropper:
    """Crops the mouth out of clips; each clip is independent of the clips before it."""

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings

    def __call__(self, frames: Iterable[np.ndarray]) -> list[Crops]:
        """Crops the mouth out of gray frames, uint8 [H, W], all of one size; a repeated frame is the same object.

        Returns:
          One `Crops` for all frames; with `on_gap="split"` one for each stretch with a face, in order.

        Raises:
          ClipError: NO_FACE where no frame shows one, FACE_LOST where a gap is longer than `max_gap`.
        """
        luma = np.stack(list(frames))
        return [self.crop(luma, *self.track(luma)) if self.settings.mode == "face" else self._fixed(luma)]

    def _fixed(self, luma: np.ndarray) -> Crops:
        x0, y0, x1, y1 = self.settings.box or (0.0, 0.0, 1.0, 1.0)
        height, width = luma.shape[1:]
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
        frames = [
            Image.fromarray(f).resize((CROP, CROP), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0) for f in luma
        ]
        corners = np.array([box[:2], (box[2], box[1]), box[2:], (box[0], box[3])], np.float32)
        tracked = np.ones(len(luma), bool)
        return Crops(np.stack([np.asarray(f) for f in frames]), tracked, np.tile(corners, (len(luma), 1, 1)))

    def track(self, luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tracks the mouth in uint8 [F, H, W]; returns its `tracking.poses`, complex [F, 2], and tracked, bool [F].

        Raises:
          ClipError: NO_FACE where no frame shows one, FACE_LOST where a gap is longer than `max_gap`.
        """
        stride = min(self.settings.stride, self.settings.max_gap + 1)  # no longer gap fits between key frames
        keys, path = self._key_poses(luma, stride)
        if np.isnan(path).any() and stride > 1:
            keys, path = self._key_poses(luma, 1)
        path, tracked = interpolate(path, keys, len(luma))
        check_gaps(tracked, self.settings.max_gap)
        return smooth(path, self.settings.smoothing), tracked

    def crop(self, luma: np.ndarray, path: np.ndarray, tracked: np.ndarray) -> Crops:
        """Crops the squares around the poses that `track` returned."""
        affines = crop_affines(path, self.settings.margin)
        frames = np.stack([images.warp(f, a, CROP) for f, a in zip(luma, affines, strict=True)])
        return Crops(frames, tracked, crop_corners(affines))

    def _key_poses(self, luma: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """The key frames, int [K], and their poses, complex [K, 2], NaN where there is no face."""
        keys = np.unique(np.append(np.arange(0, len(luma), stride), len(luma) - 1))
        return keys, mask_outliers(poses(landmarks.tracker()(luma[keys])))


def crop_affines(path: np.ndarray, margin: float) -> np.ndarray:
    """The affine maps [F, 2, 3] from crop pixels to picture pixels, for poses complex [F, 2]."""
    centre, step = path[:, 0], path[:, 1] * (margin / CROP)
    corner = centre - step * (1 + 1j) * (CROP / 2)
    rows = [
        np.stack([step.real, -step.imag, corner.real], 1),
        np.stack([step.imag, step.real, corner.imag], 1),
    ]
    return np.stack(rows, axis=1)


def crop_corners(affines: np.ndarray) -> np.ndarray:
    """The picture coordinates, float32 [F, 4, 2], of the crop's corners, clockwise from the top left."""
    unit = np.array([[0, 0, 1], [CROP, 0, 1], [CROP, CROP, 1], [0, CROP, 1]])
    return (unit @ affines.transpose(0, 2, 1)).astype(np.float32)  # [4, 3] @ [F, 3, 2] -> [F, 4, 2]
