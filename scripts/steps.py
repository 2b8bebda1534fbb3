"""A command as a step of a longer path: printed, so that it can be typed, and run."""

import shlex
import subprocess
import sys

from pipeline.schema import DataError


def step(name: str, *arguments: str) -> None:
    """Prints and runs `python -m scripts.NAME ARGUMENTS`.

    Raises:
      DataError: it fails.
    """
    print(f"\n$ python -m scripts.{name} {shlex.join(arguments)}", flush=True)
    ended = subprocess.run([sys.executable, "-m", f"scripts.{name}", *arguments], check=False)
    if ended.returncode:
        raise DataError(f"scripts.{name} failed (exit {ended.returncode}), see above")
