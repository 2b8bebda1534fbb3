import functools
import itertools
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from pipeline.conversion import processes
from pipeline.conversion.processes import DIED, Completed, Failed, Finished, Restarted, Started
from tests.pipeline.conversion import pool


def test_every_item_is_done_once_in_the_order_of_its_task(tmp_path: Path) -> None:
    tasks = [("a", "b"), ("c",), (), ("d", "e", "f")]
    events = pool.run(tmp_path, *tasks)
    assert pool.outcomes(events) == dict.fromkeys("abcdef", "fine")
    done = {event.task: event.finished for event in events if isinstance(event, Completed)}
    assert done == {pool.Task(items): tuple(Finished(item, "fine") for item in items) for items in tasks}
    order = [event.item for event in events if isinstance(event, Started)]
    for items in tasks:
        assert tuple(item for item in order if item in items) == items
    assert all(pool.tries(tmp_path, item) == 1 for item in "abcdef")


def test_no_tasks_need_no_workers(tmp_path: Path) -> None:
    assert list(pool.run_all([], pool.broken_setup, 1, tmp_path, pool.Full, workers=1)) == []


def test_a_worker_killed_once_costs_nothing(tmp_path: Path) -> None:
    events = pool.run(tmp_path, ("a", "killed_once", "b"), ("c",))
    assert pool.outcomes(events) == dict.fromkeys(["a", "killed_once", "b", "c"], "fine")
    (restarted,) = (event for event in events if isinstance(event, Restarted))
    assert restarted.void == (Finished("a", "fine"),)
    assert (pool.tries(tmp_path, "killed_once"), pool.tries(tmp_path, "a"), pool.tries(tmp_path, "c")) == (2, 2, 1)


def test_an_item_that_ends_its_worker_twice_is_given_up(tmp_path: Path) -> None:
    events = pool.run(tmp_path, ("a", "poison-1", "b", "poison-2"), ("c",))
    assert pool.outcomes(events) == {
        "a": "fine",
        "poison-1": pool.KILLED,
        "b": "fine",
        "poison-2": pool.KILLED,
        "c": "fine",
    }
    assert (pool.tries(tmp_path, "poison-1"), pool.tries(tmp_path, "poison-2")) == (2, 2)


def test_an_item_that_hangs_is_given_up_at_once(tmp_path: Path) -> None:
    events = pool.run(tmp_path, ("a", "hang", "b"), workers=1, timeout_s=4)
    assert pool.outcomes(events) == {"a": "fine", "hang": pool.LATE, "b": "fine"}
    assert pool.tries(tmp_path, "hang") == 1
    assert not pool.alive(int((tmp_path / "hang").read_text()))


def test_an_error_is_a_death_with_its_last_line(tmp_path: Path) -> None:
    raised = Failed(DIED, "ValueError: raise-1 cannot be done")
    assert pool.outcomes(pool.run(tmp_path, ("a", "raise-1", "b"), ("c",))) == {
        "a": "fine",
        "raise-1": raised,
        "b": "fine",
        "c": "fine",
    }
    assert any("Traceback" in log.read_text() for log in (tmp_path / "logs").iterdir())


def test_a_segmentation_fault_is_named(tmp_path: Path) -> None:
    assert pool.outcomes(pool.run(tmp_path, ("fault", "a"))) == {"fault": Failed(DIED, "SIGSEGV"), "a": "fine"}


def test_a_signal_without_a_name_has_its_number(tmp_path: Path) -> None:
    unnamed = Failed(DIED, f"signal {signal.SIGRTMIN + 3}")
    assert pool.outcomes(pool.run(tmp_path, ("unnamed", "a"))) == {"unnamed": unnamed, "a": "fine"}


