"""A command as a step of a longer path: printed, so that it can be typed, and run."""

import shlex
import signal
import subprocess
import sys

from pipeline.schema import DataError
from scripts.common import cli


def step(name: str, *arguments: str) -> None:
    """Prints and runs `python -m scripts.NAME ARGUMENTS`; told to stop, tells that once, and waits for it.

    Raises:
      DataError: it fails.
      KeyboardInterrupt: it was stopped.
    """
    print(f"\n$ python -m scripts.{name} {shlex.join(arguments)}", flush=True)
    code, stopped = _run([sys.executable, "-m", f"scripts.{name}", *arguments])
    if stopped:
        raise KeyboardInterrupt
    if code:
        raise DataError(f"scripts.{name} failed (exit {code}), see above")


def _run(command: list[str]) -> tuple[int, bool]:
    """The exit code, and whether this process was told to stop meanwhile."""
    child, stopped, told = None, False, False

    def stop(*_: object) -> None:
        nonlocal stopped, told
        stopped = True
        if child is not None and not told:
            told = True  # a second signal would end training without a checkpoint
            child.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, stop) for number in cli.stopping()}
    try:
        child = subprocess.Popen(command, process_group=0)  # Ctrl-C reaches it from here alone
        if stopped:  # while it was being started
            stop()
        return child.wait(), stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
