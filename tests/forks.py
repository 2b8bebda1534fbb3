"""Processes that find TensorFlow loaded: a server that has loaded it forks them, which saves seconds for each.

They differ from spawned ones in that alone: environment, signal mask and limits are those of the process that starts
them, and what they are to do is pickled.
"""

import atexit
import contextlib
import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)
STREAMS = {"stdout": 1, "stderr": 2}
forkserver.set_forkserver_preload(["tensorflow"])  # its import starts no thread of TensorFlow's


class Process(ForkServerProcess):
    """Arguments as of `multiprocessing.Process`."""

    def __init__(self, *, target: Callable[..., None], args: tuple = (), **how: Any) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        limits = {each: resource.getrlimit(each) for each in LIMITS}
        super().__init__(target=_begin, args=(dict(os.environ), mask, limits, target, args), **how)


class Context(ForkServerContext):
    Process = Process


def _begin(
    environment: dict[str, str], mask: set[int], limits: dict[int, tuple], target: Callable[..., None], args: tuple
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for limit, value in limits.items():
        resource.setrlimit(limit, value)
    forkserver._forkserver.ensure_running = resource_tracker.ensure_running  # the server is no child of this process
    multiprocessing.get_context = get_context
    target(*args)


def get_context(method: str | None = None) -> Context:
    """In the place of that of `multiprocessing`, so that what is to be spawned is forked."""
    return Context()


@contextlib.contextmanager
def workers() -> Iterator[None]:
    """Forks the workers of conversions, which would be spawned: for tests that are not about processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", get_context)
        yield


@atexit.register
def _kill_what_is_left() -> None:
    """What a test that has failed did not wait for, `multiprocessing` would."""
    for process in multiprocessing.active_children():
        process.kill()


class Forked:
    """A function that runs in a process of its own, in the folder of the project, and what it prints."""

    def __init__(self, function: Callable[..., None], *arguments: object) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process = Process(target=_write, args=(self._folder.name, function, arguments))
        self._process.start()

    @property
    def runs(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def end(self, timeout_s: float | None = None) -> tuple[int, str, str]:
        """Exit code, standard output and standard error, once it has ended."""
        self._process.join(timeout_s)
        assert not self.runs, f"it has not ended within {timeout_s} s"
        with self._folder as folder:
            stdout, stderr = (Path(folder, name).read_text(encoding="utf-8") for name in STREAMS)
        return self._process.exitcode, stdout, stderr


def _write(folder: str, function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    for name, number in STREAMS.items():
        os.dup2(os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(ROOT)
    function(*arguments)
