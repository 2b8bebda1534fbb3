"""Which device TensorFlow computes on, and why it is no GPU."""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

PROBE = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
# A line of TensorFlow's log.
NOTICE = re.compile(r"^\S+ \S+: [WE] \S+\] (?!Unable to register)(.*(?:GPU|CUDA).*)$", re.MULTILINE)
PROBE_S = 60


def describe(strategy: str) -> str:
    """Returns the name of the GPU, or the CPU's and why no GPU is used.

    Args:
      strategy: of `model.config.STRATEGIES`.
    """
    if not (gpus := tf.config.list_physical_devices("GPU")):
        return f"CPU, {len(os.sched_getaffinity(0))} cores; no GPU seen: {why_no_gpu()}"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    if len(gpus) == 1:
        return name
    if strategy == "single":
        return f"{name}, one of {len(gpus)} GPUs; --strategy=mirrored takes all"
    return f"{len(gpus)} GPUs, the first {name}"


def why_no_gpu() -> str:
    """Says why TensorFlow sees no GPU; in its own words where GPU and driver are there."""
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow is built without CUDA"
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={hidden} hides them"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"no NVIDIA driver ({error})"
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return "no device /dev/nvidia0; a container has to be started with its GPUs"
    return _said_by_tensorflow()


def _said_by_tensorflow() -> str:
    """Asks TensorFlow in a process of its own, whose level of logging lets it say why."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    try:
        command = [sys.executable, "-c", PROBE]
        said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PROBE_S).stderr
    except subprocess.TimeoutExpired:
        return f"TensorFlow gave no reason within {PROBE_S} s"
    return reason(said)


def reason(log: str) -> str:
    """Returns the last warning or error about GPUs in what TensorFlow has written on the standard error."""
    found = NOTICE.findall(log)
    return f"TensorFlow says: {found[-1]}" if found else "TensorFlow gives no reason"
