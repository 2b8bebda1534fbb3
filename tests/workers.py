"""Commands that several processes of this machine run together, as workers do on several."""

import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable

from tests.forks import Forked

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


def start(cluster: list[str], index: int, module: str, *arguments: str, before: str = "") -> Forked:
    """`python -m MODULE ARGUMENTS` as one of the workers, under way, in a process that first executes some Python."""
    return Forked(_work, tf_config(cluster, index), module, arguments, before)


def _work(config: str, module: str, arguments: tuple[str, ...], before: str) -> None:
    os.environ["TF_CONFIG"] = config
    sys.argv = ["-m", *arguments]
    exec(before, {})
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def ends(processes: list[Forked]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each."""
    return [process.end(DEADLINE_S) for process in processes]


def wait_until(true: Callable[[], bool], processes: list[Forked]) -> None:
    """Waits until it is true, while all processes run."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        assert all(process.runs for process in processes), ends(processes)
        time.sleep(0.2)
