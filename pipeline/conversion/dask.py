"""Shards made by the workers of a Dask cluster: the only module that knows Dask.

A shard is a Dask task. Within a Dask worker it is made by a process of its own (`processes.Pool`), kept from shard to
shard, so that a clip that crashes or hangs costs what it costs on one machine and Dask does not see it. If a Dask
worker itself dies, Dask gives its shards to others.
"""

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import pickle
import queue
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import distributed
from distributed.diagnostics.plugin import WorkerPlugin

from pipeline.conversion import machine
from pipeline.conversion.processes import (
    CRASHES,
    Completed,
    Event,
    Finished,
    Pool,
    Restarted,
    Work,
    WorkerError,
    without_ctrl_c,
)
from pipeline.conversion.reports import Report, Reports
from pipeline.conversion.shard import ShardTask
from pipeline.records.bucket import Url
from pipeline.records.storage import Place, place
from pipeline.schema import DataError

LOCAL = "local"
WORKER = "python -m dask worker"  # finds this project in the folder where it is started
CONNECT_S = 10.0
ASK_S = 60.0  # for all workers to say what they see
NO_WORKERS_S = 600.0  # without any worker, at the start or later; clusters that queue may take their time
TICK_S, LOOK_S = 1.0, 5.0  # longest wait for news, and time between two looks at the workers
TELL_S = 0.5  # between two messages of a worker
QUEUED = 2  # shards a thread that the scheduler holds; all of a large job would fill its memory
STOP_S = 10.0  # for a cluster of this machine to end

