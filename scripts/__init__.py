"""The commands; run them as `python -m scripts.NAME --help`."""

import os

# Before TensorFlow loads: what it prints at start is no news to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
