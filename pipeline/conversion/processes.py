"""Runs tasks in worker processes; one that dies or hangs costs one item of one task, not the job."""

import contextlib
import dataclasses
import faulthandler
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any

DIED, HUNG = "died", "hung"
ATTEMPTS = 2  # deaths of a worker at an item before the item fails
TICK_S = 1.0  # longest wait for events
MAX_SILENCE_S = 1800.0  # for a worker to load models, or to finish a task on disk
EXIT_TIMEOUT_S = 5.0  # for one worker to end
STOP_TIMEOUT_S = 1.0  # for all workers to end when the job is stopped
CRASHES, MAX_STDERR_CHARS = "crashes.log", 20_000  # the stderr of workers whose items failed; characters of each
READY, ENDED = "ready", "ended"  # messages of a worker about itself and its task
MAX_CRASHES = 10  # failed items, if no more succeeded: then the cause is not the items


@dataclasses.dataclass(frozen=True)
class Started:
    """A worker starts an item of its task."""

    item: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """A worker has finished an item; the task defines what `outcome` is."""

    item: str
    outcome: Any


@dataclasses.dataclass(frozen=True)
class Completed:
    """A task has completed with these items."""

    task: Any
    finished: tuple[Finished, ...]


@dataclasses.dataclass(frozen=True)
class Restarted:
    """A task starts again; the items that it had finished are void."""

    task: Any
    void: tuple[Finished, ...]


@dataclasses.dataclass(frozen=True)
class Failed:
    """An item that failed.

    Attributes:
      how: `DIED` or `HUNG`.
      cause: of the death, such as `SIGSEGV` or `KeyError: 'x'`; empty for `HUNG`.
    """

    how: str
    cause: str = ""


Event = Started | Finished | Completed | Restarted
Work = Callable[[Any, dict[str, Failed]], Iterator[Started | Finished]]


class WorkerError(RuntimeError):
    """Workers die whatever they are given."""


class _Clock:
    """Counts the seconds in which this process ran, not those in which Ctrl-Z had stopped it and its workers."""

    def __init__(self) -> None:
        self.now = 0.0
        self._seen = time.monotonic()

    def read(self) -> float:
        seen = time.monotonic()
        self.now += min(seen - self._seen, 2 * TICK_S)
        self._seen = seen
        return self.now


@contextlib.contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Starts processes and threads that Ctrl-C does not reach, though it does their group: the parent decides."""
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Worker:
    """A process, its task, and its current item with the time of its start."""

    def __init__(self, task: Any, setup: Callable[[], Work], log: Path, fatal: type[Exception], now: float) -> None:
        self.task, self.since = task, now
        self.item: str | None = None
        self.finished: list[Finished] = []
        self.counted: set[str] = set()  # items of the task that succeeded or failed before
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.log = log
        log.write_bytes(b"")
        self.process = context.Process(target=_serve, args=(end, setup, log, fatal), daemon=True)
        with without_ctrl_c():
            self.process.start()
        end.close()

    def send_task(self, failed: dict[str, Failed], counted: set[str]) -> None:
        """Sends a task to a worker that waits for it; one that still loads would not take a large task off the pipe."""
        self.finished, self.counted = [], counted
        with contextlib.suppress(BrokenPipeError):  # it has died, which is reported next
            self.pipe.send((self.task, failed))

    def end(self, timeout_s: float = EXIT_TIMEOUT_S) -> None:
        self.process.kill()
        self.process.join(timeout_s)  # a worker that waits for a dead disk cannot be killed
        self.pipe.close()

    def cause_of_death(self) -> str:
        """Returns the name of a signal, or the last line on stderr."""
        self.process.join(EXIT_TIMEOUT_S)
        ended = self.process.exitcode
        self.end()
        if ended is None:
            return f"closed its pipe and did not end in {EXIT_TIMEOUT_S:g} s"
        if ended < 0:
            return _signal_name(-ended)
        lines = self.stderr_tail().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit {ended}")

    def stderr_tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-MAX_STDERR_CHARS:]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # Python names only the first and the last of the real-time signals
        return f"signal {number}"


def _serve(pipe: connection.Connection, setup: Callable[[], Work], log: Path, fatal: type[Exception]) -> None:
    """Makes tasks until the parent is gone. Errors that are not `fatal` end the process, as a crash would."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)  # output of libraries would break the progress bar
    faulthandler.enable()
    try:
        work = setup()
        _send(pipe, READY)
        while True:
            for event in work(*_receive(pipe)):
                _send(pipe, event)
            _send(pipe, ENDED)
    except fatal as error:
        _send(pipe, fatal(str(error)))