logging.getLogger("distributed").setLevel(logging.ERROR)  # notices would break the progress bar


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running Dask cluster, or one of this machine's own, for the shards of one output.

    Attributes:
      address: of the scheduler, such as `tcp://host:8786`; `LOCAL` starts `workers` processes here.
      output, root, origin: of `job.convert`, as every worker sees them.
      announce: is told once where the cluster and its dashboard are.
    """

    address: str
    workers: int
    output: str | Place
    root: str | Path
    origin: Url | None
    announce: Callable[[str], None]

    def run(
        self, tasks: list[ShardTask], setup: Callable[[], Work], timeout_s: float, logs: Path, fatal: type[Exception]
    ) -> Iterator[Event]:
        """Runs every task on the cluster; arguments, results and errors as of `pieces.run`.

        Raises:
          DataError: no scheduler answers, or a worker sees another output or source or has other versions than this
            process.
          WorkerError: no worker is there, the scheduler is gone, or the workers of a shard die again and again.
        """
        if not tasks:
            return
        probe = functools.partial(machine.seen, place(self.output), self._video(tasks[0]))
        with self._connected() as client, contextlib.closing(_Run(client, tasks, logs, self.announce)) as run:
            run.wait_for_workers()
            here, found = probe(), run.ask(probe)
            problems = [machine.differing(worker, here, there) for worker, there in sorted(found.items())]
            if any(problems):
                found = f"Dask workers differ from this process: {'; '.join(filter(None, problems))}"
                raise DataError(f"{found}; start them with {WORKER} in the folder of this project")
            run.begin(Makers(f"lipflow {self.output}", run.name, setup, timeout_s, fatal, here, probe))
            yield from run.events()

    def _video(self, task: ShardTask) -> Place:
        video = task.sources[0].video
        return self.origin / video.relative_to(self.root).as_posix() if self.origin else video

    @contextlib.contextmanager
    def _connected(self) -> Iterator[distributed.Client]:
        with contextlib.ExitStack() as stack:
            address = self.address
            if address == LOCAL:
                quiet = {"silence_logs": logging.ERROR, "dashboard_address": "127.0.0.1:0"}
                with without_ctrl_c():
                    cluster = distributed.LocalCluster(n_workers=self.workers, threads_per_worker=1, **quiet)
                stack.callback(_close, cluster)
                address = cluster.scheduler_address
            elif not re.fullmatch(r"(\w+://)?[^/]+:\d+", address):
                raise DataError(
                    f"--dask={address}: want the address of a scheduler, such as tcp://host:8786, or {LOCAL}"
                )
            try:
                client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
            except (OSError, ValueError) as error:
                way_out = "start one with python -m dask scheduler, or correct the address"
                raise DataError(f"--dask={address}: no scheduler answers ({error}); {way_out}") from error
            stack.callback(_close, client)
            self.announce(f"Dask: {address}, dashboard {client.dashboard_link}")
            yield client


def _close(what: distributed.Client | distributed.LocalCluster) -> None:
    with contextlib.suppress(Exception):  # it may be gone, and what is finished is on disk
        what.close(STOP_S)


@dataclasses.dataclass(eq=False)
class Makers(WorkerPlugin):
    """What a Dask worker needs to make shards: processes that are kept from shard to shard.

    Attributes:
      name: of the output, so that the next client ends what a killed one has left.
      topic: of what is told to the client.
      load, timeout_s, fatal: `setup` and more of `processes.Pool`.
      here, probe: what the client sees, and how to see it.
    """

    name: str
    topic: str
    load: Callable[[], Work]
    timeout_s: float
    fatal: type[Exception]
    here: dict[str, str]
    probe: Callable[[], dict[str, str]]

    def setup(self, worker: distributed.Worker) -> None:
        """Is called in each Dask worker; one that comes later and differs leaves, and the client is told why."""
        self._worker, self._ended = worker, threading.Event()
        self._idle: queue.SimpleQueue[tuple[Pool, Path]] = queue.SimpleQueue()
        try:
            self._differing = machine.differing(worker.address, self.here, self.probe())
        except Exception as error:  # whatever it lacks
            self._differing = machine.differing(worker.address, self.here, error)
        if self._differing:
            worker.log_event(self.topic, pickle.dumps(self._differing))
            worker.loop.add_callback(worker.close_gracefully, reason=self._differing)

    def teardown(self, worker: distributed.Worker) -> None:
        """Is called at the end of the run."""
        self._ended.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait()[0].close()

    def make(self, key: str, task: ShardTask) -> Report:
        """Makes one shard. One that nobody wants any more is left."""
        if self._differing:
            raise distributed.Reschedule
        try:
            pool, logs = self._idle.get_nowait()
        except queue.Empty:
            pool, logs = self._new_pool()
        try:
            made = self._follow(pool.run([task], lambda: self._is_wanted(key)), key)
            return dataclasses.replace(made, crashes=_taken(logs / CRASHES))
        except WorkerError as error:
            raise WorkerError(f"{self._worker.address}: {error}") from error
        finally:
            if pool.is_idle and not self._ended.is_set():
                self._idle.put((pool, logs))
            else:
                pool.close()

    def _new_pool(self) -> tuple[Pool, Path]:
        logs = Path(tempfile.mkdtemp(prefix="lipflow-", dir=self._worker.local_directory))
        # Dask starts its workers as processes that may not have children; these end with it by themselves
        multiprocessing.current_process()._config["daemon"] = False
        return Pool(self.load, self.timeout_s, logs, self.fatal, workers=1), logs

    def _is_wanted(self, key: str) -> bool:
        task = self._worker.state.tasks.get(key)
        return not self._ended.is_set() and task is not None and task.state != "cancelled"

    def _follow(self, events: Iterator[Event], key: str) -> Report:
        """Tells the client what is finished, not too often; returns all of it."""
        attempt, finished, told, since, made = uuid.uuid4().hex, [], 0, time.monotonic(), None
        for event in events:
            if isinstance(event, Finished):
                finished.append(event)
            elif isinstance(event, Restarted):
                attempt, finished, told = uuid.uuid4().hex, [], 0
            elif isinstance(event, Completed):
                made = Report(key, attempt, tuple(finished))
            if time.monotonic() - since > TELL_S:
                news = Report(key, attempt, tuple(finished[told:]))
                self._worker.log_event(self.topic, pickle.dumps(news))
                told, since = len(finished), time.monotonic()
        if made is None:
            raise WorkerError(f"{key}: taken back")  # nobody hears it
        return made


def _taken(log: Path) -> str:
    """Returns what a file says, and removes it; nothing if there is none."""
    said = log.read_text("utf-8") if log.is_file() else ""
    log.unlink(missing_ok=True)
    return said


def _make(name: str, key: str, task: ShardTask) -> Report:
    return distributed.get_worker().plugins[name].make(key, task)


class _Run:
    """The shards of one run: those that wait, those that Dask has, and what workers have told of these."""

    def __init__(
        self, client: distributed.Client, tasks: list[ShardTask], logs: Path, announce: Callable[[str], None]
    ) -> None:
        self.name = f"lipflow-{uuid.uuid4().hex[:8]}"
        self._client, self._address, self._logs, self._announce = client, client.scheduler.address, logs, announce
        self._makers = ""
        self._waiting = list(reversed(tasks))
        self._futures: dict[str, tuple[distributed.Future, ShardTask]] = {}
        self._reports = Reports()
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads, self._looked, self._seen_workers = 0, 0.0, time.monotonic()

    def wait_for_workers(self) -> None:
        """Waits for the first worker."""
        self._look_around()
        if not self._threads:
            self._announce(f"waiting for workers, up to {NO_WORKERS_S:g} s: {WORKER} {self._address}")
        while not self._threads:
            time.sleep(TICK_S)
            self._look_around()

    def ask(self, probe: Callable[[], dict[str, str]]) -> dict[str, dict[str, str] | Exception]:
        """Returns what each worker sees.

        Raises:
          WorkerError: one does not answer, as where its disk does not.
        """
        asked = functools.partial(self._client.sync, self._client._run)  # `run` itself has no time-out
        try:
            return asked(probe, on_error="return", callback_timeout=ASK_S)
        except TimeoutError as error:
            raise WorkerError(f"{self._address}: a Dask worker does not answer within {ASK_S:g} s") from error

    def begin(self, makers: Makers) -> None:
        """Makes the workers ready."""
        self._makers = makers.name
        self._client.register_plugin(makers)
        self._client.subscribe_topic(self.name, self._heard.put)

    def close(self) -> None:
        """Takes back what is not finished."""
        with contextlib.suppress(Exception):  # the scheduler may be gone, and what is finished is on disk
            self._client.cancel([future for future, _ in self._futures.values()])
            if self._makers:
                self._client.unregister_worker_plugin(self._makers)

    def events(self) -> Iterator[Event]:
        """Yields what workers tell, until all shards are finished."""
        while self._submit():
            if time.monotonic() - self._looked > LOOK_S:
                self._look_around()
            try:
                heard = self._heard.get(timeout=TICK_S)
            except queue.Empty:
                continue
            if isinstance(heard, distributed.Future):
                yield from self._complete(heard)
            else:
                yield from self._report(pickle.loads(heard[1]))

    def _submit(self) -> bool:
        """Gives shards to Dask, a few more than it has threads; returns whether any are left."""
        while self._waiting and len(self._futures) < QUEUED * max(1, self._threads):
            task = self._waiting.pop()
            key = f"{self.name}-{task.split}-{task.shard}"
            future = self._client.submit(_make, self._makers, key, task, key=key, pure=False)
            self._futures[key] = future, task
            future.add_done_callback(self._heard.put)
        return bool(self._futures)

    def _look_around(self) -> None:
        """Counts the threads of all workers.

        Raises:
          WorkerError: the scheduler is gone, or there has been no worker for long.
        """
        now = self._looked = time.monotonic()
        try:
            self._threads = sum(self._client.nthreads().values())
        except (OSError, RuntimeError, CancelledError) as error:
            raise self._gone() from error
        self._seen_workers = now if self._threads else self._seen_workers
        if now - self._seen_workers > NO_WORKERS_S:
            start = f"start some with {WORKER} {self._address}, and run the same command again"
            raise WorkerError(f"{self._address}: no Dask worker for {NO_WORKERS_S:g} s; {start}")

    def _gone(self) -> WorkerError:
        return WorkerError(f"{self._address}: the Dask scheduler is gone; run the same command again to continue")

    def _complete(self, future: distributed.Future) -> Iterator[Event]:
        made, task = self._result(future), self._futures.pop(future.key)[1]
        if made.crashes:
            with (self._logs / CRASHES).open("a", encoding="utf-8") as file:
                file.write(made.crashes)
        yield from self._reports.complete(task, made)

    def _result(self, future: distributed.Future) -> Report:
        """Returns what was made; it is made again where its worker has died before it could tell."""
        while True:
            try:
                return future.result(timeout=LOOK_S)
            except TimeoutError:
                self._look_around()
            except (CancelledError, distributed.comm.CommClosedError) as error:
                raise self._gone() from error
            except (DataError, WorkerError):
                raise
            except distributed.KilledWorker as error:
                died = f"{error.allowed_failures + 1} Dask workers died, the last one {error.last_worker.address}"
                raise WorkerError(f"{error.task}: {died}; see their logs, and run the same command again") from error
            except Exception as error:  # of any kind that a machine can raise
                raise WorkerError(f"a Dask worker failed: {type(error).__name__}: {error}") from error

    def _report(self, news: Report | str) -> Iterator[Event]:
        if isinstance(news, str):
            self._announce(f"a Dask worker is refused: {news}")
        elif news.key in self._futures:  # else it has come later than the end
            yield from self._reports.add(self._futures[news.key][1], news)
