"""What tests of the pool of workers do there: items whose names say how they end, and what came of them."""

import contextlib
import ctypes
import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.conversion import processes
from pipeline.conversion.processes import DIED, HUNG, Failed, Finished, Restarted, Started

ROOT = Path(__file__).parents[3]
KILLED = Failed(DIED, "SIGKILL")
LATE = Failed(HUNG)


class Full(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Task:
    """Items by name; what an item does is the beginning of its name."""

    items: tuple[str, ...]
    ballast: bytes = b""


def work(folder: Path, task: Task, failed: dict[str, Failed]) -> Iterator[Started | Finished]:
    for item in task.items:
        yield Started(item)
        if item not in failed:
            _do(item, folder)
        yield Finished(item, failed.get(item, "fine"))
    if "linger" in task.items:
        time.sleep(600)


def _do(item: str, folder: Path) -> None:
    with (folder / item).open("a") as tries:
        tries.write(f"{os.getpid()}\n")
    match item.split("-")[0]:
        case "killed_once" if len((folder / item).read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)
        case "raise":
            raise ValueError(f"{item} cannot be done")
        case "full":
            raise Full(f"{item}: the disk is full")
        case "unnamed":
            os.kill(os.getpid(), signal.SIGRTMIN + 3)
        case "fault":
            ctypes.string_at(0)
        case "mute":
            for file in Path("/proc/self/fd").iterdir():
                if file.is_socket() and int(file.name) > 2:  # the pipe to the parent
                    os.close(int(file.name))
            time.sleep(600)
        case "loud":
            os.write(2, b"a library's notice\n")
            print("on stderr", file=sys.stderr)
        case "steps":
            for _ in range(40):  # two seconds in which it runs
                time.sleep(0.05)


def setup(folder: Path) -> processes.Work:
    return functools.partial(work, folder)


def broken_setup() -> processes.Work:
    os.kill(os.getpid(), signal.SIGKILL)


def hanging_setup() -> processes.Work:
    time.sleep(600)


def first_setup_waits(folder: Path) -> processes.Work:
    with contextlib.suppress(FileExistsError):
        (folder / "first").touch(exist_ok=False)
        while not (folder / "go on").exists():
            time.sleep(0.01)
    return setup(folder)


def run_all(tasks: list[Task], setup: Callable, timeout_s: float, logs: Path, fatal: type, workers: int) -> Iterator:
    with contextlib.closing(processes.Pool(setup, timeout_s, logs, fatal, workers=workers)) as pool:
        yield from pool.run(tasks)


def begin(folder: Path, *tasks: tuple[str, ...], workers: int = 2, timeout_s: float = 60) -> Iterator:
    (folder / "logs").mkdir()
    made = [Task(items) for items in tasks]
    return run_all(made, functools.partial(setup, folder), timeout_s, folder / "logs", Full, workers=workers)


def run(folder: Path, *tasks: tuple[str, ...], workers: int = 2, timeout_s: float = 60) -> list:
    return list(begin(folder, *tasks, workers=workers, timeout_s=timeout_s))


@contextlib.contextmanager
def apart(folder: Path, *tasks: tuple[str, ...], timeout_s: float) -> Iterator[subprocess.Popen]:
    """`run` in a process group of its own, which prints the outcomes."""
    call = f"pool.run(pool.Path({str(folder)!r}), *{tasks!r}, timeout_s={timeout_s})"
    main = f"from tests.pipeline.conversion import pool; print(pool.outcomes({call}))"
    command = [sys.executable, "-c", main]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of it has ended
                os.killpg(process.pid, signal.SIGKILL)


def outcomes(events: list) -> dict[str, str | Failed]:
    """What was finished and not voided by a restart."""
    finished = {}
    for event in events:
        if isinstance(event, Finished):
            assert event.item not in finished
            finished[event.item] = event.outcome
        elif isinstance(event, Restarted):
            for void in event.void:
                assert finished.pop(void.item) == void.outcome
    return finished


def tries(folder: Path, item: str) -> int:
    return len((folder / item).read_text().splitlines())


def alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
