"""A pool of processes that outlives its workers: one that dies or hangs costs one item of one task, not the job."""

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
ATTEMPTS = 2  # of a task on the item that ends its worker, before the item is given up
TICK_S = 1.0  # the pool looks at its clock at least this often
SILENT_S = 1800.0  # the longest that a worker may load what is heavy, or put on disk what a task has come to
LAST_WORDS_S = 5.0  # that a worker gets to end in
PARTING_S = 1.0  # that all get together, when the job is stopped
CRASHES, KEPT = "crashes.log", 20_000  # what workers said before an item was given up; characters of each
READY, ENDED = "ready", "ended"  # what a worker says of itself and of its task
MAX_CRASHES = 10  # items that ended their workers, when no more than that came through: the fault is not theirs


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
    """A task has ended well, with these items."""

    task: Any
    finished: tuple[Finished, ...]


@dataclasses.dataclass(frozen=True)
class Restarted:
    """A task is begun anew: what it had reported as finished is void."""

    task: Any
    void: tuple[Finished, ...]


@dataclasses.dataclass(frozen=True)
class Failed:
    """An item that cannot be done.

    Attributes:
      how: `DIED` or `HUNG`.
      cause: of the death, such as `SIGSEGV` or `KeyError: 'x'`; empty for `HUNG`.
    """

    how: str
    cause: str = ""


Work = Callable[[Any, dict[str, Failed]], Iterator[Started | Finished]]


class WorkerError(RuntimeError):
    """Workers die whatever they are given."""


class _Clock:
    """Seconds in which this process ran: those in which Ctrl-Z had stopped it, and its workers, do not count."""

    def __init__(self) -> None:
        self.now = 0.0
        self._seen = time.monotonic()

    def look(self) -> float:
        seen = time.monotonic()
        self.now += min(seen - self._seen, 2 * TICK_S)
        self._seen = seen
        return self.now


class _Worker:
    """A process, the task it has or will get, and the item it is at since a time."""

    def __init__(self, task: Any, setup: Callable[[], Work], log: Path, fatal: type[Exception], now: float) -> None:
        self.task, self.since = task, now
        self.item: str | None = None
        self.finished: list[Finished] = []
        self.counted: set[str] = set()  # items of the task that came through or were given up before
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.log = log
        log.write_bytes(b"")
        self.process = context.Process(target=_serve, args=(end, setup, log, fatal), daemon=True)
        resource_tracker.ensure_running()  # where it starts it unblocks SIGINT
        # Ctrl-C reaches the whole process group; blocked from the start in the worker, so that the parent decides
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        end.close()

    def send_task(self, failed: dict[str, Failed], counted: set[str]) -> None:
        """To a worker that waits for it: one that still loads would not take a large task off the pipe."""
        self.finished, self.counted = [], counted
        with contextlib.suppress(BrokenPipeError):  # it has died: what it says next is that
            self.pipe.send((self.task, failed))

    def end(self, patience_s: float = LAST_WORDS_S) -> None:
        self.process.kill()
        self.process.join(patience_s)  # one that waits for a dead disk cannot be killed, and is left to itself
        self.pipe.close()

    def cause_of_death(self) -> str:
        """The name of a signal, or the last line of the log."""
        self.process.join(LAST_WORDS_S)
        ended = self.process.exitcode
        self.end()
        if ended is None:
            return f"closed its pipe and did not end in {LAST_WORDS_S:g} s"
        if ended < 0:
            return _signal_name(-ended)
        lines = self.last_words().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit {ended}")

    def last_words(self) -> str:
        return self.log.read_text("utf-8", "replace")[-KEPT:]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # Python names only the first and the last of the real-time signals
        return f"signal {number}"


