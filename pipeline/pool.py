"""A pool of processes that outlives its workers: one that dies or hangs costs one item of one task, not the job."""

import contextlib
import dataclasses
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

DIED, HUNG = "died", "hung"
ATTEMPTS = 2  # of a task on the item that ends its worker, before the item is given up


@dataclasses.dataclass(frozen=True)
class Started:
    """The worker begins with an item of its task."""

    item: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """The worker is done with an item; `outcome` is the task's own business."""

    item: str
    outcome: Any


@dataclasses.dataclass(frozen=True)
class Done:
    """A task has ended well."""

    task: Any


@dataclasses.dataclass(frozen=True)
class Restarted:
    """A task is begun anew: what it had reported as finished is void."""

    task: Any
    void: tuple[Finished, ...]


Work = Callable[[Any, dict[str, str]], Iterator[Started | Finished]]


class WorkerError(RuntimeError):
    """A worker failed outside of any item, or raised an error."""


class _Worker:
    """A process, the task it has, and the item it is at."""

    def __init__(self, context: multiprocessing.context.SpawnContext, setup: Callable[[], Work]) -> None:
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, setup), daemon=True)
        # Ctrl-C reaches the whole process group; blocked from the start in the worker, so that the parent decides
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        end.close()
        self.task: Any = None
        self.item: str | None = None
        self.since = 0.0
        self.finished: list[Finished] = []

    def give(self, task: Any, given_up: dict[str, str]) -> None:
        self.task, self.item, self.finished = task, None, []
        with contextlib.suppress(BrokenPipeError):  # it has died: what it says next is that
            self.pipe.send((task, given_up))

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: connection.Connection, setup: Callable[[], Work]) -> None:
    try:
        work = setup()
        while True:
            task, given_up = pipe.recv()
            for event in work(task, given_up):
                pipe.send(event)
            pipe.send(Done(task))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return
    except Exception as error:
        pipe.send(error)


def run(
    tasks: list[Any], setup: Callable[[], Work], workers: int, timeout_s: float
) -> Iterator[Started | Finished | Done | Restarted]:
    """Runs every task on `workers` processes and yields what they report, in the order it comes.

    A task is work over named items. The work gets the items given up so far, `{item: DIED or HUNG}`, and leaves them
    out. A worker that dies is replaced and its task begun anew; an item at which a worker dies a second time is given
    up. An item that takes longer than `timeout_s` seconds is given up at once.

    Args:
      tasks: picklable, hashable.
      setup: called once in each worker, to load what is heavy; picklable. Returns the work.
      workers: processes, at least 1.
      timeout_s: seconds for an item.

    Raises:
      WorkerError: a worker died twice outside of any item, or the work raised an error, which is its cause.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(tasks))
    deaths: Counter[tuple[Any, str | None]] = Counter()
    given_up: dict[Any, dict[str, str]] = {task: {} for task in tasks}
    pool: list[_Worker] = []
    try:
        while waiting or pool:
            while waiting and len(pool) < workers:
                pool.append(_Worker(context, setup))
                pool[-1].give(task := waiting.pop(), given_up[task])
            for worker in _ready(pool, timeout_s):
                event = _receive(worker)
                if event in (DIED, HUNG):
                    pool.remove(worker)
                    worker.end()
                    _blame(worker, event, deaths, given_up)
                    waiting.append(worker.task)
                    yield Restarted(worker.task, tuple(worker.finished))
                    continue
                yield event
                if isinstance(event, Done):
                    if waiting:
                        worker.give(task := waiting.pop(), given_up[task])
                    else:
                        pool.remove(worker)
                        worker.end()
    finally:
        for worker in pool:
            worker.end()


def _ready(pool: list[_Worker], timeout_s: float) -> list[_Worker]:
    """The workers that have something to say, have died, or are over their time; waits until there is one."""
    deadlines = [worker.since + timeout_s for worker in pool if worker.item is not None]
    patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    ready = connection.wait([worker.pipe for worker in pool], patience)
    late = [worker for worker in pool if _is_late(worker, timeout_s)]
    return [worker for worker in pool if worker.pipe in ready or worker in late]


def _is_late(worker: _Worker, timeout_s: float) -> bool:
    return worker.item is not None and time.monotonic() - worker.since >= timeout_s


def _receive(worker: _Worker) -> Started | Finished | Done | str:
    if not worker.pipe.poll():
        return HUNG
    try:
        event = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        return DIED
    if isinstance(event, Exception):
        raise WorkerError(f"{worker.item or 'a worker'}: {type(event).__name__}: {event}") from event
    worker.item = event.item if isinstance(event, Started) else None
    if isinstance(event, Finished):
        worker.finished.append(event)
    worker.since = time.monotonic()
    return event


def _blame(
    worker: _Worker, how: str, deaths: Counter[tuple[Any, str | None]], given_up: dict[Any, dict[str, str]]
) -> None:
    if how == DIED:
        deaths[worker.task, worker.item] += 1
    if how == DIED and deaths[worker.task, worker.item] < ATTEMPTS:
        return
    if worker.item is None:
        raise WorkerError(f"a worker died {ATTEMPTS} times outside of any item (exit {worker.process.exitcode})")
    given_up[worker.task][worker.item] = how
