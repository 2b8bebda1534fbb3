"""What native libraries write on the standard error, past Python."""

import faulthandler
import os
import sys

from absl import logging

SILENT = "3"  # TF_CPP_MIN_LOG_LEVEL as scripts/__init__.py sets it


def divert() -> None:
    """Drops what native libraries write on the standard error; what Python writes still gets there.

    XLA, LiteRT and TensorFlow's server print notices that no level of logging stops. Their errors come as
    exceptions; a crash is told by Python's fault handler, with the place in the code. Nothing changes where the user
    has set `TF_CPP_MIN_LOG_LEVEL`, or somebody else has replaced the standard error.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != SILENT or sys.stderr is None or sys.stderr is not sys.__stderr__:
        return
    sys.stderr.flush()
    kept, encoding, errors = os.dup(sys.stderr.fileno()), sys.stderr.encoding, sys.stderr.errors
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=encoding, errors=errors)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), sys.__stderr__.fileno())
    logging.get_absl_handler().python_handler.setStream(sys.stderr)
    faulthandler.enable(sys.stderr)
