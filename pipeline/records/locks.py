"""One process at a time, by a lock on a file or a lease on an object."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.records import lease
from pipeline.records.bucket import Url
from pipeline.records.storage import Place
from pipeline.schema import BusyError


@contextlib.contextmanager
def locked(where: Place, refusal: str) -> Iterator[Callable[[], None]]:
    """Locks a file, which is made if missing, against other processes until the block ends.

    Yields a function that raises DataError if the lock has been lost meanwhile, as one in a store can be.

    Raises:
      BusyError: another process holds the lock; `refusal` is the message.
      OSError: the file cannot be opened.
    """
    if isinstance(where, Url):
        with lease.held(where, refusal) as check:
            yield check
        return
    with _flocked(where, fcntl.LOCK_EX, refusal):
        yield lambda: None


def refuse_if_locked(where: Place, refusal: str) -> None:
    """Refuses as `locked` does; writes nothing."""
    if isinstance(where, Url):
        lease.refuse_if_held(where, refusal)
    elif where.is_file():
        with _flocked(where, fcntl.LOCK_SH, refusal):  # shared, so that those who ask do not refuse each other
            pass


@contextlib.contextmanager
def _flocked(path: Path, kind: int, refusal: str) -> Iterator[None]:
    with path.open("a+") as file:  # some file systems lock only what is open to read and write
        try:
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(refusal) from error
        yield
