import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from pipeline.records import lease, locks, storage
from pipeline.records.bucket import Url
from pipeline.schema import DataError
from tests import stores
from tests.stores import Store

LOCK = Url(f"s3://{stores.BUCKET}/job/lock")
BUSY = "out: another conversion is writing there"
HOLD = f"""
import time
from pipeline.records import locks, storage
with locks.locked(storage.place("{LOCK}"), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""


def owner(store: Store) -> dict[str, object]:
    return json.loads(store.get("job/lock"))


def elsewhere(store: Store) -> None:
    """A lock of a process on another machine."""
    store.put("job/lock", json.dumps({"host": "node7", "machine": "other", "pid": 12, "started": "9"}).encode())


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_holds_it_and_gives_it_back(store: Store) -> None:
    with locks.locked(LOCK, BUSY) as check:
        with (
            pytest.raises(DataError, match=rf"{BUSY} \(process \d+ on .*run this command again in \d+ s\)"),
            locks.locked(LOCK, BUSY),
        ):
            pass
        check()
        assert store.keys("job/") == ["job/lock"]  # nothing of the one that was refused
    assert store.keys("job/") == []


def test_of_many_at_once_one_gets_it(store: Store) -> None:
    got, start, end = [], threading.Barrier(8), threading.Event()

    def attempt() -> None:
        start.wait()
        try:
            with locks.locked(LOCK, BUSY):
                got.append(True)
                end.wait(20)
        except DataError:
            got.append(False)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(got) == 8)
    end.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_a_process_of_this_machine_that_was_killed_is_replaced_at_once(store: Store) -> None:
    environment = stores.child_environment(store)
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match=f"process {process.pid} on"), locks.locked(LOCK, BUSY):
            pass
        process.kill()
        process.wait()
        with locks.locked(LOCK, BUSY):
            assert owner(store)["pid"] != process.pid


def test_an_owner_elsewhere_is_replaced_when_it_is_stale(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_S", 3.0)
    elsewhere(store)
    with (
        pytest.raises(DataError, match=r"process 12 on node7; .* again in [23] s"),
        locks.locked(LOCK, BUSY),
    ):
        pass
    time.sleep(4.5)  # the store's clock has whole seconds
    with locks.locked(LOCK, BUSY):
        assert owner(store)["host"] != "node7"


def test_an_owner_that_lives_stays_the_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_S", 3.0)
    monkeypatch.setattr(lease, "MARGIN_S", 1.0)
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.2)
    with locks.locked(LOCK, BUSY) as check:
        until(lambda: owner(store)["heartbeats"] >= 20)
        with pytest.raises(DataError, match=BUSY), locks.locked(LOCK, BUSY):
            pass
        check()


def test_an_owner_that_was_replaced_notices(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)

    def is_lost(check: Callable[[], None]) -> bool:
        try:
            check()
        except DataError as error:
            return "job/lock: another process has taken over; what is finished is kept" in str(error)
        return False

    with locks.locked(LOCK, BUSY) as check:
        elsewhere(store)
        until(lambda: is_lost(check))
    assert owner(store)["host"] == "node7"  # the lock of another is not removed
    storage.remove(LOCK)


def test_a_store_that_does_not_answer_for_a_while_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    with locks.locked(LOCK, BUSY) as check:
        store.rule({"do": "500", "match": "job/lock", "times": 6})
        before = owner(store)["heartbeats"]
        until(lambda: owner(store)["heartbeats"] > before + 2)
        check()


def test_a_store_that_stays_away_costs_the_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(lease, "STALE_S", 11.0)
    with pytest.raises(DataError, match=r"job/lock: the store has not answered for [12] s, so another process may"):  # noqa: PT012, SIM117
        with locks.locked(LOCK, BUSY) as check:
            store.rule({"do": "500", "match": "job/lock"})
            end = time.monotonic() + 20
            while time.monotonic() < end:
                check()
                time.sleep(0.05)
    store.rule()
    storage.remove(LOCK)


def test_an_answer_that_is_lost_loses_no_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    store.rule({"do": "mute", "match": "job/lock", "method": "PUT", "times": 1})
    with locks.locked(LOCK, BUSY) as check:
        before = owner(store)["heartbeats"]
        store.rule({"do": "mute", "match": "job/lock", "method": "PUT", "times": 2, "after": 1})
        until(lambda: owner(store)["heartbeats"] > before + 5)
        check()
    assert store.keys("job/") == []


def test_a_dry_look_writes_nothing(store: Store) -> None:
    locks.refuse_if_locked(LOCK, BUSY)
    elsewhere(store)
    before = len(store.requests())
    with pytest.raises(DataError, match=r"process 12 on node7; .* again in [56]\d s"):
        locks.refuse_if_locked(LOCK, BUSY)
    assert {each["method"] for each in store.requests()[before:]} == {"GET"}
    storage.remove(LOCK)


def test_a_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(lease, "_started", lambda pid: None)  # as where /proc is hidden
    assert not lease._is_gone({"pid": 12, "started": "9"})


def test_something_else_in_its_place_is_named(store: Store) -> None:
    store.put("job/lock", b"no JSON")
    with pytest.raises(OSError, match=r"s3://lip/job/lock: not a lock"), locks.locked(LOCK, BUSY):
        pass
    storage.remove(LOCK)
