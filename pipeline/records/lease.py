"""A lock in a store of objects: an object that its owner writes anew every few seconds.

Two processes cannot both make it, since it is put only if absent. An owner that is gone is replaced by whoever puts it
next if it is still the version that was found.
"""

import contextlib
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
from pipeline.schema import DataError, StorageError

HEARTBEAT_S = 10.0
STALE_S = 60.0  # without a heartbeat: the owner is gone


@contextlib.contextmanager
def held(url: Url, refusal: str) -> Iterator[Callable[[], None]]:
    """Holds a lock until the block ends; yields a function that raises DataError once somebody else has taken it.

    Raises:
      DataError: another process holds it; `refusal` says so, and who and since when is added.
    """
    lease = _Lease(url, refusal)
    lease.acquire()
    thread = threading.Thread(target=lease.keep, name="lease", daemon=True)
    thread.start()
    try:
        yield lease.check
    finally:
        lease.ends.set()
        thread.join()
        lease.release()


class _Lease:
    def __init__(self, url: Url, refusal: str) -> None:
        self._url, self._refusal = url, refusal
        self._owner = {**_this_process(), "token": uuid.uuid4().hex}
        self._version, self._lost, self._beats = "", "", 0
        self.ends = threading.Event()

    def acquire(self) -> None:
        version = bucket.put_if(self._url, self._content(), None)
        if version is None and (found := _read(self._url)):
            owner, seen = found
            if (waits := self._waits(owner)) > 0:
                who = f"process {owner.get('pid')} on {owner.get('host')}"
                raise DataError(f"{self._refusal} ({who}; if it is gone, this command takes over in {waits:.0f} s)")
            version = bucket.put_if(self._url, self._content(), seen)
        if version is None:
            raise DataError(self._refusal)
        self._version = version

    def _waits(self, owner: dict[str, Any]) -> float:
        """Seconds until the lock of an owner is stale; none if the owner was a process of this machine and is gone."""
        own = _this_process()
        if owner.get("machine") == own["machine"] and _started(owner.get("pid")) != owner.get("started"):
            return 0.0
        return STALE_S - _age(self._url)

    def keep(self) -> None:
        """Writes the heartbeat until the lock is given back or lost."""
        last = time.monotonic()
        while not self.ends.wait(HEARTBEAT_S) and not self._lost:
            try:
                if self._beat():
                    last = time.monotonic()
                else:
                    self._lost = "another process has taken over"
            except OSError as error:
                if time.monotonic() - last > STALE_S:
                    self._lost = f"the lock was not renewed for {STALE_S:.0f} s: {error}"

    def _beat(self) -> bool:
        self._beats += 1
        version = bucket.put_if(self._url, self._content(), self._version)
        if version is None and (found := _read(self._url)) and found[0].get("token") == self._owner["token"]:
            version = found[1]  # the store took an attempt whose answer was lost
        self._version = version or ""
        return version is not None

    def check(self) -> None:
        """Raises DataError if the lock is lost."""
        if self._lost:
            raise DataError(f"{self._url}: {self._lost}; what is finished is kept")

    def release(self) -> None:
        with contextlib.suppress(OSError):  # it becomes stale
            found = _read(self._url)
            if found and found[0].get("token") == self._owner["token"]:
                bucket.remove([self._url])

    def _content(self) -> bytes:
        return json.dumps({**self._owner, "heartbeats": self._beats}).encode()


def _read(url: Url) -> tuple[dict[str, Any], str] | None:
    """The owner that a lock names, and its ETag; None if there is no lock."""
    try:
        content, _, version = bucket.get(url, 0, 10_000)
        owner = json.loads(content)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorageError(f"{url}: not a lock ({error}); remove it") from error
    return (owner if isinstance(owner, dict) else {}), version


def _age(url: Url) -> float:
    """Seconds since an object was written, by the clock of its store."""
    probe = Url(f"{url}-{uuid.uuid4().hex}")
    bucket.put(probe, b"")
    try:
        lock, now = bucket.head(url), bucket.head(probe)
    finally:
        bucket.remove([probe])
    return (now[2] - lock[2]).total_seconds() if lock and now else STALE_S


def _this_process() -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return {"host": socket.gethostname(), "machine": machine, "pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: Any) -> str | None:
    """When a process of this machine was started, in ticks since boot; None if there is none."""
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, ValueError, TypeError):
        return None
