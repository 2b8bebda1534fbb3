"""Conversions that are killed or stopped at any moment end with the same bytes."""

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.records import directory
from pipeline.synthetic.corpus import SyntheticConfig, render
from tests import conversions, datasets
from tests.conversions import Digest
from tests.scripts import commands


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn clips of two speakers."""
    root = tmp_path_factory.mktemp("speakers")
    for _ in render(root, SyntheticConfig(clips=6, speakers=2, width=280, height=224, word_seconds=0.2)):
        pass
    return root


@pytest.fixture(scope="module")
def many(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus eight times over, so that it is not done soon."""
    return datasets.multiply(corpus, tmp_path_factory.mktemp("many"), 8)


def hold(output: Path, process: subprocess.Popen, left: set[Path]) -> None:
    """Stops a worker for good that has a shard under way: from here on the job cannot end by itself.

    Args:
      output, process: of the job.
      left: half-written shards of earlier runs.
    """
    while not (begun := set(output.glob(".grid-*.tmp")) - left):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    os.kill(int(begun.pop().name.split(".")[-2].rpartition("-")[2]), signal.SIGSTOP)


def kill(process: subprocess.Popen, send: Callable[[int, int], None]) -> None:
    """Kills a job that is under way: all of it at once, or its parent alone."""
    assert process.poll() is None
    send(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)  # a worker that was held has its chance to write on
    process.communicate()
    assert process.returncode == -signal.SIGKILL


KILLED_AT = """
import os, signal, sys
from pipeline.conversion import finalize, job
from scripts.common import cli
from scripts.convert import main
{place} = lambda *_: os.killpg(0, signal.SIGKILL)
cli.run(main, resumes=True)
"""


def die_at(place: str, corpus: Path, output: Path) -> None:
    """Runs the command, which is killed with all its workers where it would call a function of its end."""
    arguments = conversions.command(corpus, output, "--crop=resize")[3:]
    program = [sys.executable, "-c", KILLED_AT.format(place=place), *arguments]
    assert subprocess.run(program, cwd=commands.ROOT, check=False, start_new_session=True).returncode == -signal.SIGKILL


def test_kills_at_every_stage_leave_the_same_bytes(many: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "killed"
    process = conversions.begin(many, output, "--crop=resize")
    conversions.wait_for(".progress/job.json", output, process)
    kill(process, os.killpg)
    assert not conversions.done_files(output)
    process = conversions.begin(many, output, "--crop=resize")
    hold(output, process, set())
    conversions.wait_for(".progress/*tfrecord-0000[1-9]*.json", output, process)
    kill(process, os.kill)
    shards = 33  # 31 for training, and one each for validation and test
    assert 0 < len(conversions.done_files(output)) < shards
    for place in ("finalize.directory.save_index", "finalize.tfds_metadata.write", "job._keep_crashes"):
        die_at(place, many, output)
        assert (output / directory.MANIFEST).exists() == (place == "job._keep_crashes"), place
        assert len(conversions.done_files(output)) == shards
    assert conversions.run(many, output)[0].resumed == 64
    conversions.run(many, tmp_path / "whole", workers=1)
    assert digest(output) == digest(tmp_path / "whole")


@pytest.mark.slow
def test_kills_at_random_moments_leave_the_same_bytes(speakers: Path, tmp_path: Path, digest: Digest) -> None:
    config = dataclasses.replace(conversions.FACES, clips_per_shard=2)
    conversions.run(speakers, tmp_path / "whole", config)
    output, draw = tmp_path / "killed", random.Random(7)
    for _ in range(6):
        left = set(output.glob(".grid-*.tmp"))  # by the run before
        process = conversions.begin(speakers, output)
        hold(output, process, left)
        time.sleep(draw.uniform(0, 2))
        kill(process, draw.choice([os.kill, os.killpg]))
    assert 0 < len(conversions.done_files(output)) < 4
    conversions.run(speakers, output, config)
    assert digest(output) == digest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.killpg), pytest.param(signal.SIGTERM, os.kill, marks=pytest.mark.slow)]
)
def test_signals_stop_without_waiting_for_the_clip_in_a_state_that_resumes(
    many: Path, tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    output = tmp_path / "out"
    process = conversions.begin(many, output, "--crop=resize", "--workers=1", "--clip_timeout_s=1000000")
    conversions.wait_for(".progress/*tfrecord*.json", output, process)
    os.kill(conversions.workers(process)[0], signal.SIGSTOP)  # from here on it would take for ever
    send(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr.splitlines()[-1] == "stopped; the same command continues from here"
    assert "Traceback" not in stderr
    before = conversions.named(output)
    state, *_ = states = conversions.run(many, output)
    assert before.items() <= conversions.named(output).items()
    assert 0 < state.resumed < 64
    assert states[-1] == dataclasses.replace(state, converted=64 - state.resumed)
    assert not any(directory.verify(directory.open_dataset(output)))
    assert not list(output.glob(".*"))


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of a signal."""
    mask = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> number - 1 & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_libraries_load_is_one_line(tmp_path: Path, number: int) -> None:
    process = conversions.begin(tmp_path, tmp_path / "out")
    while not catches(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (128 + number, "stopped before it started\n")
