"""Crops the mouth out of gray frames: an upright square on the lips, smoothed over time, 112x112 pixels."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

import numpy as np
from PIL import Image

from pipeline.mouth import doubt
from pipeline.mouth.doubt import CERTAIN, Doubt
from pipeline.mouth.settings import CropSettings
from pipeline.mouth.stretch import Stretch
from pipeline.mouth.tracking import Tracker
from pipeline.schema import CONTEXT, CROP, ClipError, Reason

OUTSIDE = "or its mouth is outside the picture"


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
    """Crops the mouth out of clips; each clip is independent of the clips before it.

    Args:
      settings: which part of a frame becomes the crop.
      on_gap: `reject` a clip with a longer gap than `max_gap` or with a cut, or `split` it into its stretches with a
        face.
    """

    def __init__(self, settings: CropSettings, on_gap: Literal["reject", "split"] = "reject") -> None:
        self.settings, self.on_gap = settings, on_gap

    def __call__(self, frames: Iterable[np.ndarray]) -> list[Crops]:
        """Crops the mouth out of a clip. Memory holds the pictures of some frames only.

        Args:
          frames: uint8 [H, W] each, all of one size; a repeated picture is the same object.

        Returns:
          One `Crops` for all frames; with `on_gap="split"` one for each stretch with a face, in order. A stretch has
          at least five frames, or those of a shorter clip. It begins and ends with a tracked frame, but for up to
          `max_gap` frames without a face at the beginning and the end of the clip: those are bridged in both modes, so
          that both give the same `Crops` for a clip that is not rejected.

        Raises:
          ClipError: NO_FACE where no frame shows one, FACE_LOST where a gap is longer than `max_gap` or where another
            face or place follows; both after the last frame.
        """
        if self.settings.mode != "face":
            return [self._fixed(frames)]
        tracker = Tracker(self.settings.stride, self.settings.max_gap, self.settings.margin, self.settings.smoothing)
        tracker.track(frames)
        if not tracker.stretches:
            remedy = "for pictures that are mouth crops already: --crop=resize"
            raise ClipError(Reason.NO_FACE, f"no face in any of {tracker.frames} frames, {OUTSIDE}; {remedy}")
        if self.on_gap == "reject":
            _check_whole(tracker.stretches, tracker.frames, self.settings.max_gap)
            return [_crops(tracker.stretches[0])]
        long = [stretch for stretch in tracker.stretches if len(stretch) >= min(CONTEXT, tracker.frames)]
        if not long:
            raise ClipError(Reason.NO_FACE, f"no face in {CONTEXT} frames in a row, of {tracker.frames}, {OUTSIDE}")
        return [_crops(stretch) for stretch in long]

    def _fixed(self, frames: Iterable[np.ndarray]) -> Crops:
        """Crops the box of the settings, or the whole picture."""
        x0, y0, x1, y1 = self.settings.box or (0.0, 0.0, 1.0, 1.0)
        crops, corners = [], []
        for luma in frames:
            height, width = luma.shape
            left, top, right, bottom = x0 * width, y0 * height, x1 * width, y1 * height
            part = Image.fromarray(luma).resize(
                (CROP, CROP), Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=3.0
            )
            crops.append(np.asarray(part))
            corners.append([[left, top], [right, top], [right, bottom], [left, bottom]])
        return Crops(np.stack(crops), np.ones(len(crops), bool), np.array(corners, np.float32))


def _crops(stretch: Stretch) -> Crops:
    frames, corners = np.stack(stretch.crops), np.concatenate(stretch.corners)
    return Crops(frames, np.array(stretch.tracked), corners, stretch.start, doubt.of(stretch))


def _check_whole(stretches: list[Stretch], frames: int, max_gap: int) -> None:
    """Checks that one stretch reaches over all frames.

    Raises:
      ClipError: FACE_LOST, naming the frames of the longest gap, or the first cut where no gap is too long.
    """
    if len(stretches) == 1 and len(stretches[0]) == frames:
        return
    starts = [0, *(stretch.stop for stretch in stretches)]
    stops = [*(stretch.start for stretch in stretches), frames]
    start, stop = max(zip(starts, stops, strict=True), key=lambda gap: gap[1] - gap[0])
    if stop - start > max_gap:
        what = f"no face in frames {start} to {stop - 1} of {frames}, {OUTSIDE}; at most {max_gap} are bridged"
    else:
        what = f"another face or place from frame {stretches[1].start} of {frames} on"
    raise ClipError(Reason.FACE_LOST, f"{what}; --on_gap=split keeps the stretches")
