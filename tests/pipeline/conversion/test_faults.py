"""What befalls a long conversion, for real: full disks, lost permissions, dead workers, hangs, little memory."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.conversion import processes
from pipeline.conversion.job import convert
from pipeline.records import directory
from pipeline.schema import DataError
from tests import conversions, datasets
from tests.conversions import Digest
from tests.scripts import commands


def test_a_file_that_may_not_grow(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "out"
    with conversions.limited(resource.RLIMIT_FSIZE, 300_000):  # half a shard
        with pytest.raises(DataError, match=r"out/grid-.*: .*File too large; make room, or make it writable"):
            conversions.run(corpus, output)
        conversions.check_unfinished(output)
    conversions.run(corpus, output)
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
        conversions.run(corpus, disk / "out", workers=2)
    assert conversions.named(disk / "out").items() <= conversions.named(whole).items()
    assert mount("-o", "remount,size=8m", str(disk)).returncode == 0
    assert conversions.run(corpus, disk / "out")[0].resumed > 0
    assert digest(disk / "out") == digest(whole)


@pytest.mark.slow
def test_a_disk_that_turns_read_only(corpus: Path, whole: Path, disk: Path, digest: Digest) -> None:
    assert mount("-o", "remount,size=8m", str(disk)).returncode == 0
    sources = conversions.sources(corpus)
    with contextlib.closing(convert(sources, corpus, disk / "out", conversions.CONFIG)) as states:
        while next(states).converted < 4:
            pass
        assert mount("-o", "remount,ro", str(disk)).returncode != 0  # busy: a shard is being written
    assert mount("-o", "remount,ro", str(disk)).returncode == 0
    for output in (disk / "out", disk / "another"):
        with pytest.raises(DataError, match=rf"{output}.*Read-only file system; make room, or make it writable"):
            conversions.run(corpus, output)
    assert mount("-o", "remount,rw", str(disk)).returncode == 0
    conversions.check_unfinished(disk / "out")
    conversions.run(corpus, disk / "out")
    assert digest(disk / "out") == digest(whole)


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_tried_again(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    mortal = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if mortal and (shutil.which("setpriv") is None or subprocess.run([*mortal, "true"], check=False).returncode):
        pytest.skip("root may read all files, and setpriv cannot take that from it here")
    (root / "s1/bbaf3s.mp4").chmod(0)
    converting = [*mortal, *conversions.command(root, output, "--crop=resize")]
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
    conversions.check_unfinished(output)
    (output / ".rejected").rename(output / directory.REJECTED)


def test_a_worker_that_is_killed_and_a_clip_that_stalls(
    corpus: Path, whole: Path, tmp_path: Path, digest: Digest
) -> None:
    output = tmp_path / "out"
    with conversions.stalled(corpus / "s3/pwix7s.mp4"):
        process = conversions.begin(corpus, output, "--crop=resize", "--clip_timeout_s=5", "--max_reject_fraction=0.2")
        conversions.wait_for(".progress/*tfrecord*.json", output, process)
        os.kill(conversions.workers(process)[0], signal.SIGKILL)
        stdout, stderr = process.communicate()
    assert process.returncode == 0
    assert "7 clips converted, 1 rejected in " in stdout
    assert f"\nrejects: 1, with the reason in {output / directory.REJECTED}\n" in stdout
    last_bar = stderr.splitlines()[-1]
    assert last_bar.startswith("converting: 100%")
    assert last_bar.endswith(", rejected=1]")
    rows = {name: (row["reason"], row["detail"]) for name, row in conversions.rejects(output).items()}
    assert rows == {"s3/pwix7s": ("timed_out", "took longer than --clip_timeout_s")}
    found, expected = digest(output), digest(whole)
    differing = {name for name in expected if name.startswith("grid-") and found[name] != expected[name]}
    assert len(differing) == 1  # the shard that it would be in
    assert not any(directory.verify(directory.open_dataset(output)))


def test_a_clip_that_needs_more_memory_than_there_is(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for name in ("bbaf2n", "bbaf3s"):
        datasets.write_grid_clip(root, f"s1/{name}", 20)
    conversions.write_endless_video(root / "s1/bbaf4p.mp4")
    datasets.write_alignment(root / "alignments/s1/bbaf4p.align")
    with conversions.limited(resource.RLIMIT_AS, conversions.address_space(tmp_path / "measured")):
        conversions.run(root, tmp_path / "out", conversions.MANY, max_reject_fraction=0.5)
    row = conversions.rejects(tmp_path / "out")["s1/bbaf4p"]
    assert row["reason"] == "out_of_memory"
    assert row["detail"].startswith("ended the process that converted it 2 times (")
    assert row["detail"].endswith(", as happens where memory runs out; free some, or give fewer --workers")
    assert sorted(directory.open_dataset(tmp_path / "out").index.id) == ["s1/bbaf2n", "s1/bbaf3s"]
    crash, *traceback = (tmp_path / "out" / processes.CRASHES).read_text().splitlines()
    assert "MemoryError" in crash
    assert any("/pipeline/conversion/" in line for line in traceback)  # where it happened


@pytest.mark.slow
def test_two_converters_on_one_output(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "out"
    first = conversions.begin(corpus, output, "--crop=resize")
    conversions.wait_for(".progress/job.json", output, first)  # the lock is held by then
    os.killpg(first.pid, signal.SIGSTOP)  # it will not be done before the second asks
    second = conversions.begin(corpus, output, "--crop=resize").communicate()[1]
    os.killpg(first.pid, signal.SIGCONT)
    assert second == f"error: {output}: another conversion is writing there; wait, or name another --output\n"
    assert first.wait() == 0
    assert digest(output) == digest(whole)
