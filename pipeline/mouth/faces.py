"""Faces in gray pictures, found by BlazeFace.

The networks are those of Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019).
They were trained on RGB; gray is fed to all three channels.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.mouth import networks
from pipeline.video.opencv import cv2

MIN_LOGIT = 0.0  # of a detection: a probability of 0.5
MAX_OVERLAP = 0.3  # intersection over union of boxes of different faces
ROWS = 8  # x, y of a detection: centre and size of its box, eyes, nose, mouth, ears
# A network and its grids: pixels between their points, anchors at each. The first takes a third of the time and misses
# small faces; the second runs where the first finds none.
DETECTORS = {
    "face_detection_short_range": ((8, 2), (16, 6)),
    "face_detection_back": ((16, 2), (32, 6)),
}


class Face(NamedTuple):
    """A detected face, in pixels of the picture; (0, 0) is the outer corner of the first pixel."""

    centre: np.ndarray  # x, y of its box
    size: float  # longer side of its box
    right_eye: np.ndarray  # the subject's, so the left one in the picture
    left_eye: np.ndarray


class Detector:
    """One of BlazeFace's networks, a name of `DETECTORS`.

    Attributes:
      anchors: x, y from which each detection of the network is measured, as fractions of its input, float32 [N, 2].
    """

    def __init__(self, name: str) -> None:
        self._network = networks.load(name)
        (pixels,), (boxes, logits) = self._network.get_input_details(), self._network.get_output_details()
        self._input, self._side = pixels["index"], int(pixels["shape"][1])
        self._boxes, self._logits = boxes["index"], logits["index"]
        self.anchors = np.concatenate([_anchors(self._side // step, count) for step, count in DETECTORS[name]])

    def __call__(self, luma: np.ndarray) -> list[Face]:
        """Finds the upright faces in uint8 [H, W]; a face may be tilted by some 45 degrees."""
        scale = self._side / max(luma.shape)
        height, width = (max(1, round(length * scale)) for length in luma.shape)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        top, left = (self._side - height) // 2, (self._side - width) // 2
        pixels = np.zeros((self._side, self._side), np.uint8)
        pixels[top : top + height, left : left + width] = cv2.resize(luma, (width, height), interpolation=how)
        found = self._run(np.float32(pixels) / 127.5 - 1)
        origin, steps = np.array([left, top]), np.array(luma.shape[::-1]) / (width, height)
        return [_face((points * self._side - origin) * steps) for points in found]

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Detections [8, 2] as fractions of the network's input, float32 [S, S] of -1 to 1; the surest first."""
        self._network.tensor(self._input)()[0] = pixels[:, :, None]
        self._network.invoke()
        logits = self._network.get_tensor(self._logits)[0, :, 0]
        kept = np.flatnonzero(logits > MIN_LOGIT)
        points = self._network.get_tensor(self._boxes)[0, kept].reshape(-1, ROWS, 2) / self._side
        points[:, [0, *range(2, ROWS)]] += self.anchors[kept, None]  # centre and points, but not the size
        half = points[:, 1] / 2
        points[:, 0], points[:, 1] = points[:, 0] - half, points[:, 0] + half
        scores = 1 / (1 + np.exp(-logits[kept]))
        sound = (points[:, 1] > points[:, 0]).all(axis=1)
        return list(joined(points[sound], scores[sound]))


def _anchors(points: int, count: int) -> np.ndarray:
    """The middles of a grid's squares as fractions, row by row, each `count` times: float32 [N, 2]."""
    y, x = (np.mgrid[:points, :points] + 0.5) / points
    return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0).astype(np.float32)


def joined(points: np.ndarray, scores: np.ndarray) -> Iterator[np.ndarray]:
    """Joins overlapping detections to their mean by scores ("blending", BlazeFace), the surest first.

    Args:
      points: float32 [N, 8, 2], in the place of centre and size the corners of the box.
      scores: float32 [N].

    Yields:
      float32 [8, 2].
    """
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = _overlaps(points[left[0], :2], points[left, :2]) > MAX_OVERLAP
        same[0] = True  # a box too small to have an area overlaps nothing
        alike, left = left[same], left[~same]
        total = scores[alike].sum(dtype=np.float64)
        yield (points[alike] * scores[alike, None, None]).sum(axis=0) / np.float32(total)


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of corners [2, 2] with corners [N, 2, 2] -> [N]."""
    shared = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])
    shared = np.maximum(shared, 0).prod(axis=1)
    return shared / ((box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(axis=1) - shared)


def _face(points: np.ndarray) -> Face:
    """A face from the rows of a detection: two corners of its box, both eyes, nose, mouth, ears."""
    low, high, right_eye, left_eye = points[:4]
    return Face((low + high) / 2, float(max(high - low)), right_eye, left_eye)


@functools.cache
def detectors() -> tuple[Detector, ...]:
    """The detectors shared by this process."""
    return tuple(Detector(name) for name in DETECTORS)