def test_what_was_said_before_an_item_was_given_up_is_gathered(tmp_path: Path) -> None:
    pool.run(tmp_path, ("a", "raise-1", "killed_once", "hang", "raise-2"), timeout_s=5)
    kept = (tmp_path / "logs" / processes.CRASHES).read_text()
    heads = [line for line in kept.splitlines() if line.endswith(" cannot be done") and line.startswith("raise")]
    assert heads == [f"{item}: ValueError: {item} cannot be done" for item in ("raise-1", "raise-2")]
    assert kept.count("Traceback (most recent call last)") == 2


def test_what_workers_say_is_in_their_logs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pool.run(tmp_path, ("loud",), ("loud-2",))
    assert capfd.readouterr().err == ""
    logs = sorted((tmp_path / "logs").iterdir())
    assert [log.name for log in logs] == ["worker-1.log", "worker-2.log"]
    assert [log.read_text() for log in logs] == ["a library's notice\non stderr\n"] * 2


def test_what_a_user_has_to_mend_ends_the_job(tmp_path: Path) -> None:
    with pytest.raises(pool.Full, match=r"^full-1: the disk is full$"):
        pool.run(tmp_path, ("hang",), ("a", "full-1"))
    if (tmp_path / "hang").exists():
        assert not pool.alive(int((tmp_path / "hang").read_text()))


def test_a_fault_that_no_item_escapes_ends_the_job(tmp_path: Path) -> None:
    items = tuple(f"poison-{n}" for n in range(processes.MAX_CRASHES + 1))
    with pytest.raises(
        processes.WorkerError, match=r"10 items ended their workers, poison-\d too \(SIGKILL\), see .*/worker-20.log"
    ):
        pool.run(tmp_path, items)


def test_deadly_items_among_sound_ones_do_not_end_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_CRASHES", 3)
    sound, deadly = [f"a-{n}" for n in range(5)], [f"poison-{n}" for n in range(4)]
    found = pool.outcomes(pool.run(tmp_path, (*sound, *deadly, "b"), workers=1))
    assert found == {**dict.fromkeys([*sound, "b"], "fine"), **dict.fromkeys(deadly, pool.KILLED)}


def test_sound_items_count_once_however_often_they_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_CRASHES", 3)
    with pytest.raises(processes.WorkerError, match=r"3 items ended their workers, poison-2 too"):
        pool.run(tmp_path, ("a-1", "a-2", "a-3", "poison-0", "poison-1", "poison-2"), workers=1)
    assert pool.tries(tmp_path, "a-1") == 6


def test_all_workers_are_killed_before_any_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, calls = multiprocessing.get_context("spawn").Process, []
    events = pool.begin(tmp_path, ("hang-1",), ("hang-2",))
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Started)
    pids = hanging(tmp_path)
    for name in ("kill", "join"):
        original = getattr(process, name)
        monkeypatch.setattr(process, name, lambda *a, n=name, call=original: (calls.append((n, *a[1:])), call(*a)))
    events.close()
    assert [name for name, *_ in calls[:3]] == ["kill", "kill", "kill"]  # the third ends the first
    waits = [seconds for name, *rest in calls if name == "join" for seconds in rest]
    assert len(waits) == 2
    assert max(waits) <= processes.STOP_TIMEOUT_S
    assert not any(pool.alive(pid) for pid in pids)


@pytest.mark.parametrize("end", ["close", "interrupt"])
def test_ending_the_run_ends_the_workers(tmp_path: Path, end: str) -> None:
    events = pool.begin(tmp_path, ("hang-1",), ("hang-2",))
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Started)
    pids = hanging(tmp_path)
    if end == "close":
        events.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt())
    assert not any(pool.alive(pid) for pid in pids)


