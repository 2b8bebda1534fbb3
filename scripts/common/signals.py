"""What a command does on Ctrl-C, SIGTERM and a hang-up."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal has stopped the command."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


class Stop(threading.Event):
    """Is set by the first signal.

    Attributes:
      number: of that signal; Ctrl-C's before there is one.
    """

    number: int = signal.SIGINT


def exit_code(number: int) -> int:
    """Returns the exit code of a command that a signal has stopped: 130 for Ctrl-C, 143 for SIGTERM, as of shells."""
    return 128 + number


def stopping() -> list[signal.Signals]:
    """Returns the signals that end a command: all of `STOPPING`, but a hang-up that is ignored, as under nohup."""
    return [number for number in STOPPING if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]


def end_at_once() -> None:
    """Makes a signal end the command, whose libraries are still loading, so that there is nothing to clean up."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(sys.stderr.fileno(), b"stopped before it started\n")
        os._exit(exit_code(number))

    for number in stopping():
        signal.signal(number, end)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Lets a signal end the command at once; libraries that load might catch what a handler raises."""
    with _restored():
        end_at_once()
        yield


def raise_once() -> None:
    """Makes the first signal raise `Stopped`; later ones do nothing, so that they do not disturb clean-up."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for number in stopping():
        signal.signal(number, stop)


@contextlib.contextmanager
def deferred(forward: Callable[[], None] | None = None, then: Callable[[], None] | None = None) -> Iterator[Stop]:
    """Yields an event that the first signal sets, for work that stops where it suits.

    Args:
      forward: is called at each signal, to pass it on. Without it, a second signal does what it did before the block.
      then: is called at the first signal, such as to say what is still to be done.
    """
    event = Stop()

    def stop(number: int, frame: FrameType | None) -> None:
        if not event.is_set():
            event.number = number
            event.set()
            if then is not None:
                then()
        if forward is None:
            signal.signal(number, before[number])
        else:
            forward()

    with _restored() as before:
        for number in before:
            signal.signal(number, stop)
        yield event


@contextlib.contextmanager
def _restored() -> Iterator[dict[int, Any]]:
    """Yields the handlers of signals, which are put back in the end."""
    before = {number: signal.getsignal(number) for number in stopping()}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
