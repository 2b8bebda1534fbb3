"""The commands: `python -m scripts.NAME --help`.

May import `pipeline` and `model`.
Offers convert, records, train, evaluate, transcribe, export, demo, reproduce, benchmark.
"""

import os
import sys

from scripts.common import signals

# Set before TensorFlow loads: its notices do not concern users; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if sys.argv[0] == "-m":  # only while `python -m scripts.NAME` looks for the module
    signals.end_at_once()
