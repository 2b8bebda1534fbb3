import dataclasses
import functools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import pool
from pipeline.pool import DIED, HUNG, Done, Finished, Restarted, Started


@dataclasses.dataclass(frozen=True)
class Task:
    """Items by name; what an item does is the beginning of its name."""

    items: tuple[str, ...]


def work(folder: Path, task: Task, given_up: dict[str, str]) -> Iterator[Started | Finished]:
    for item in task.items:
        yield Started(item)
        if item not in given_up:
            _do(item, folder)
        yield Finished(item, given_up.get(item, "fine"))


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


def setup(folder: Path) -> pool.Work:
    return functools.partial(work, folder)


def broken_setup() -> pool.Work:
    os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, *tasks: tuple[str, ...], workers: int = 2, timeout_s: float = 60) -> list:
    return list(pool.run([Task(items) for items in tasks], functools.partial(setup, folder), workers, timeout_s))


def outcomes(events: list) -> dict[str, str]:
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


def test_every_item_is_done_once_in_the_order_of_its_task(tmp_path: Path) -> None:
    tasks = [("a", "b"), ("c",), (), ("d", "e", "f")]
    events = run(tmp_path, *tasks)
    assert outcomes(events) == dict.fromkeys("abcdef", "fine")
    assert {event.task for event in events if isinstance(event, Done)} == {Task(items) for items in tasks}
    order = [event.item for event in events if isinstance(event, Started)]
    for items in tasks:
        assert tuple(item for item in order if item in items) == items
    assert all(tries(tmp_path, item) == 1 for item in "abcdef")


def test_no_tasks_need_no_workers() -> None:
    assert list(pool.run([], broken_setup, 0, 1)) == []


def test_a_worker_killed_once_costs_nothing(tmp_path: Path) -> None:
    events = run(tmp_path, ("a", "killed_once", "b"), ("c",))
    assert outcomes(events) == dict.fromkeys(["a", "killed_once", "b", "c"], "fine")
    (restarted,) = (event for event in events if isinstance(event, Restarted))
    assert restarted.void == (Finished("a", "fine"),)
    assert (tries(tmp_path, "killed_once"), tries(tmp_path, "a"), tries(tmp_path, "c")) == (2, 2, 1)


def test_an_item_that_ends_its_worker_twice_is_given_up(tmp_path: Path) -> None:
    events = run(tmp_path, ("a", "poison-1", "b", "poison-2"), ("c",))
    assert outcomes(events) == {"a": "fine", "poison-1": DIED, "b": "fine", "poison-2": DIED, "c": "fine"}
    assert (tries(tmp_path, "poison-1"), tries(tmp_path, "poison-2")) == (2, 2)


def test_an_item_that_hangs_is_given_up_at_once(tmp_path: Path) -> None:
    events = run(tmp_path, ("a", "hang", "b"), workers=1, timeout_s=1)
    assert outcomes(events) == {"a": "fine", "hang": HUNG, "b": "fine"}
    assert tries(tmp_path, "hang") == 1
    assert not alive(int((tmp_path / "hang").read_text()))


def test_an_error_reaches_the_caller_and_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(pool.WorkerError, match="raise-1: ValueError: raise-1 cannot be done"):
        run(tmp_path, ("hang",), ("wait", "raise-1"))
    if (tmp_path / "hang").exists():
        assert not alive(int((tmp_path / "hang").read_text()))


@pytest.mark.parametrize("end", ["close", "interrupt"])
def test_ending_the_run_ends_the_workers(tmp_path: Path, end: str) -> None:
    events = pool.run([Task(("hang-1",)), Task(("hang-2",))], functools.partial(setup, tmp_path), 2, 600)
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Started)
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    if end == "close":
        events.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt())
    assert not any(alive(int((tmp_path / item).read_text())) for item in ("hang-1", "hang-2"))


def test_a_worker_that_cannot_begin_is_an_error() -> None:
    with pytest.raises(pool.WorkerError, match=r"a worker died 2 times outside of any item \(exit -9\)"):
        list(pool.run([Task(("a",))], broken_setup, 1, 60))


def test_a_task_given_to_a_dead_worker_is_not_lost(tmp_path: Path) -> None:
    events = pool.run([Task(("a",)), Task(("b",))], functools.partial(setup, tmp_path), 1, 60)
    seen = [next(events), next(events)]
    done = next(events)
    assert isinstance(done, Done)
    pid = int((tmp_path / "a").read_text())
    os.kill(pid, signal.SIGKILL)  # idle, about to get the next task
    while alive(pid):
        time.sleep(0.01)
    assert outcomes([*seen, done, *events]) == {"a": "fine", "b": "fine"}


def test_a_death_counts_against_the_item_it_happened_at(tmp_path: Path) -> None:
    events = run(tmp_path, ("killed_once-1", "killed_once-2", "a"), workers=1)
    assert outcomes(events) == {"killed_once-1": "fine", "killed_once-2": "fine", "a": "fine"}
