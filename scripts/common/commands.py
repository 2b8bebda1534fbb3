"""Runs a command as one step of several, and prints it so that users can run it themselves."""

import shlex
import signal
import subprocess
import sys

from pipeline.schema import DataError
from scripts.common import signals


def step(name: str, *arguments: str) -> None:
    """Prints and runs `python -m scripts.NAME ARGUMENTS`; a signal is passed on once, and the command is waited for.

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
    """Runs a child process; returns its exit code, and whether this process was told to stop meanwhile."""
    child, forwarded = None, False

    def forward() -> None:
        nonlocal forwarded
        if child is not None and not forwarded:
            forwarded = True  # a second signal would end training without a checkpoint
            child.send_signal(signal.SIGINT)

    with signals.deferred(forward) as stop:
        child = subprocess.Popen(command, process_group=0)  # Ctrl-C reaches it from here alone
        if stop.is_set():  # while it was being started
            forward()
        return child.wait(), stop.is_set()
