"""Commands that several processes of this machine run together, as workers do on several."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ALTERED = """
import runpy, sys
_, before, module, *arguments = sys.argv
sys.argv = ["-m", *arguments]
exec(before)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
ROOT = Path(__file__).parents[1]
DEADLINE_S = 240  # of any wait in a test: on a machine that is busy a step may take its time to be traced


def addresses(count: int = 2) -> list[str]:
    """Addresses of this machine whose ports are free."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{server.getsockname()[1]}" for server in opened]
    for server in opened:
        server.close()
    return found


def tf_config(cluster: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": cluster}, "task": {"type": "worker", "index": index}})


def start(cluster: list[str], index: int, module: str, *arguments: str, before: str = "") -> subprocess.Popen:
    """`python -m MODULE ARGUMENTS` as one of the workers, under way, in a process that first executes some Python."""
    environ = {**os.environ, "TF_CONFIG": tf_config(cluster, index)}
    command = [sys.executable, "-c", ALTERED, before, module, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environ, **pipes)


def ends(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each."""
    said = [process.communicate(timeout=DEADLINE_S) for process in processes]
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


def wait_until(true: Callable[[], bool], processes: list[subprocess.Popen]) -> None:
    """Waits until it is true, while all processes run."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        assert [process.poll() for process in processes] == [None] * len(processes), ends(processes)
        time.sleep(0.2)
