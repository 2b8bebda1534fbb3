"""Progress bars: on a terminal drawn in place, elsewhere a line every 30 seconds, so that a log can be read."""

import sys
from typing import Any

from tqdm import tqdm

LINE_S = 30.0  # between two lines


class _Lines:
    """The standard error for a bar that cannot be drawn in place: each state is a line, once."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, text: str) -> None:
        state = text.strip()
        done = state.partition(" [")[0]  # without the times
        if state and done != self._last:
            sys.stderr.write(f"{state}\n")
            self._last = done

    def flush(self) -> None:
        sys.stderr.flush()


def bar(*args: Any, **settings: Any) -> tqdm:
    """Makes a progress bar as it suits the standard error; the arguments are tqdm's."""
    if sys.stderr.isatty():
        return tqdm(*args, **settings)
    return tqdm(*args, file=_Lines(), position=0, mininterval=LINE_S, maxinterval=LINE_S, **settings)
