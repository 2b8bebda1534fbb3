"""What befalls a long conversion, for real: full disks, lost permissions, kills, hangs, broken videos."""

import contextlib
import csv
import dataclasses
import fcntl
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.conversion import processes, progress
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.run_log import CONVERSION
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, storage
from pipeline.schema import DataError
from pipeline.synthetic.corpus import SyntheticConfig, render
from tests import datasets, forks, videos
from tests.pipeline.video.test_decode import write as write_timed
from tests.scripts import commands

CONFIG = ConvertConfig(name="grid", crop=CropSettings(mode="resize"), clips_per_shard=2)
MANY = ConvertConfig(name="grid", crop=CropSettings(mode="resize"), max_frames=100_000)
FACES = ConvertConfig(name="grid", clips_per_shard=6)
RULE = SplitRule(val="2", test="1")
FLAGS = ("--corpus=grid", "--clips_per_shard=2", "--val=2", "--test=1", "--workers=2")
Digest = Callable[[Path], dict[str, str]]


def run(corpus: Path, output: Path, config: ConvertConfig = CONFIG, **how: Any) -> list[Progress]:
    with pytest.MonkeyPatch.context() as patch:  # which saves the time to load TensorFlow
        patch.setattr(multiprocessing, "get_context", forks.get_context)
        return list(convert(assign(grid.clips(corpus), RULE), corpus, output, config, **how))


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus converted without a fault."""
    output = tmp_path_factory.mktemp("whole") / "grid"
    run(corpus, output, workers=2)
    return output


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


def test_a_file_that_may_not_grow(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "out"
    with limited(resource.RLIMIT_FSIZE, 300_000):  # half a shard
        with pytest.raises(DataError, match=r"out/grid-.*: .*File too large; make room, or make it writable"):
            run(corpus, output)
        check_unfinished(output)
    run(corpus, output)
    assert digest(output) == digest(whole)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, half of what the dataset needs."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=1m", "none", str(place))
    if mounted.returncode:
        pytest.skip(f"needs a file system of its own, which may not be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_a_full_disk(corpus: Path, whole: Path, disk: Path, digest: Digest) -> None:
    with pytest.raises(DataError, match=r"disk/out/.*No space left on device; make room, or make it writable"):
        run(corpus, disk / "out", workers=2)
    assert named(disk / "out").items() <= named(whole).items()
    assert mount("-o", "remount,size=8m", str(disk)).returncode == 0
    assert run(corpus, disk / "out")[0].resumed > 0
    assert digest(disk / "out") == digest(whole)


@pytest.mark.slow
def test_a_disk_that_turns_read_only(corpus: Path, whole: Path, disk: Path, digest: Digest) -> None:
    assert mount("-o", "remount,size=8m", str(disk)).returncode == 0
    with contextlib.closing(convert(assign(grid.clips(corpus), RULE), corpus, disk / "out", CONFIG)) as states:
        while next(states).converted < 4:
            pass
        assert mount("-o", "remount,ro", str(disk)).returncode != 0  # busy: a shard is being written
    assert mount("-o", "remount,ro", str(disk)).returncode == 0
    for output in (disk / "out", disk / "another"):
        with pytest.raises(DataError, match=rf"{output}.*Read-only file system; make room, or make it writable"):
            run(corpus, output)
    assert mount("-o", "remount,rw", str(disk)).returncode == 0
    check_unfinished(disk / "out")
    run(corpus, disk / "out")
    assert digest(disk / "out") == digest(whole)


def command(corpus: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "scripts.convert", *FLAGS, f"--source={corpus}", f"--output={output}", *more]


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_tried_again(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    mortal = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if mortal and (shutil.which("setpriv") is None or subprocess.run([*mortal, "true"], check=False).returncode):
        pytest.skip("root may read all files, and setpriv cannot take that from it here")
    (root / "s1/bbaf3s.mp4").chmod(0)
    converting = [*mortal, *command(root, output, "--crop=resize")]
    failed = subprocess.run(converting, cwd=commands.ROOT, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    line = failed.stderr.splitlines()[-1]
    assert line.startswith("error: 1 of 8 clips rejected (1 unreadable), more than --max_reject_fraction=0.05 allows")
    assert "s1/bbaf3s.mp4: not a video that can be decoded (Permission denied)" in line
    check_unfinished_but_rejects(output)
    (root / "s1/bbaf3s.mp4").chmod(0o644)
    subprocess.run([*converting, "--retry_rejected"], cwd=commands.ROOT, check=True, capture_output=True)
    assert digest(output) == digest(whole)


def check_unfinished_but_rejects(output: Path) -> None:
    (output / directory.REJECTED).rename(output / ".rejected")  # this one is there to be read
    check_unfinished(output)
    (output / ".rejected").rename(output / directory.REJECTED)


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


def test_a_worker_that_is_killed_and_a_clip_that_stalls(
    corpus: Path, whole: Path, tmp_path: Path, digest: Digest
) -> None:
    output = tmp_path / "out"
    with stalled(corpus / "s3/pwix7s.mp4"):
        process = begin(corpus, output, "--crop=resize", "--clip_timeout_s=5", "--max_reject_fraction=0.2")
        wait_for(".progress/*tfrecord*.json", output, process)
        os.kill(workers(process)[0], signal.SIGKILL)
        stdout, stderr = process.communicate()
    assert process.returncode == 0
    assert "7 clips converted, 1 rejected in " in stdout
    assert f"\nrejects: 1, with the reason in {output / directory.REJECTED}\n" in stdout
    last_bar = stderr.splitlines()[-1]
    assert last_bar.startswith("converting: 100%")
    assert last_bar.endswith(", rejected=1]")
    rows = {name: (row["reason"], row["detail"]) for name, row in rejects(output).items()}
    assert rows == {"s3/pwix7s": ("timed_out", "took longer than --clip_timeout_s")}
    found, expected = digest(output), digest(whole)
    differing = {name for name in expected if name.startswith("grid-") and found[name] != expected[name]}
    assert len(differing) == 1  # the shard that it would be in
    assert not any(directory.verify(directory.open_dataset(output)))


@pytest.fixture(scope="module")
def address_space(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes that a process of the conversion may map: for a short clip, and for the crops of `write_endless_video`.

    They do not suffice for the array of these crops.
    """
    root = tmp_path_factory.mktemp("measured")
    datasets.write_grid_clip(root, "s1/bbaf2n", 20)
    program = f"""
import pathlib, sys
from pipeline.conversion import shard
from pipeline.corpora import grid
from tests.pipeline.conversion.test_faults import MANY
root = pathlib.Path({str(root)!r})
(root / ".progress").mkdir()
made = shard.shard_work(root, None, MANY)(root, shard.ShardTask("train", 0, 1, tuple(grid.clips(root))), {{}})
assert [event.outcome.rejected for event in list(made)[1::2]] == [None]
print(next(line for line in open("/proc/self/status") if line.startswith("VmPeak:")).split()[1])
"""
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=commands.ROOT, capture_output=True, check=True, text=True).stdout
    return 1024 * int(printed) + 1_700_000_000


