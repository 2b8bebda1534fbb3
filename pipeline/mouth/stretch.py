"""The mouth crops of one stretch of frames, cut as soon as the smoothed path around a frame is known."""

from collections import deque
from typing import NamedTuple

import numpy as np

from pipeline.mouth.path import MAX_LAG, MAX_STRETCH, crop_affines, crop_corners, reach, steady
from pipeline.mouth.sighting import Sighting
from pipeline.mouth.warp import cut, warp
from pipeline.schema import CROP

BATCH = 16  # frames that are smoothed at a time


class Part(NamedTuple):
    """A part of a picture, uint8 [h, w], reduced by a factor, and the x and y of its corner in the picture."""

    luma: np.ndarray
    corner: np.ndarray
    factor: int


class Stretch:
    """Collects frames with their poses; holds the picture around the mouth until its crop is cut.

    Attributes:
      start: the clip's frame at which it begins.
      sightings: the frames in which the face was looked at.
      poses: complex [2] a frame, not smoothed.
      tracked: whether the frame, or both key frames around it, showed the face.
      crops: uint8 [112, 112] each, complete after `finish`.
      corners: float32 [n, 4, 2], in pieces.
    """

    def __init__(self, start: int, margin: float, smoothing: float) -> None:
        self.start = start
        self.sightings: list[Sighting] = []
        self.poses: list[np.ndarray] = []
        self.tracked: list[bool] = []
        self.crops: list[np.ndarray] = []
        self.corners: list[np.ndarray] = []
        self._margin, self._smoothing = margin, smoothing
        self._parts: deque[Part] = deque()  # of the frames whose crops are not cut

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def stop(self) -> int:
        """The clip's frame after its last."""
        return self.start + len(self)

    def add(self, luma: np.ndarray, pose: np.ndarray, tracked: bool) -> None:
        """Adds the next frame, uint8 [H, W], with its pose."""
        self._parts.append(_around(luma, pose, self._margin))
        self.poses.append(pose)
        self.tracked.append(tracked)
        if len(self._parts) >= reach(self._smoothing) + BATCH:
            self._cut(len(self) - reach(self._smoothing))

    def finish(self) -> None:
        """Cuts the remaining crops; no frame follows."""
        self._cut(len(self))

    def _cut(self, stop: int) -> None:
        """Cuts the crops up to a frame whose smoothed pose no later frame changes."""
        done = len(self.crops)
        first = max(0, done - reach(self._smoothing))
        path = steady(np.array(self.poses[first:]), self._smoothing)[done - first : stop - first]
        affines = crop_affines(path, self._margin)
        self.corners.append(crop_corners(affines))
        for affine in affines:
            part = self._parts.popleft()
            affine[:, 2] -= part.corner
            self.crops.append(warp(part.luma, affine / part.factor, CROP))


def _around(luma: np.ndarray, pose: np.ndarray, margin: float) -> Part:
    """The part of a picture that the crop of a frame can need, in no more detail than it needs."""
    half = np.abs(pose[1]) * (margin / np.sqrt(2) * (1 + MAX_STRETCH) + MAX_LAG)
    factor = max(1, int(np.abs(pose[1]) * margin / CROP))
    centre = np.array([pose[0].real, pose[0].imag])
    part, corner = cut(luma, centre - half, centre + half, factor)
    return Part(part.copy() if 2 * part.size < luma.size else part, corner, factor)
