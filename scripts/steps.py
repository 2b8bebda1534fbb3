"""A command as a step of a longer path: printed, so that it can be typed, and run."""

import shlex
import signal
import subprocess
import sys

from pipeline.schema import DataError


def step(name: str, *arguments: str) -> None:
    """Prints and runs `python -m scripts.NAME ARGUMENTS`; told to stop, stops that and waits for it.

    Raises:
      DataError: it fails.
    """
    print(f"\n$ python -m scripts.{name} {shlex.join(arguments)}", flush=True)
    # A group of its own: Ctrl-C reaches it once, from here.
    child = subprocess.Popen([sys.executable, "-m", f"scripts.{name}", *arguments], process_group=0)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise
    if code:
        raise DataError(f"scripts.{name} failed (exit {code}), see above")
