"""Face landmarks of gray frames: a 468-point mesh, fitted to a square around a face.

The network is that of Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs" (2019).
It was trained on RGB; gray is fed to all three channels.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from pipeline.mouth import networks
from pipeline.mouth.faces import Face
from pipeline.mouth.warp import warp
from pipeline.video.opencv import cv2

POINTS = 468
RIGHT_EYE = (33, 133)  # mesh points at the corners of the subject's right eye (left in the picture)
LEFT_EYE = (362, 263)
NOSE = 4  # its tip
MOUTH = (61, 291)  # its corners
MESH_SIDE = 192  # pixels: the mesh network's input
ROI_SCALE = 1.5  # side of the mesh's square, relative to the face box


class Fit(NamedTuple):
    """The mesh fitted to a square.

    Attributes:
      points: float64 [468, 2], x and y in pixels; (0, 0) is the outer corner of the first pixel.
      logit: of the probability that there is a face: over 30 for a clear view of one, under 10 for other things.
    """

    points: np.ndarray
    logit: float


class Mesh:
    """The mesh network."""

    def __init__(self) -> None:
        self._network = networks.load("face_landmark")
        self._input = self._network.get_input_details()[0]["index"]
        self._points, self._logit = (tensor["index"] for tensor in self._network.get_output_details())

    def __call__(self, luma: np.ndarray, roi: np.ndarray) -> Fit:
        """Fits the mesh to a face in uint8 [H, W].

        Args:
          luma: the picture.
          roi: the square around the face, as of `square`.
        """
        gray = np.multiply(warp(luma, roi, MESH_SIDE, cv2.INTER_LINEAR), np.float32(1 / 255))
        cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB, dst=self._network.tensor(self._input)()[0])
        self._network.invoke()
        logit = self._network.get_tensor(self._logit).item()
        points = self._network.get_tensor(self._points).reshape(POINTS, 3)[:, :2]  # [1, 1, 1, 1404] -> [468, 2]
        return Fit((roi[:, :2] @ points.T + roi[:, 2:]).T, logit)


@functools.cache
def mesh() -> Mesh:
    """The mesh shared by this process."""
    return Mesh()


def square_of_face(face: Face, turned: bool = False) -> np.ndarray:
    """The mesh's square, as of `square`, around a detected face; `turned` by 180 degrees for one upside down."""
    across = face.left_eye - face.right_eye
    return square(face.centre, ROI_SCALE * face.size, -across if turned else across)


def square_of_points(points: np.ndarray) -> np.ndarray:
    """The mesh's square in the next frame, as of `square`, from landmarks [468, 2] of this frame."""
    low, high = points.min(axis=0), points.max(axis=0)
    across = points[LEFT_EYE[0]] + points[LEFT_EYE[1]] - points[RIGHT_EYE[0]] - points[RIGHT_EYE[1]]
    return square((low + high) / 2, ROI_SCALE * max(high - low), across)


def square(centre: np.ndarray, side: float, across: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] from the mesh network's input pixels to a square of the picture.

    Args:
      centre: x, y of the square.
      side: its side in pixels.
      across: a vector of any length along its upper edge.
    """
    step = side / MESH_SIDE * across / math.hypot(*across)
    (x, y), (dx, dy), half = centre, step, MESH_SIDE / 2
    return np.array([[dx, -dy, x - half * (dx - dy)], [dy, dx, y - half * (dy + dx)]])
