"""Conversions by several processes that know of each other by the output alone, or by a Dask scheduler; and kills."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.conversion.processes import CRASHES
from pipeline.conversion.progress import PROGRESS
from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory
from tests import datasets, forks
from tests.conversions import MANY, address_space, limited, rejects, stalled, write_endless_video
from tests.scripts import commands

FLAGS = ("--corpus=grid", "--crop=resize", "--clips_per_shard=2", "--val=2", "--test=1")
Digest = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def many(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus four times over, 32 clips, so that it is not done soon."""
    return datasets.multiply(corpus, tmp_path_factory.mktemp("many"), 4)


@pytest.fixture(scope="module")
def whole(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, converted at once."""
    output = tmp_path_factory.mktemp("whole") / "grid"
    commands.run(["convert", *FLAGS, f"--source={many}", f"--output={output}"])
    return output


def begin(root: Path, output: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scripts.convert", *FLAGS, f"--source={root}", f"--output={output}", *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command, cwd=commands.ROOT, start_new_session=True, env={**os.environ, **environment}, **pipes
    )


def continued(root: Path, output: Path, *more: str) -> forks.Forked:
    """The same, of those that are not to be killed."""
    return commands.fork("convert", *FLAGS, f"--source={root}", f"--output={output}", *more)


def wait_for(output: Path, pattern: str, *processes: subprocess.Popen) -> list[Path]:
    """Files that are there, while none of the processes has ended."""
    while not (found := list(output.glob(pattern))):
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        time.sleep(0.005)
    return found


def kill(process: subprocess.Popen) -> None:
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def slurm(task: int) -> dict[str, str]:
    """What Slurm sets in a task of `--array=10-14:2`."""
    numbers = {"ID": 10 + 2 * task, "MIN": 10, "MAX": 14, "STEP": 2, "COUNT": 3}
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in numbers.items()}


def test_a_job_array_of_which_tasks_are_killed(many: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output, draw = tmp_path / "out", random.Random(7)
    tasks = [begin(many, output, "--workers=1", **slurm(task)) for task in range(3)]
    wait_for(output, f"{PROGRESS}/*.tfrecord*.json", *tasks)
    for task in (0, 2):
        time.sleep(draw.uniform(0, 0.3))
        kill(tasks[task])
    assert not (output / directory.MANIFEST).exists()
    again = [continued(many, output, "--workers=1", f"--task={task}", "--tasks=3") for task in (0, 2)]
    stdout, stderr = tasks[1].communicate()
    ended = [(tasks[1].returncode, stdout, stderr), *(task.end() for task in again)]
    assert [code for code, *_ in ended] == [0, 0, 0], ended
    printed = [stdout for _, stdout, _ in ended]
    assert printed[0].startswith("task 1 of 3 (--task, --tasks): ")
    assert sum(f"\ndataset: {output}\n" in text for text in printed) >= 1, printed
    assert sum("all its shards are made; the last of 3 tasks, or" in text for text in printed) >= 1
    assert digest(output) == digest(whole)
    runs = json.loads((output / CONVERSION).read_text())["runs"]
    assert sorted((run["flags"]["task"], run["ended"]) for run in runs if run["ended"] == "finished") == [
        (task, "finished") for task in range(3)
    ]


def test_flags_of_tasks_that_do_not_fit_are_refused(many: Path, tmp_path: Path) -> None:
    given = [*FLAGS, f"--source={many}", f"--output={tmp_path / 'out'}"]
    commands.mistakes_in_turn(
        "convert",
        ([*given, "--task=1"], ["--task: needs --tasks"]),
        ([*given, "--tasks=3"], ["--tasks: needs --task", "--finalize"]),
        ([*given, "--task=3", "--tasks=3"], ["--task: want 0 to 2", "got 3"]),
        ([*given, "--finalize"], ["--finalize: needs --tasks"]),
        ([*given, "--finalize", "--tasks=3", "--task=0"], ["--finalize: needs --tasks", "no --task"]),
        ([*given, "--finalize", "--tasks=3"], ["out: shards are missing, those of --task=0,1,2 of --tasks=3"]),
        ([*given, "--task=0", "--tasks=3", "--retry_rejected"], ["--retry_rejected: not for one of several tasks"]),
        ([*given, "--task=0", "--tasks=3", "--dask=local"], ["--dask: its workers share the conversion already"]),
        ([*given, "--workers=3", "--dask=tcp://h:1"], ["--workers: those of --dask=tcp://h:1 convert"]),
        ([*given, "--dask=127.0.0.1"], ["--dask=127.0.0.1: want the address", "such as tcp://host:8786, or local"]),
        ([*given, "--finalize", "--tasks=3", "--dask=local"], ["--dask: --finalize converts nothing"]),
    )
    given.append("--dask=127.0.0.1:9")
    [(end, _)] = commands.in_turn("convert", given, before="from pipeline.conversion import dask; dask.CONNECT_S = 0.5")
    assert end.startswith("error: --dask=127.0.0.1:9: no scheduler answers (Timed out trying to connect to")
    assert end.endswith("); start one with python -m dask scheduler, or correct the address")
    assert not (tmp_path / "out" / directory.MANIFEST).exists()


@contextlib.contextmanager
def cluster(folder: Path, workers: int = 2, place: Path = commands.ROOT) -> Iterator[tuple[str, list[int]]]:
    """A scheduler, and a command that keeps Dask workers of a thread each; yields the address and both processes."""
    dask, file = [sys.executable, "-m", "dask"], folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place}
    own = ["--host=127.0.0.1", "--no-dashboard"]
    keep = [f"--scheduler-file={file}", f"--nworkers={workers}", "--nthreads=1", f"--local-directory={folder}"]
    with (
        subprocess.Popen([*dask, "scheduler", *own, "--port=0", f"--scheduler-file={file}"], **quiet) as scheduler,
        subprocess.Popen([*dask, "worker", *own, *keep], **quiet) as nanny,
    ):
        try:
            wait_for(folder, file.name, scheduler)
            while not (written := file.read_text()):  # made first, then filled
                time.sleep(0.005)
            yield json.loads(written)["address"], [scheduler.pid, nanny.pid]
        finally:
            for process in (nanny, scheduler):
                process.terminate()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_cluster_of_which_a_worker_is_killed_and_a_client(
    many: Path, whole: Path, tmp_path: Path, digest: Digest
) -> None:
    output = tmp_path / "out"
    with cluster(tmp_path) as (address, (_, nanny)), stalled(many / "s3/pwix7s1.mp4"):
        client = begin(many, output, f"--dask={address}", "--clip_timeout_s=4", "--max_reject_fraction=0.2")
        wait_for(output, f"{PROGRESS}/*.tfrecord*.json", client)
        kill(client)
        done = len(list(output.glob(f"{PROGRESS}/*.tfrecord*.json")))
        assert 0 < done < 17
        left = set(output.glob(".grid-*.tmp"))
        client = continued(many, output, f"--dask={address}", "--clip_timeout_s=4", "--max_reject_fraction=0.2")
        while not (begun := set(output.glob(".grid-*.tmp")) - left):
            assert client.runs, client.end()
            time.sleep(0.001)
        worker = parent(int(begun.pop().name.split(".")[-2].rpartition("-")[2]))  # of the process that makes a shard
        assert parent(worker) == nanny
        os.kill(worker, signal.SIGKILL)
        code, stdout, stderr = client.end()
    assert code == 0, stderr
    assert f"Dask: {address}, dashboard http://127.0.0.1:" in stdout
    assert {name: (row["reason"], row["detail"]) for name, row in rejects(output).items()} == {
        "s3/pwix7s1": ("timed_out", "took longer than --clip_timeout_s")
    }
    assert stderr.splitlines()[-1].endswith(", rejected=1]")
    found, expected = digest(output), digest(whole)
    differing = {name for name in expected if name.startswith("grid-") and found[name] != expected[name]}
    assert len(differing) == 1  # the shard that the clip would be in
    assert found.keys() == expected.keys()
    assert not any(directory.verify(directory.open_dataset(output)))


def other_version(folder: Path) -> Path:
    """A folder with this project, but for a line."""
    shutil.copytree(commands.ROOT / "pipeline", folder / "pipeline")
    with (folder / "pipeline/vocab.py").open("a") as file:
        file.write("# of another version\n")
    return folder


def test_workers_that_differ_are_refused_with_the_difference(many: Path, tmp_path: Path) -> None:
    with cluster(tmp_path, 1, other_version(tmp_path / "other")) as (address, _):
        stderr = begin(many, tmp_path / "out", f"--dask={address}").communicate()[1]
    line = stderr.splitlines()[-1]
    assert line.startswith("error: Dask workers differ from this process: tcp://127.0.0.1:")
    assert line.count(" there, ") == 1
    assert "source of pipeline: " in line
    assert not list((tmp_path / "out").glob("*.tfrecord*"))


@pytest.mark.slow
def test_a_worker_that_joins_later_and_differs_leaves(many: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output, place = tmp_path / "out", other_version(tmp_path / "other")
    with cluster(tmp_path, 1) as (address, _):
        client = begin(many, output, f"--dask={address}")
        maker = int(wait_for(output, ".grid-*.tmp", client)[0].name.split(".")[-2].rpartition("-")[2])
        os.kill(maker, signal.SIGSTOP)  # so that the job is not done before the other comes
        command = [sys.executable, "-m", "dask", "worker", address, "--no-dashboard", f"--local-directory={place}"]
        late = subprocess.run(command, cwd=place, capture_output=True, timeout=90, check=False)  # ends by itself
        os.kill(maker, signal.SIGCONT)
        stdout, stderr = client.communicate()
    assert late.returncode == 0
    assert client.returncode == 0, stderr
    assert "a Dask worker is refused: tcp://127.0.0.1:" in stdout
    assert "source of pipeline: " in stdout
    assert digest(output) == digest(whole)


@pytest.mark.slow
def test_workers_without_the_project_are_refused(many: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with cluster(tmp_path, 1, tmp_path / "elsewhere") as (address, _):
        stderr = begin(many, tmp_path / "out", f"--dask={address}").communicate()[1]
    line = stderr.splitlines()[-1]
    assert "No module named 'pipeline'" in line
    assert line.endswith("; start them with python -m dask worker in the folder of this project")


@pytest.mark.slow
def test_a_clip_that_ends_its_process_twice_is_rejected(corpus: Path, tmp_path: Path) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    write_endless_video(root / "s1/bbaf4p.mp4")
    longest, enough = f"--max_frames={MANY.max_frames}", address_space(tmp_path / "measured")
    with limited(resource.RLIMIT_AS, enough), cluster(tmp_path) as (address, _):
        client = begin(root, output, f"--dask={address}", longest, "--max_reject_fraction=0.2")
        _, stderr = client.communicate()
    assert client.returncode == 0, stderr
    row = rejects(output)["s1/bbaf4p"]
    assert row["reason"] == "out_of_memory"
    assert row["detail"].startswith("ended the process that converted it 2 times (numpy.core._exceptions")
    assert (output / CRASHES).read_text().startswith("s1/bbaf4p: numpy.core._exceptions._ArrayMemoryError")
    assert len(directory.open_dataset(output).index.id) == 7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cluster", "local"])
def test_ctrl_c_ends_a_client_and_what_it_has_asked_for(
    many: Path, whole: Path, tmp_path: Path, digest: Digest, kind: str
) -> None:
    output = tmp_path / "out"
    with cluster(tmp_path) if kind == "cluster" else contextlib.nullcontext(("local", None)) as (address, _):
        for _ in range(2):
            done = len(list(output.glob(f"{PROGRESS}/*.tfrecord*.json")))
            client = begin(many, output, f"--dask={address}")
            while len(list(output.glob(f"{PROGRESS}/*.tfrecord*.json"))) == done:
                assert client.poll() is None, client.communicate()
                time.sleep(0.001)
            os.killpg(client.pid, signal.SIGINT)
            _, stderr = client.communicate(timeout=30)
            assert client.returncode == 128 + signal.SIGINT
            assert stderr.splitlines()[-1] == "stopped; the same command continues from here"
            assert "Traceback" not in stderr
        client = begin(many, output, f"--dask={address}")
        _, stderr = client.communicate()
        assert client.returncode == 0, stderr
    assert digest(output) == digest(whole)


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_named(many: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with cluster(tmp_path) as (address, (scheduler, _)):
        client = begin(many, output, f"--dask={address}")
        wait_for(output, f"{PROGRESS}/*.tfrecord*.json", client)
        os.kill(scheduler, signal.SIGKILL)
        _, stderr = client.communicate(timeout=60)
    assert client.returncode == 1
    assert stderr.splitlines()[-1] == (
        f"error: {address}: the Dask scheduler is gone; run the same command again to continue"
    )
