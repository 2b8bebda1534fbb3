"""Runs a command as one step of several, and prints it so that users can run it themselves."""

import os
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
      Stopped: this process was told to stop meanwhile.
    """
    print(f"\n$ python -m scripts.{name} {shlex.join(arguments)}", flush=True)
    code, stop = _run([sys.executable, "-m", f"scripts.{name}", *arguments])
    if stop.is_set():
        raise signals.Stopped(stop.number)
    if code:
        raise DataError(f"scripts.{name} failed (exit {code}), see above")


def _run(command: list[str]) -> tuple[int, signals.Stop]:
    """Runs a child process; returns its exit code, and an event that is set if this process was told to stop."""
    child, forwarded = None, False

    def forward() -> None:
        nonlocal forwarded
        if child is not None and not forwarded:
            forwarded = True  # a second signal would end training without a checkpoint
            child.send_signal(signal.SIGINT)

    with signals.deferred(forward) as stop:
        # A step is whole, also where all steps are a task of Slurm's. Ctrl-C reaches the child from here alone.
        whole = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_ARRAY_")}
        child = subprocess.Popen(command, process_group=0, env=whole, stderr=sys.stderr)  # `native_messages` moves it
        if stop.is_set():  # while it was being started
            forward()
        return child.wait(), stop