def _send(pipe: connection.Connection, event: Any) -> None:
    try:
        pipe.send(event)
    except BrokenPipeError:  # the parent is gone
        sys.exit(1)


def _receive(pipe: connection.Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # the parent is gone
        sys.exit(1)


def _end_with_parent() -> None:
    """Ends this process with its parent, even within an item."""
    multiprocessing.parent_process().join()
    os._exit(1)


class Pool:
    """Worker processes for tasks over named items.

    A worker that dies, by a signal or an error, is replaced and its task starts again. An item fails if a worker dies
    at it a second time, or if it takes longer than `timeout_s`. The work is told which items have failed and leaves
    them out. Workers end when this process ends, however it ends.

    Args:
      setup: called once in each worker to load models; picklable. Returns the work.
      timeout_s: seconds for an item.
      logs: directory for the stderr of workers, `worker-1.log` and so on; `CRASHES` collects it for items that failed
        because their workers died.
      fatal: an error of the work that ends the job; constructed from a message alone.
      workers: processes, at least 1, begun when there is work for them.
    """

    def __init__(
        self, setup: Callable[[], Work], timeout_s: float, logs: Path, fatal: type[Exception], *, workers: int
    ) -> None:
        self._busy: list[_Worker] = []  # with a task
        self._idle: list[_Worker] = []
        self._waiting: list[Any] = []
        self._count, self._setup, self._timeout_s, self._fatal = workers, setup, timeout_s, fatal
        self._logs = (logs / f"worker-{number}.log" for number in itertools.count(1))
        self._crashes = logs / CRASHES
        self._deaths: Counter[tuple[Any, str | None]] = Counter()
        self._failed: dict[Any, dict[str, Failed]] = {}
        self._clock = _Clock()
        self._succeeded = 0  # items, each once however often its task starts again
        self._counted: dict[Any, set[str]] = {}  # of tasks that started again

    @property
    def is_idle(self) -> bool:
        """Whether no worker has a task."""
        return not self._busy

    def run(self, tasks: list[Any], is_wanted: Callable[[], bool] = lambda: True) -> Iterator[Event]:
        """Runs every task, picklable and hashable, and yields what workers report, in the order it arrives.

        Ends early, with workers at work, once `is_wanted` says no; it is asked every `TICK_S` seconds or sooner.

        Raises:
          fatal: the work raised it.
          WorkerError: a worker died twice outside of any item, or was silent there for `MAX_SILENCE_S` seconds; or at
            least as many items end their workers as succeed.
        """
        self._waiting = list(reversed(tasks))
        while self._give_tasks() and is_wanted():
            for worker in self._wait():
                yield from self._receive(worker)

    def add(self, task: Any) -> None:
        """Adds a task to those that `run` has left, as the next."""
        self._waiting.append(task)

    def close(self) -> None:
        """Kills all workers before it waits for any, since the waits would add up."""
        workers = [*self._busy, *self._idle]
        for worker in workers:
            worker.process.kill()
        last = time.monotonic() + STOP_TIMEOUT_S
        for worker in workers:
            worker.end(max(0.0, last - time.monotonic()))

    def _give_tasks(self) -> bool:
        """Gives the tasks that wait to idle or new workers; returns whether there is any work."""
        while self._waiting and len(self._busy) < self._count:
            if self._idle:
                self._busy.append(self._idle.pop())
                self._next_task(self._busy[-1])
            else:
                log, now = next(self._logs), self._clock.read()
                self._busy.append(_Worker(self._waiting.pop(), self._setup, log, self._fatal, now))
        return bool(self._busy)

    def _wait(self) -> list[_Worker]:
        """Waits up to `TICK_S` for workers that have sent an event, have died, or have timed out."""
        now = self._clock.read()
        timeout_s = min(TICK_S, *(max(0.0, self._deadline(worker) - now) for worker in self._busy))
        speaking = connection.wait([worker.pipe for worker in self._busy], timeout_s)
        self._clock.read()
        late = [worker for worker in self._busy if self._clock.now >= self._deadline(worker)]
        return [worker for worker in self._busy if worker.pipe in speaking or worker in late]

    def _deadline(self, worker: _Worker) -> float:
        return worker.since + (MAX_SILENCE_S if worker.item is None else self._timeout_s)

    def _receive(self, worker: _Worker) -> Iterator[Event]:
        """Passes on the events of a worker; replaces a worker that has died or timed out."""
        if not worker.pipe.poll():
            yield self._replace(worker, HUNG)
            return
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            yield self._replace(worker, DIED)
            return
        if isinstance(event, self._fatal):
            raise event
        worker.item = event.item if isinstance(event, Started) else None
        worker.since = self._clock.read()
        if isinstance(event, Finished):
            worker.finished.append(event)
            self._succeeded += event.item not in worker.counted
        if event == READY:
            self._send_task(worker)
        elif event == ENDED:
            yield Completed(worker.task, tuple(worker.finished))
            self._next_task(worker)
        else:
            yield event

    def _send_task(self, worker: _Worker) -> None:
        failed = self._failed.get(worker.task, {})
        worker.send_task(failed, self._counted.get(worker.task, set()) | failed.keys())

    def _next_task(self, worker: _Worker) -> None:
        """Gives a worker the next task that waits, or none."""
        if self._waiting:
            worker.task, worker.item, worker.since = self._waiting.pop(), None, self._clock.read()
            self._send_task(worker)
        else:
            self._busy.remove(worker)
            self._idle.append(worker)

    def _replace(self, worker: _Worker, how: str) -> Restarted:
        self._busy.remove(worker)
        if how == HUNG:
            worker.end()
        cause = worker.cause_of_death() if how == DIED else ""
        self._counted.setdefault(worker.task, set()).update(event.item for event in worker.finished)
        self._blame(worker, Failed(how, cause))
        self._waiting.append(worker.task)
        return Restarted(worker.task, tuple(worker.finished))

    def _blame(self, worker: _Worker, end: Failed) -> None:
        """Lets the item fail that has ended its workers."""
        self._deaths[worker.task, worker.item] += end.how == DIED
        if end.how == DIED and self._deaths[worker.task, worker.item] < ATTEMPTS:
            return
        if worker.item is None and end.how == HUNG:
            raise WorkerError(f"a worker was silent for {MAX_SILENCE_S:g} s outside of any item, see {worker.log}")
        if worker.item is None:
            raise WorkerError(f"a worker died {ATTEMPTS} times outside of any item ({end.cause}), see {worker.log}")
        self._failed.setdefault(worker.task, {})[worker.item] = end
        if end.how == DIED:
            with self._crashes.open("a", encoding="utf-8") as file:
                file.write(f"{worker.item}: {end.cause}\n{worker.stderr_tail()}\n")
        crashed = sum(item.how == DIED for items in self._failed.values() for item in items.values())
        if crashed >= MAX_CRASHES and crashed >= self._succeeded:
            raise WorkerError(f"{crashed} items ended their workers, {worker.item} too ({end.cause}), see {worker.log}")
