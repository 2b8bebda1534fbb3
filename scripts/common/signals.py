"""What a command does on Ctrl-C, SIGTERM and a hang-up."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stopping() -> list[signal.Signals]:
    """Returns the signals that end a command: all of `STOPPING`, but a hang-up that is ignored, as under nohup."""
    return [number for number in STOPPING if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]


def raise_once() -> None:
    """Makes the first signal raise KeyboardInterrupt; later ones do nothing, so that they do not disturb clean-up."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in stopping():
        signal.signal(number, stop)


@contextlib.contextmanager
def deferred(forward: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """Yields an event that the first signal sets, for work that stops where it suits.

    Args:
      forward: is called at each signal, to pass it on. Without it, a second signal does what it did before the block.
    """
    event = threading.Event()
    before = {number: signal.getsignal(number) for number in stopping()}

    def stop(number: int, frame: FrameType | None) -> None:
        event.set()
        if forward is None:
            signal.signal(number, before[number])
        else:
            forward()

    try:
        for number in before:
            signal.signal(number, stop)
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
