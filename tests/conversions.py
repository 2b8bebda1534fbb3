"""Conversions of small corpora for tests: as a call, as a command, and what hinders them."""

import contextlib
import csv
import fcntl
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.conversion import progress
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.run_log import CONVERSION
from pipeline.corpora import grid
from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, storage
from tests import datasets, forks, videos
from tests.scripts import commands

CONFIG = ConvertConfig(name="grid", crop=CropSettings(mode="resize"), clips_per_shard=2)
MANY = ConvertConfig(name="grid", crop=CropSettings(mode="resize"), max_frames=100_000)
FACES = ConvertConfig(name="grid", clips_per_shard=6)
RULE = SplitRule(val="2", test="1")
FLAGS = ("--corpus=grid", "--clips_per_shard=2", "--val=2", "--test=1", "--workers=2")
Digest = Callable[[Path], dict[str, str]]


def sources(corpus: Path) -> list[ClipSource]:
    return list(assign(grid.clips(corpus), RULE))


def run(corpus: Path, output: Path, config: ConvertConfig = CONFIG, **how: Any) -> list[Progress]:
    with forks.workers():
        return list(convert(sources(corpus), corpus, output, config, **how))


def rejects(output: Path) -> dict[str, dict[str, str]]:
    with (output / directory.REJECTED).open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def check_unfinished(output: Path) -> None:
    """Nothing but noted shards has a final name, and nothing is left half-written."""
    assert named(output).keys() <= {path.stem for path in done_files(output)}
    for path in done_files(output):
        assert progress.read_note(output, path.stem) is not None
    assert not list(output.rglob(".*.tmp"))


def named(output: Path) -> dict[str, str]:
    """SHA-256 of what has a final name; a process that is killed may leave a whole shard there that is not noted."""
    files = [path for path in output.iterdir() if not path.name.startswith(".") and path.name != CONVERSION]
    return {path.name: storage.sha256(path) for path in files}


def done_files(output: Path) -> list[Path]:
    return list((output / progress.PROGRESS).glob("*tfrecord*.json"))


@contextlib.contextmanager
def limited(what: int, amount: int) -> Iterator[None]:
    """A limit on this process and its children."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (amount, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def command(corpus: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "scripts.convert", *FLAGS, f"--source={corpus}", f"--output={output}", *more]


def begin(corpus: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(corpus, output, *more), cwd=commands.ROOT, start_new_session=True, **pipes)


def wait_for(pattern: str, output: Path, process: subprocess.Popen) -> None:
    while not list(output.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


@contextlib.contextmanager
def stalled(path: Path) -> Iterator[None]:
    """Keeps whoever opens a file waiting, as a dead disk does: by a lease, which the kernel ends after 45 s."""
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # of a break, which is not heeded
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"needs leases on files, which are not to be had here: {error}")
        yield


def workers(process: subprocess.Popen) -> list[int]:
    """The processes of a command that convert."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def address_space(root: Path) -> int:
    """Bytes that a process of the conversion may map: for a short clip, and for the crops of `write_endless_video`.

    They do not suffice for the array of these crops. The clip is written to `root`.
    """
    datasets.write_grid_clip(root, "s1/bbaf2n", 20)
    program = f"""
import pathlib, sys
from pipeline.conversion import shard
from pipeline.corpora import grid
from tests.conversions import MANY
root = pathlib.Path({str(root)!r})
(root / ".progress").mkdir()
made = shard.shard_work(root, None, MANY)(root, shard.ShardTask("train", 0, 1, tuple(grid.clips(root))), {{}})
assert [event.outcome.rejected for event in list(made)[1::2]] == [None]
print(next(line for line in open("/proc/self/status") if line.startswith("VmPeak:")).split()[1])
"""
    measuring = [sys.executable, "-c", program]
    printed = subprocess.run(measuring, cwd=commands.ROOT, capture_output=True, check=True, text=True).stdout
    return 1024 * int(printed) + 1_700_000_000


def write_endless_video(path: Path) -> None:
    """A video of 36 pictures that is 88,000 frames: crops of 1.1 GB, and as much again for their array."""
    videos.write_timed(path, [100 * n for n in range(36)])
