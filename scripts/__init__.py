"""The commands; run them as `python -m scripts.NAME --help`."""

import os
import signal
import sys
from types import FrameType

# Before TensorFlow loads: what it prints at start is no news to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _end(number: int, frame: FrameType | None) -> None:
    """Ends a command whose libraries are still loading: there is nothing to leave in order."""
    os.write(sys.stderr.fileno(), b"stopped before it began\n")
    os._exit(1)


if (
    sys.argv[0] == "-m"
):  # what it is while `python -m scripts.NAME` looks for the module, and not when another imports us
    for _signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_signal, _end)