def hanging(folder: Path) -> list[int]:
    """The processes of two items that hang, once they do."""
    while len(tries := [path.read_text() for path in folder.glob("hang-*")]) < 2 or not all(tries):
        time.sleep(0.01)
    return [int(text) for text in tries]


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with pool.apart(tmp_path, ("hang-1",), ("hang-2",), timeout_s=600) as parent:
        pids = hanging(tmp_path)
        assert all(pool.alive(pid) for pid in pids)
        parent.kill()
        parent.wait()
        end = time.monotonic() + 30
        while any(pool.alive(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(pool.alive(pid) for pid in pids)


def test_time_in_which_the_job_is_stopped_does_not_count(tmp_path: Path) -> None:
    with pool.apart(tmp_path, ("steps",), timeout_s=6) as parent:
        while not (tmp_path / "steps").exists():
            time.sleep(0.01)
        os.killpg(parent.pid, signal.SIGSTOP)
        time.sleep(7)
        os.killpg(parent.pid, signal.SIGCONT)
        assert parent.communicate()[0] == "{'steps': 'fine'}\n"


def test_a_worker_that_cannot_begin_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        processes.WorkerError, match=r"a worker died 2 times outside of any item \(SIGKILL\), see .*worker-2.log"
    ):
        list(pool.run_all([pool.Task(("a",))], pool.broken_setup, 60, tmp_path, pool.Full, workers=1))


@pytest.mark.parametrize(("hangs", "silent_s"), [(True, 1), (False, 5)], ids=["at its start", "after its last item"])
def test_a_worker_that_hangs_outside_of_any_item_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool, silent_s: int
) -> None:
    monkeypatch.setattr(processes, "MAX_SILENCE_S", silent_s)
    begins = pool.hanging_setup if hangs else functools.partial(pool.setup, tmp_path)
    said = rf"silent for {silent_s} s outside of any item, see .*/worker-1.log"
    with pytest.raises(processes.WorkerError, match=said):
        list(pool.run_all([pool.Task(("a", "linger"))], begins, 60, tmp_path, pool.Full, workers=1))
    assert (tmp_path / "linger").exists() != hangs


def test_a_large_task_does_not_wait_for_a_worker_that_still_begins(tmp_path: Path) -> None:
    tasks = [pool.Task((name,), bytes(4_000_000)) for name in "ab"]
    events = pool.run_all(
        tasks, functools.partial(pool.first_setup_waits, tmp_path), 60, tmp_path, pool.Full, workers=2
    )
    seen = list(itertools.islice(events, 3))
    assert [type(event) for event in seen] == [Started, Finished, Completed]  # by the second worker
    (tmp_path / "go on").touch()
    assert pool.outcomes([*seen, *events]) == {"a": "fine", "b": "fine"}


def test_a_worker_that_cannot_be_started_leaves_ctrl_c_as_it_was(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(pool.run_all([pool.Task(("a",))], lambda: None, 60, tmp_path, pool.Full, workers=1))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_pools_own_kill_is_not_told_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "EXIT_TIMEOUT_S", 0.5)
    found = pool.outcomes(pool.run(tmp_path, ("mute", "a")))
    assert found == {"mute": Failed(DIED, "closed its pipe and did not end in 0.5 s"), "a": "fine"}
    assert not any(pool.alive(int(pid)) for pid in (tmp_path / "mute").read_text().split())


def test_a_task_given_to_a_dead_worker_is_not_lost(tmp_path: Path) -> None:
    events = pool.begin(tmp_path, ("a",), ("b",), workers=1)
    seen = [next(events), next(events)]
    done = next(events)
    assert isinstance(done, Completed)
    pid = int((tmp_path / "a").read_text())
    os.kill(pid, signal.SIGKILL)  # idle, about to get the next task
    while pool.alive(pid):
        time.sleep(0.01)
    assert pool.outcomes([*seen, done, *events]) == {"a": "fine", "b": "fine"}


def test_a_death_counts_against_the_item_it_happened_at(tmp_path: Path) -> None:
    events = pool.run(tmp_path, ("killed_once-1", "killed_once-2", "a"), workers=1)
    assert pool.outcomes(events) == {"killed_once-1": "fine", "killed_once-2": "fine", "a": "fine"}
