"""Consumes the batches of every reader, in its environment: touches each page of them, and counts."""

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

WARM_S = 1.5  # before the clock: threads, workers and buffers come to their steady state
PAGE = 4096  # bytes


def consume(batches: Iterable[tuple[np.ndarray, np.ndarray]], seconds: float) -> dict[str, float]:
    """Takes an endless stream of batches for `seconds`; an item is a clip.

    Args:
      batches: pixels [B, …] of any dtype, and how many windows [B] each clip has (frames - 4).
      seconds: to measure.

    Returns:
      `items`, `seconds`, `windows_rate` (a second), `cpu_ms` (of all processes, a clip) and `delivered_mb` (a clip).
    """
    stream = iter(batches)
    _take(stream, WARM_S)
    before = _cpu_s()
    clips, windows, size, elapsed = _take(stream, seconds)
    return {
        "items": clips,
        "seconds": elapsed,
        "windows_rate": windows / elapsed,
        "cpu_ms": 1000 * (_cpu_s() - before) / clips,
        "delivered_mb": size / clips / 1e6,
    }


def _take(stream: Iterable[tuple[np.ndarray, np.ndarray]], seconds: float) -> tuple[int, int, int, float]:
    clips = windows = size = touched = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or not clips:
        pixels, counts = next(stream)
        touched += int(pixels.reshape(-1).view(np.uint8)[::PAGE].sum())
        clips, windows, size = clips + len(pixels), windows + int(counts.sum()), size + pixels.nbytes
    return clips, windows, size, elapsed


def _cpu_s() -> float:
    """User and system seconds so far of this process and of those it has started."""
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    return own + sum(_stat_s(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))


def _stat_s(pid: int) -> float:
    """Seconds of another process under the same leader (`os.getsid`); 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    same = pid != os.getpid() and int(fields[3]) == os.getsid(0)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if same else 0.0