def write_endless_video(path: Path) -> None:
    """A video of 36 pictures that is 88,000 frames: crops of 1.1 GB, and as much again for their array."""
    write_timed(path, [100 * n for n in range(36)])


def test_a_clip_that_needs_more_memory_than_there_is(tmp_path: Path, address_space: int) -> None:
    root = tmp_path / "corpus"
    for name in ("bbaf2n", "bbaf3s"):
        datasets.write_grid_clip(root, f"s1/{name}", 20)
    write_endless_video(root / "s1/bbaf4p.mp4")
    datasets.write_alignment(root / "alignments/s1/bbaf4p.align")
    with limited(resource.RLIMIT_AS, address_space):
        run(root, tmp_path / "out", MANY, max_reject_fraction=0.5)
    row = rejects(tmp_path / "out")["s1/bbaf4p"]
    assert row["reason"] == "out_of_memory"
    assert row["detail"].startswith("ended the process that converted it 2 times (")
    assert row["detail"].endswith(", as happens where memory runs out; free some, or give fewer --workers")
    assert sorted(directory.open_dataset(tmp_path / "out").index.id) == ["s1/bbaf2n", "s1/bbaf3s"]
    crash, *traceback = (tmp_path / "out" / processes.CRASHES).read_text().splitlines()
    assert "MemoryError" in crash
    assert any("/pipeline/conversion/" in line for line in traceback)  # where it happened


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A drawn face that speaks: uint8 [F, 224, 280]."""
    root = tmp_path_factory.mktemp("face")
    (clip,) = render(root, SyntheticConfig(clips=1, speakers=1, width=280, height=224, word_seconds=0.2))
    return videos.read(clip).luma[:30]


def write_mpeg(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.rate, frame.time_base = 16000, Fraction(1, 16000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def motley(face: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face in videos of all kinds, sound and broken."""
    root = tmp_path_factory.mktemp("motley") / "corpus"
    (root / "s1").mkdir(parents=True)
    at = [n / 25 for n in range(len(face))]
    flat = np.full_like(face[0], 128)
    small = np.pad(face[:, ::2, ::2], ((0, 0), (56, 56), (0, 0)), mode="edge")

    def film(name: str, frames: np.ndarray, stamps: list[float] = at, **how: Any) -> None:
        height, width = frames.shape[1:]
        write_timed(root / f"s1/{name}.mp4", stamps, size=(width, height), pictures=list(frames), **how)

    film("sound", face)
    film("two_faces", np.concatenate([face, small], axis=2))
    film("turned", np.rot90(face, k=-1, axes=(1, 2)).copy(), rotation=90)
    film("uneven", face[[*range(0, 10), *range(10, 30, 2)]], [*at[:10], *at[10::2]])
    film("blinks", np.stack([flat if 10 <= n < 14 else frame for n, frame in enumerate(face)]))
    film("leaves", np.stack([flat if 10 <= n < 20 else frame for n, frame in enumerate(face)]))
    film("nobody", np.stack([flat] * 30))
    film("cut", face, options={"movflags": "faststart"})
    (root / "s1/cut.mp4").write_bytes((data := (root / "s1/cut.mp4").read_bytes())[: len(data) * 2 // 3])
    write_mpeg(root / "s1/mpeg_1.mp4", face)
    write_sound(root / "s1/radio.mp4")
    (root / "s1/empty.mp4").touch()
    (root / "s1/letter.mp4").write_text("Dear reader,\n" * 100)
    for path in root.glob("s1/*"):
        datasets.write_alignment(root / "alignments/s1" / f"{path.stem}.align")
    return root


def test_videos_of_all_kinds(motley: Path, face: np.ndarray, tmp_path: Path) -> None:
    run(motley, tmp_path / "out", FACES, max_reject_fraction=0.6, workers=2)
    assert {name.removeprefix("s1/"): row["reason"] for name, row in rejects(tmp_path / "out").items()} == {
        "cut": "truncated",
        "empty": "unreadable",
        "leaves": "face_lost",
        "letter": "unreadable",
        "nobody": "no_face",
        "radio": "no_video",
    }
    assert rejects(tmp_path / "out")["s1/leaves"]["detail"].startswith("no face in frames 10 to 19 of 30")
    opened = directory.open_dataset(tmp_path / "out")
    clips = {name: directory.read_record(opened, n) for n, name in enumerate(opened.index.id)}
    sound = clips.pop("s1/sound")
    assert sound.tracked.all()
    assert sound.frames.shape == (30, 112, 112)
    assert set(clips) == {f"s1/{name}" for name in ("two_faces", "turned", "uneven", "blinks", "mpeg_1")}
    for name, clip in clips.items():
        seen = [n for n in range(len(clip.tracked)) if clip.tracked[n] and (name != "s1/uneven" or n < 10)]
        apart = np.abs(clip.frames[seen].astype(int) - sound.frames[seen])
        assert apart.mean() < 5, name  # the same mouth, in the same place
    assert np.flatnonzero(~clips["s1/blinks"].tracked).tolist() == [10, 11, 12, 13]
    assert int(opened.index.tracked[opened.index.id == "s1/blinks"][0]) == 26


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn clips of two speakers."""
    root = tmp_path_factory.mktemp("speakers")
    for _ in render(root, SyntheticConfig(clips=6, speakers=2, width=280, height=224, word_seconds=0.2)):
        pass
    return root


def begin(corpus: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(corpus, output, *more), cwd=commands.ROOT, start_new_session=True, **pipes)


def wait_for(pattern: str, output: Path, process: subprocess.Popen) -> None:
    while not list(output.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


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
    arguments = command(corpus, output, "--crop=resize")[3:]
    program = [sys.executable, "-c", KILLED_AT.format(place=place), *arguments]
    assert subprocess.run(program, cwd=commands.ROOT, check=False, start_new_session=True).returncode == -signal.SIGKILL


def test_kills_at_every_stage_leave_the_same_bytes(many: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "killed"
    process = begin(many, output, "--crop=resize")
    wait_for(".progress/job.json", output, process)
    kill(process, os.killpg)
    assert not done_files(output)
    process = begin(many, output, "--crop=resize")
    hold(output, process, set())
    wait_for(".progress/*tfrecord-0000[1-9]*.json", output, process)
    kill(process, os.kill)
    assert 0 < len(done_files(output)) < 33  # of 31 shards for training, and one each for validation and test
    for place in ("finalize.directory.save_index", "finalize.tfds_metadata.write", "job._keep_crashes"):
        die_at(place, many, output)
        assert (output / directory.MANIFEST).exists() == (place == "job._keep_crashes"), place
        assert len(done_files(output)) == 33
    assert run(many, output)[0].resumed == 64
    run(many, tmp_path / "whole", workers=1)
    assert digest(output) == digest(tmp_path / "whole")


@pytest.mark.slow
def test_kills_at_random_moments_leave_the_same_bytes(speakers: Path, tmp_path: Path, digest: Digest) -> None:
    config = dataclasses.replace(FACES, clips_per_shard=2)
    run(speakers, tmp_path / "whole", config)
    output, draw = tmp_path / "killed", random.Random(7)
    for _ in range(6):
        left = set(output.glob(".grid-*.tmp"))  # by the run before
        process = begin(speakers, output)
        hold(output, process, left)
        time.sleep(draw.uniform(0, 2))
        kill(process, draw.choice([os.kill, os.killpg]))
    assert 0 < len(done_files(output)) < 4
    run(speakers, output, config)
    assert digest(output) == digest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.killpg), pytest.param(signal.SIGTERM, os.kill, marks=pytest.mark.slow)]
)
def test_signals_stop_without_waiting_for_the_clip_in_a_state_that_resumes(
    many: Path, tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    output = tmp_path / "out"
    process = begin(many, output, "--crop=resize", "--workers=1", "--clip_timeout_s=1000000")
    wait_for(".progress/*tfrecord*.json", output, process)
    os.kill(workers(process)[0], signal.SIGSTOP)  # from here on it would take for ever
    send(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr.splitlines()[-1] == "stopped; the same command continues from here"
    assert "Traceback" not in stderr
    before = named(output)
    state, *_ = states = run(many, output)
    assert before.items() <= named(output).items()
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
    process = begin(tmp_path, tmp_path / "out")
    while not catches(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (128 + number, "stopped before it started\n")


@pytest.mark.slow
def test_two_converters_on_one_output(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "out"
    first = begin(corpus, output, "--crop=resize")
    wait_for(".progress/job.json", output, first)  # the lock is held by then
    os.killpg(first.pid, signal.SIGSTOP)  # it will not be done before the second asks
    second = begin(corpus, output, "--crop=resize").communicate()[1]
    os.killpg(first.pid, signal.SIGCONT)
    assert second == f"error: {output}: another conversion is writing there; wait, or name another --output\n"
    assert first.wait() == 0
    assert digest(output) == digest(whole)