def _serve(pipe: connection.Connection, setup: Callable[[], Work], log: Path, fatal: type[Exception]) -> None:
    """Works until the parent is gone. Errors that are not `fatal` end the process, as a crash would."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)  # what libraries have to say must not cross the progress bar
    faulthandler.enable()
    try:
        work = setup()
        _tell(pipe, READY)
        while True:
            for event in work(*_told(pipe)):
                _tell(pipe, event)
            _tell(pipe, ENDED)
    except fatal as error:
        _tell(pipe, fatal(str(error)))


def _tell(pipe: connection.Connection, event: Any) -> None:
    try:
        pipe.send(event)
    except BrokenPipeError:  # the parent is gone
        sys.exit(1)


def _told(pipe: connection.Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # the parent is gone
        sys.exit(1)


def _end_with_parent() -> None:
    """Ends this process with its parent, in the middle of an item too."""
    multiprocessing.parent_process().join()
    os._exit(1)


def run(
    tasks: list[Any], setup: Callable[[], Work], workers: int, timeout_s: float, logs: Path, fatal: type[Exception]
) -> Iterator[Started | Finished | Done | Restarted]:
    """Runs every task on `workers` processes and yields what they report, in the order it comes.

    A task is work over named items. The work gets the items given up so far and leaves them out. A worker that dies, of
    a signal or of an error, is replaced and its task begun anew; an item at which a worker dies a second time is given
    up. An item that takes longer than `timeout_s` seconds is given up at once. A worker gets a task once its setup is
    over. Workers end when this process does, however it ends.

    Args:
      tasks: picklable, hashable.
      setup: called once in each worker, to load what is heavy; picklable. Returns the work.
      workers: processes, at least 1.
      timeout_s: seconds for an item.
      logs: the directory for what workers write to stderr, `worker-1.log` and so on; `CRASHES` gathers it of the items
        that were given up because their workers died.
      fatal: an error of the work that ends the job; made of a message alone.

    Raises:
      fatal: the work raised it.
      WorkerError: a worker died twice outside of any item, or said nothing there for `SILENT_S` seconds; or at least as
        many items end their workers as come through.
    """
    pool = _Pool(tasks, setup, timeout_s, logs, fatal)
    try:
        while pool.fill(workers):
            for worker in pool.ready():
                yield from pool.hear(worker)
    finally:
        _end(pool.workers)


def _end(workers: list[_Worker]) -> None:
    """Kills all before it waits for any: the waits would add up."""
    for worker in workers:
        worker.process.kill()
    last = time.monotonic() + PARTING_S
    for worker in workers:
        worker.end(max(0.0, last - time.monotonic()))


class _Pool:
    """The workers, what is left to do, and who died of what."""

    def __init__(
        self, tasks: list[Any], setup: Callable[[], Work], timeout_s: float, logs: Path, fatal: type[Exception]
    ) -> None:
        self.workers: list[_Worker] = []
        self._waiting = list(reversed(tasks))
        self._setup, self._timeout_s, self._fatal = setup, timeout_s, fatal
        self._logs = (logs / f"worker-{number}.log" for number in itertools.count(1))
        self._crashes = logs / CRASHES
        self._deaths: Counter[tuple[Any, str | None]] = Counter()
        self._failed: dict[Any, dict[str, Failed]] = {}
        self._clock = _Clock()
        self._through = 0  # items, each once however often its task is begun anew
        self._counted: dict[Any, set[str]] = {}  # of tasks begun anew

    def fill(self, workers: int) -> bool:
        """Starts workers for the tasks that wait; whether there are any workers."""
        while self._waiting and len(self.workers) < workers:
            log, now = next(self._logs), self._clock.look()
            self.workers.append(_Worker(self._waiting.pop(), self._setup, log, self._fatal, now))
        return bool(self.workers)

    def ready(self) -> list[_Worker]:
        """Waits a little for workers that have something to say, have died, or are over their time."""
        now = self._clock.look()
        patience = min(TICK_S, *(max(0.0, self._end_of_time(worker) - now) for worker in self.workers))
        speaking = connection.wait([worker.pipe for worker in self.workers], patience)
        self._clock.look()
        late = [worker for worker in self.workers if self._clock.now >= self._end_of_time(worker)]
        return [worker for worker in self.workers if worker.pipe in speaking or worker in late]

    def _end_of_time(self, worker: _Worker) -> float:
        return worker.since + (SILENT_S if worker.item is None else self._timeout_s)

    def hear(self, worker: _Worker) -> Iterator[Started | Finished | Done | Restarted]:
        """Passes on what a worker reports; replaces one that will report no more."""
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
        worker.since = self._clock.look()
        if isinstance(event, Finished):
            worker.finished.append(event)
            self._through += event.item not in worker.counted
        if event == READY:
            self._send_task(worker)
        elif event == ENDED:
            yield Done(worker.task, tuple(worker.finished))
            self._dismiss(worker)
        else:
            yield event

    def _send_task(self, worker: _Worker) -> None:
        failed = self._failed.get(worker.task, {})
        worker.send_task(failed, self._counted.get(worker.task, set()) | failed.keys())

    def _dismiss(self, worker: _Worker) -> None:
        """A new task for a worker, or the end."""
        if self._waiting:
            worker.task = self._waiting.pop()
            self._send_task(worker)
        else:
            self.workers.remove(worker)
            worker.end()

    def _replace(self, worker: _Worker, how: str) -> Restarted:
        self.workers.remove(worker)
        if how == HUNG:
            worker.end()
        cause = worker.cause_of_death() if how == DIED else ""
        self._counted.setdefault(worker.task, set()).update(event.item for event in worker.finished)
        self._blame(worker, Failed(how, cause))
        self._waiting.append(worker.task)
        return Restarted(worker.task, tuple(worker.finished))

    def _blame(self, worker: _Worker, end: Failed) -> None:
        """Gives an item up that has ended its workers."""
        self._deaths[worker.task, worker.item] += end.how == DIED
        if end.how == DIED and self._deaths[worker.task, worker.item] < ATTEMPTS:
            return
        if worker.item is None and end.how == HUNG:
            raise WorkerError(f"a worker said nothing for {SILENT_S:g} s outside of any item, see {worker.log}")
        if worker.item is None:
            raise WorkerError(f"a worker died {ATTEMPTS} times outside of any item ({end.cause}), see {worker.log}")
        self._failed.setdefault(worker.task, {})[worker.item] = end
        if end.how == DIED:
            with self._crashes.open("a", encoding="utf-8") as file:
                file.write(f"{worker.item}: {end.cause}\n{worker.last_words()}\n")
        deadly = sum(item.how == DIED for items in self._failed.values() for item in items.values())
        if deadly >= MAX_CRASHES and deadly >= self._through:
            raise WorkerError(f"{deadly} items ended their workers, {worker.item} too ({end.cause}), see {worker.log}")
