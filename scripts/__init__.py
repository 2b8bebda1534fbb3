"""The commands: `python -m scripts.NAME --help`.

May import `pipeline` and `model`.
Offers convert, records, train, evaluate, transcribe, export, demo, reproduce, benchmark.
"""

import os
import signal
import sys
from types import FrameType

# Set before TensorFlow loads: its notices do not concern users; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _end(number: int, frame: FrameType | None) -> None:
    """Ends a command whose libraries are still loading, so that there is nothing to clean up."""
    os.write(sys.stderr.fileno(), b"stopped before it started\n")
    os._exit(128 + number)  # as `common.signals.exit_code`


if sys.argv[0] == "-m":  # only while `python -m scripts.NAME` looks for the module
    for _signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_signal, _end)
