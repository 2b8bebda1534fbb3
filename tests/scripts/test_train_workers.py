"""Training on two workers of one machine, as a user runs it: one is killed, stalls, or is started differently."""

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.schema import Clip
from tests import datasets, workers
from tests.scripts import commands

TIMEOUT_S = 20
SMALL = ["--unit=word", "--table=C", "--width=0.05", "--lstm_units=4", "--nobidirectional", "--batch_size=4"]
FLAGS = [*SMALL, "--flip=0.5", "--dropout=0.3", "--remainder=pad", "--checkpoint_every=2"]
SHARED = ["--strategy=workers", f"--worker_timeout_s={TIMEOUT_S}"]
RESTART = 75
STEPS = 6  # of an epoch
STOPPED = """
import signal
from scripts.common import experiment
batches = experiment.batches

def stopping(data, split, *stream, step=0, **reading):
    for number, batch in enumerate(batches(data, split, *stream, step=step, **reading), step):
        if split == "train" and divmod(number, STEPS) == AT:
            signal.raise_signal(SIGNAL)
        yield batch

experiment.batches = stopping
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 21 words for training, so that the last of six batches has one."""
    root = tmp_path_factory.mktemp("workers") / "data"
    datasets.write_dataset(root, {"train": [[_noise(f"s1/c{n}", n) for n in range(7)]], "val": [[_noise("s2/v", 9)]]})
    return root


def _noise(name: str, seed: int) -> Clip:
    """A clip whose gradients are far from 0, where Adam would make much of their rounding."""
    clip = datasets.clip(name, 10 + seed, seed=seed)
    return dataclasses.replace(clip, frames=np.random.default_rng(seed).integers(0, 256, clip.frames.shape, np.uint8))


def _command(data: Path, run: Path, *more: str) -> list[str]:
    return ["scripts.train", f"--data={data}", f"--output={run}", *FLAGS, *more]


