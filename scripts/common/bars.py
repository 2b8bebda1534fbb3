"""Progress bars: on a terminal drawn in place, elsewhere a line now and then, so that a log can be read."""

import sys
from typing import Any

from tqdm import tqdm

LINE_S = 30.0  # between two lines


class _Lines:
    """The standard error for a bar that cannot be drawn in place: each state is a line."""

    def write(self, text: str) -> None:
        if state := text.strip():
            sys.stderr.write(f"{state}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(*args: Any, **settings: Any) -> tqdm:
    """Makes a progress bar as it suits the standard error; the arguments are tqdm's."""
    if sys.stderr.isatty():
        return tqdm(*args, **settings)
    return tqdm(*args, file=_Lines(), mininterval=LINE_S, maxinterval=LINE_S, **settings)
