"""A lock in a store of objects: an object that its owner writes anew every few seconds.

Two processes cannot both make it, since it is put only if absent. An owner that is gone is replaced by whoever puts it
next if it is still the version that was found.
"""

import contextlib
import datetime
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.records import bucket
from pipeline.records.bucket import Url
from pipeline.schema import BusyError, DataError, StorageError

HEARTBEAT_S = 10.0
STALE_S = 60.0  # without a heartbeat: the owner is gone
MARGIN_S = 10.0  # before that an owner that cannot renew its lock takes it for lost
RELEASE_S = 5.0  # to give it back: a store that does not answer must not keep a command from ending


@contextlib.contextmanager
def held(url: Url, refusal: str) -> Iterator[Callable[[], None]]:
    """Holds a lock until the block ends; yields a function that raises DataError if it may be another's by now.

    Raises:
      BusyError: another process holds it; `refusal` says so, and who and since when is added.
    """
    lease = _Lease(url, refusal)
    lease.acquire()
    thread = threading.Thread(target=lease.keep, name="lease", daemon=True)
    thread.start()
    try:
        yield lease.check
    finally:
        lease.ends.set()
        thread.join(RELEASE_S)


def refuse_if_held(url: Url, refusal: str) -> None:
    """Refuses as `held` does, but writes nothing: the age of a lock is told by the clock of this machine."""
    now = datetime.datetime.now(datetime.UTC)
    if (found := _read(url)) and (waits := _waits(found[0], (now - found[2]).total_seconds())) > 0:
        raise BusyError(_who(refusal, found[0], waits))


class _Lease:
    def __init__(self, url: Url, refusal: str) -> None:
        self._url, self._refusal = url, refusal
        self._owner = {**_this_process(), "token": uuid.uuid4().hex}
        self._version: bucket.Version = {}
        self._beats, self._taken = 0, False
        self._renewed = 0.0  # when the request that renewed it last was begun
        self.ends = threading.Event()

    def acquire(self) -> None:
        """Puts the lock if there is none, or in place of one that is stale."""
        seen = None
        for _ in range(2):  # it may be given back between two requests
            if self._put(seen):
                return
            if (found := _read(self._url)) is None:
                continue
            owner, seen, _ = found
            if (waits := _waits(owner, _age(self._url))) > 0:
                raise BusyError(_who(self._refusal, owner, waits))
        raise BusyError(self._refusal)

    def _put(self, seen: bucket.Version | None) -> bool:
        """Writes the lock if it is still as it was seen; returns whether it is ours."""
        began, self._beats = time.monotonic(), self._beats + 1
        content = json.dumps({**self._owner, "heartbeats": self._beats}).encode()
        version = bucket.put_if(self._url, content, seen)
        if version is None and (found := _read(self._url)) and found[0].get("token") == self._owner["token"]:
            version = found[1]  # the store took an attempt whose answer was lost
        if version is None:
            return False
        self._version, self._renewed = version, began
        return True

    def keep(self) -> None:
        """Writes the heartbeat until the lock is lost, or until the end, when it gives it back."""
        while not self.ends.wait(HEARTBEAT_S) and not self._taken:
            with contextlib.suppress(OSError):  # `check` tells how long it has not been renewed
                self._taken = not self._put(self._version)
        with contextlib.suppress(OSError):  # it becomes stale
            found = _read(self._url)
            if found and found[0].get("token") == self._owner["token"]:
                bucket.remove([self._url])

    def check(self) -> None:
        """Raises DataError if the lock is another's, or may be taken by another soon."""
        silent = time.monotonic() - self._renewed
        if self._taken:
            raise DataError(f"{self._url}: another process has taken over; what is finished is kept")
        if silent > STALE_S - MARGIN_S:
            why = f"the store has not answered for {silent:.0f} s, so another process may take over"
            raise DataError(f"{self._url}: {why}; run the same command again to continue")


def _who(refusal: str, owner: dict[str, Any], waits: float) -> str:
    who = f"process {owner.get('pid')} on {owner.get('host')}"
    return f"{refusal} ({who}; if it is gone, run this command again in {waits:.0f} s)"


def _waits(owner: dict[str, Any], age: float) -> float:
    """Seconds until the lock of an owner is stale; none if the owner was a process of this machine and is gone."""
    is_here = owner.get("machine") == _this_process()["machine"]
    return 0.0 if is_here and _is_gone(owner) else STALE_S - age


def _is_gone(owner: dict[str, Any]) -> bool:
    """Whether a process of this machine has ended, even if its number is another's by now."""
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError, TypeError):
        return False
    return _started(owner["pid"]) not in (None, owner.get("started"))


def _read(url: Url) -> tuple[dict[str, Any], bucket.Version, datetime.datetime] | None:
    """The owner that a lock names, its version, and when it was written; None if there is no lock."""
    try:
        content, found = bucket.get(url, 0, 10_000)
        owner = json.loads(content)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorageError(f"{url}: not a lock ({error}); remove it") from error
    return (owner if isinstance(owner, dict) else {}), bucket.version(found), found["last_modified"]


def _age(url: Url) -> float:
    """Seconds since an object was written, by the clock of its store."""
    probe = Url(f"{url}-{uuid.uuid4().hex}")
    bucket.put(probe, b"")
    try:
        lock, now = bucket.head(url), bucket.head(probe)
    finally:
        bucket.remove([probe])
    return (now["last_modified"] - lock["last_modified"]).total_seconds() if lock and now else STALE_S


def _this_process() -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return {"host": socket.gethostname(), "machine": machine, "pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: Any) -> str | None:
    """When a process of this machine was started, in ticks since boot; None if that is not to be seen."""
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, ValueError, TypeError):
        return None