def _state(run: Path) -> dict[str, np.ndarray]:
    """All that training carries."""
    state = tf.train.load_checkpoint(str(run / "last"))
    names = sorted(name for name in state.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE"))
    return {name: state.get_tensor(name) for name in names if not name.startswith("save_counter")}


def _step(run: Path) -> tuple[int, int]:
    state = _state(run)
    return tuple(int(state[f"{name}/.ATTRIBUTES/VARIABLE_VALUE"]) for name in ("epoch", "step"))


def _saved(run: Path, count: int) -> Callable[[], bool]:
    """Whether the run has at least its `count`-th checkpoint."""
    return lambda: any(int(path.stem.partition("-")[2]) >= count for path in run.glob("last/ckpt-*.index"))


def _lost(process_end: tuple[int, str, str]) -> str:
    """The line of a worker that has lost another one."""
    code, stdout, stderr = process_end
    assert code == RESTART, stderr
    assert "finished" not in stdout
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith("start the same command on all workers to continue from the last checkpoint")
    return line


def test_the_loss_of_a_worker_ends_the_chief_who_alone_has_written(data: Path, tmp_path: Path) -> None:
    run, cluster = tmp_path / "run", workers.addresses()
    processes = [workers.start(cluster, index, *_command(data, run, *SHARED, "--epochs=999")) for index in range(2)]
    workers.wait_until(_saved(run, 2), processes)
    processes[1].kill()
    chief, worker = workers.ends(processes)
    assert f"worker 1 ({cluster[1]}): has ended; " in _lost(chief)
    assert worker[1] == f"worker 1 of 2, chief {cluster[0]}\n"
    assert worker[2] == ""
    assert len(list((run / "tensorboard").glob("events*"))) == 1
    assert sorted(path.name for path in run.iterdir()) == ["last", "run.json", "tensorboard"]


def _both(data: Path, run: Path, *more: str, before: tuple[str, str] = ("", "")) -> list[tuple[int, str, str]]:
    """What a training of two workers, which ends, says."""
    cluster, command = workers.addresses(), _command(data, run, *SHARED, *more)
    return workers.ends([workers.start(cluster, index, *command, before=before[index]) for index in range(2)])


def _stopped(at: tuple[int, int], number: int) -> str:
    return STOPPED.replace("AT", str(at)).replace("STEPS", str(STEPS)).replace("SIGNAL", str(int(number)))


@pytest.mark.slow
def test_a_run_goes_from_two_workers_to_one_and_back(data: Path, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", commands.start("train", *_command(data, tmp_path / "whole", "--epochs=3")[1:])
    ends = _both(data, run, "--epochs=3", before=("", _stopped((0, 2), signal.SIGTERM)))
    for want, (code, stdout, stderr) in zip((128 + signal.SIGINT, 128 + signal.SIGTERM), ends, strict=True):
        assert code == want, stderr
        assert "stopped: the same command continues from here; 3 of 18 steps" in stdout or "worker 1 of 2" in stdout
    assert _step(run) == (0, 3)
    code, stdout = commands.altered(_stopped((1, 1), signal.SIGINT), "train", *_command(data, run, "--epochs=3")[1:])
    assert (code, _step(run)) == (128 + signal.SIGINT, (1, 2)), stdout
    chief, worker = _both(data, run, "--epochs=3")
    assert "finished; 18 of 18 steps" in chief[1]
    assert (chief[0], worker[0], worker[2]) == (0, 0, "")
    stderr = whole.communicate()[1]
    assert whole.returncode == 0, stderr
    want, got = _state(tmp_path / "whole"), _state(run)
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, atol=2e-2, rtol=2e-2, err_msg=name)


@pytest.mark.slow
def test_a_chief_that_is_killed_ends_the_others(data: Path, tmp_path: Path) -> None:
    cluster = workers.addresses()
    command = _command(data, tmp_path / "run", *SHARED, "--epochs=999")
    processes = [workers.start(cluster, index, *command) for index in range(2)]
    workers.wait_until(_saved(tmp_path / "run", 2), processes)
    processes[0].kill()
    assert f"the chief ({cluster[0]}): has ended; " in _lost(workers.ends(processes)[1])


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_stalls_ends_the_others(index: int, data: Path, tmp_path: Path) -> None:
    cluster = workers.addresses()
    command = _command(data, tmp_path / "run", *SHARED, "--epochs=999")
    processes = [workers.start(cluster, each, *command) for each in range(2)]
    workers.wait_until(_saved(tmp_path / "run", 2), processes)
    processes[index].send_signal(signal.SIGSTOP)
    (end,) = workers.ends([processes[1 - index]])
    line = _lost(end)
    assert "no answer for 20 s" in line or "has ended or does not answer" in line
    processes[index].send_signal(signal.SIGCONT)
    (end,) = workers.ends([processes[index]])
    _lost(end)


FAILING = """
from pipeline.schema import DataError
from scripts.common import experiment
batches = experiment.batches

def failing(*stream, **reading):
    for number, batch in enumerate(batches(*stream, **reading)):
        if number == 3:
            raise DataError("one.tfrecord: damaged")
        yield batch

experiment.batches = failing
"""


STALLING = """
import time
from model import distribution, lipreader
distribution.BUILD_S = 20.0
init = lipreader.LipReader.__init__

def stalling(*arguments, **named):
    time.sleep(STALL)
    init(*arguments, **named)

lipreader.LipReader.__init__ = stalling
"""


@pytest.mark.slow
def test_a_worker_that_stalls_while_the_model_is_made_ends_the_others(data: Path, tmp_path: Path) -> None:
    cluster, command = workers.addresses(), _command(data, tmp_path / "run", *SHARED)
    chief, worker = (
        workers.start(cluster, index, *command, before=STALLING.replace("STALL)", f"{stall})"))
        for index, stall in enumerate((0, 999))
    )
    assert "a worker: no answer for " in _lost(workers.ends([chief])[0])
    worker.kill()
    worker.end()


@pytest.mark.slow
def test_a_fault_of_one_worker_ends_the_others(data: Path, tmp_path: Path) -> None:
    chief, worker = _both(data, tmp_path / "run", "--epochs=9", before=("", FAILING))
    assert "worker 1 (" in _lost(chief)
    assert (worker[0], worker[2]) == (1, "error: one.tfrecord: damaged\n")


@pytest.mark.slow
def test_workers_with_other_settings_or_another_run_are_refused(data: Path, tmp_path: Path) -> None:
    run, cluster = tmp_path / "run", workers.addresses()
    other = ["--dropout=0.2", "--seed=7"]
    ends = workers.ends(
        [workers.start(cluster, index, *_command(data, run, *SHARED, *other[: 2 * index])) for index in range(2)]
    )
    line = "worker 1 has order.seed 7, the chief 0; worker 1 has model.dropout 0.2, the chief 0.3"
    for code, _, stderr in ends:
        assert code == 1
        assert sorted(line.split("; ")) == sorted(stderr.partition("chief's: ")[2].split("; ")[:2])
    assert not run.exists()
    (_, stopped) = commands.altered(_stopped((0, 1), signal.SIGINT), "train", *_command(data, run)[1:])
    assert _step(run) == (0, 2), stopped
    runs, cluster = (run, tmp_path / "elsewhere"), workers.addresses()
    ends = workers.ends([workers.start(cluster, index, *_command(data, runs[index], *SHARED)) for index in range(2)])
    for code, _, stderr in ends:
        assert code == 1
        assert "find other checkpoints in it: worker 0 step 2, worker 1 step 0; put it" in stderr
    assert not runs[1].exists()


def test_flags_that_do_not_fit_are_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    command = _command(data, tmp_path / "run")[1:]
    commands.mistakes_in_turn(
        "train",
        ([*command, "--worker_timeout_s=9"], ["--worker_timeout_s=9: needs --strategy=workers"]),
        ([*command, "--strategy=workers", "--worker_timeout_s=0"], ["--worker_timeout_s: want more than 0 s, got 0"]),
        ([*command, "--strategy=mirrored", "--sequence=chunked"], ["--sequence=chunked: ", "packed, reshape"]),
        ([*command, "--strategy=workers"], ["TF_CONFIG: 'cluster', in {}; want such as"]),
    )
