import csv
import dataclasses
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.conversion import progress
from pipeline.conversion.clip import convert_clip
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.run_log import CONVERSION
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, provenance
from pipeline.schema import BatchKey, DataError
from pipeline.vocab import Vocabulary
from tests import conversions, datasets

pytestmark = pytest.mark.usefixtures("forked_workers")

ROOT = Path(__file__).parents[3]


KILLED = """
import os, signal
from pipeline.conversion import run_log
from scripts.common import cli
from scripts.convert import main
run_log.RunLog.shard = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.run(main, resumes=True)
"""  # once the first shard is whole


FILES = {
    "manifest.json",
    "index.npz",
    "rejected.csv",
    "features.json",
    "dataset_info.json",
    CONVERSION,
    provenance.FILE,
}


@pytest.fixture(scope="module")
def converted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """The corpus converted by one worker; read, never written."""
    output = tmp_path_factory.mktemp("converted") / "grid"
    return output, conversions.run(corpus, output)


@pytest.fixture
def finished(converted: tuple[Path, list[Progress]], tmp_path: Path) -> Path:
    return shutil.copytree(converted[0], tmp_path / "finished")


def test_the_directory_holds_the_dataset_and_nothing_else(converted: tuple[Path, list[Progress]]) -> None:
    output, states = converted
    shard_files = {f"grid-train.tfrecord-0000{n}-of-00003" for n in range(3)}
    shard_files |= {"grid-val.tfrecord-00000-of-00001", "grid-test.tfrecord-00000-of-00001"}
    assert {path.name for path in output.iterdir()} == FILES | shard_files
    assert states == [Progress(clips=8, resumed=0, converted=n) for n in range(9)]
    assert (output / "rejected.csv").read_text() == "id,source,reason,detail\n"


def test_every_clip_is_there_as_it_was_on_its_own(converted: tuple[Path, list[Progress]], corpus: Path) -> None:
    opened = directory.open_dataset(converted[0])
    assert not any(directory.verify(opened))
    cropper = MouthCropper(conversions.CONFIG.crop)
    by_id = {source.id: source for source in conversions.sources(corpus)}
    assert sorted(opened.index.id) == sorted(by_id)
    for number, name in enumerate(opened.index.id):
        clip = directory.read_record(opened, number)
        (want,) = convert_clip(by_id[name], corpus, conversions.CONFIG, cropper).clips
        np.testing.assert_array_equal(clip.frames, want.frames)
        assert (clip.text, clip.words, clip.source) == (want.text, want.words, want.source)
        assert opened.splits[opened.index.split[number]] == by_id[name].split
    assert opened.manifest["vocabulary"] == {"characters": conversions.CONFIG.alphabet, "words": ["at", "bin", "now"]}
    assert opened.manifest["rejected"] == {}
    entries = [entry for split in opened.manifest["splits"].values() for entry in split["shards"]]
    assert [entry["last_crc"] for entry in entries] == [path.read_bytes()[-4:].hex() for path in opened.shards]


def test_from_videos_to_batches(converted: tuple[Path, list[Progress]]) -> None:
    opened = directory.open_dataset(converted[0])
    order = PlanConfig(2, remainder="pad")
    batches = list(dataset.load(opened, "train", DataConfig(Vocabulary.of_characters()), order, layout="windows"))
    assert len(batches) == 3
    for batch in batches:
        longest = int(batch[BatchKey.LENGTHS].numpy().max())
        assert batch[BatchKey.WINDOWS].shape == (2, longest, 112, 112, 5)
        assert set(batch[BatchKey.LABEL_LENGTHS].numpy()) == {len("bin at now")}


def test_the_bytes_do_not_depend_on_the_workers(
    converted: tuple[Path, list[Progress]],
    corpus: Path,
    tmp_path: Path,
    digest: Callable[[Path], dict[str, str]],
) -> None:
    backwards = conversions.sources(corpus)[::-1]
    list(convert(backwards, corpus, tmp_path / "two", conversions.CONFIG, workers=2))
    assert digest(tmp_path / "two") == digest(converted[0])


def test_a_killed_conversion_goes_on_to_the_same_bytes(
    converted: tuple[Path, list[Progress]],
    corpus: Path,
    tmp_path: Path,
    digest: Callable[[Path], dict[str, str]],
) -> None:
    output = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, "--corpus=grid", f"--source={corpus}", f"--output={output}"]
    command += ["--crop=resize", "--clips_per_shard=2", "--val=2", "--test=1", "--workers=1"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    with pytest.raises(DataError, match="not a finished dataset"):
        directory.open_dataset(output)
    (output / ".grid-train.tfrecord-00000-of-00003.1.tmp").write_bytes(b"of a writer that was killed")
    states = conversions.run(corpus, output)
    assert states[0].resumed >= 1
    assert not list(output.glob(".*"))
    assert states[-1].resumed + states[-1].converted == 8
    assert digest(output) == digest(converted[0])
    killed, last = json.loads((output / CONVERSION).read_text())["runs"]
    assert (killed["ended"], last["ended"]) == ("unfinished", "finished")
    assert killed["clips"]["converted"] <= last["clips"]["resumed"]  # the kill may come before the note
    assert last["clips"] == {"resumed": states[0].resumed, "converted": 8 - states[0].resumed, "rejected": 0}
    assert last["flags"] == {"clip_timeout_s": 120.0, "max_reject_fraction": 0.05}


def test_a_finished_conversion_is_left_as_it_is(
    finished: Path, corpus: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    before, runs = digest(finished), (finished / CONVERSION).read_bytes()
    assert conversions.run(corpus, finished) == [Progress(clips=8, resumed=8)]
    assert digest(finished) == before
    assert (finished / CONVERSION).read_bytes() == runs


@pytest.mark.usefixtures("mortal")
def test_a_finished_conversion_may_be_read_only(finished: Path, corpus: Path) -> None:
    finished.chmod(0o500)
    assert conversions.run(corpus, finished) == [Progress(clips=8, resumed=8)]
    with pytest.raises(DataError, match=r"\(fps was 25.0, is 30.0\)"):
        conversions.run(corpus, finished, dataclasses.replace(conversions.CONFIG, fps=30.0))
    finished.chmod(0o700)


@pytest.mark.usefixtures("mortal")
def test_what_an_unfinished_conversion_needed_and_cannot_be_removed_is_named(finished: Path, corpus: Path) -> None:
    (finished / progress.PROGRESS).mkdir()
    finished.chmod(0o500)
    with pytest.raises(DataError, match=r"\.progress: Permission denied; make room, or make it writable"):
        conversions.run(corpus, finished)
    finished.chmod(0o700)
    assert conversions.run(corpus, finished) == [Progress(clips=8, resumed=8)]
    assert not (finished / progress.PROGRESS).exists()


def test_a_second_converter_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / progress.PROGRESS).mkdir(parents=True)
    with (tmp_path / "out" / progress.PROGRESS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another conversion is writing there; wait, or name another --output"):
            conversions.run(corpus, tmp_path / "out")


@pytest.mark.parametrize("begun", ["finished", "unfinished"])
def test_other_settings_or_clips_are_refused_with_the_difference(
    finished: Path, corpus: Path, tmp_path: Path, begun: str
) -> None:
    output = finished
    if begun == "unfinished":
        output = tmp_path / "begun"
        begun_job = convert(conversions.sources(corpus), corpus, output, conversions.CONFIG)
        next(begun_job)
        begun_job.close()
    for changed, match in (
        (dataclasses.replace(conversions.CONFIG, fps=30.0), r"\(fps was 25.0, is 30.0\)"),
        (
            dataclasses.replace(conversions.CONFIG, crop=CropSettings("resize", max_gap=1)),
            r"\(crop.max_gap was 5, is 1\)",
        ),
    ):
        with pytest.raises(DataError, match=match):
            conversions.run(corpus, output, changed)
    clips = conversions.sources(corpus)
    for changed, match in (
        (clips[1:], r"\(1 clips gone, such as 's1/bbaf2n'\)"),
        ([dataclasses.replace(clips[0], id="s1/new"), *clips[1:]], r"\(1 clips new, such as 's1/new', 1 clips gone"),
        ([dataclasses.replace(clips[0], text="bin"), *clips[1:]], r"\(the same clips, with other files, labels"),
    ):
        with pytest.raises(DataError, match=match):
            list(convert(changed, corpus, output, conversions.CONFIG))


def test_outputs_that_are_something_else_are_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: is a file; --output"):
        conversions.run(corpus, tmp_path / "file")
    with pytest.raises(DataError, match="holds something else than a conversion"):
        conversions.run(corpus, tmp_path)


def test_the_root_of_a_file_system_is_an_output(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert conversions.run(corpus, tmp_path)[-1].converted == 8


def test_no_clips_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the corpus has no clips, nothing to convert"):
        list(convert([], tmp_path, tmp_path / "out", conversions.CONFIG))


def resident_mb(pid: int, key: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(key))


def test_memory_holds_a_clip_at_a_time(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    words = [*datasets.SPOKEN, ("sil", 10, 100)]
    video = datasets.write_grid_clip(root, "s1/c0", 100, words)  # 1.25 MB as a record
    for number in range(1, 44):
        shutil.copy(video, root / f"s1/c{number}.mp4")
        datasets.write_alignment(root / f"alignments/s1/c{number}.align", words)
    clips = assign(grid.clips(root), SplitRule(val="0", test="0"))
    for state in convert(clips, root, tmp_path / "out", dataclasses.replace(conversions.CONFIG, clips_per_shard=44)):
        if state.converted == 4:
            (worker,) = multiprocessing.active_children()
            before = resident_mb(worker.pid, "VmRSS:")
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # the peak is from here on
        if state.converted == 40:
            assert resident_mb(worker.pid, "VmHWM:") - before < 20  # of the 45 that 36 clips are
    assert state.converted == 44


def test_any_file_name_is_a_record(corpus: Path, tmp_path: Path) -> None:
    root, output = tmp_path / "corpus", tmp_path / "out"
    names = ["new\nline", "-dash *?[x]", 'comma, and "quote"', os.fsdecode(b"not-\xff-utf-8")]
    for name in names:
        for folder, suffix in (("s1", ".mp4"), ("alignments/s1", ".align")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(corpus / f"{folder}/bbaf2n{suffix}", root / folder / f"{name}{suffix}")
    (root / "s1" / os.fsdecode(b"mute-\xff.mp4")).touch()
    list(convert(assign(grid.clips(root), conversions.RULE), root, output, conversions.CONFIG, max_reject_fraction=0.5))
    opened = directory.open_dataset(output)
    assert sorted(opened.index.id) == sorted([*(f"s1/{name}" for name in names[:3]), r"s1/not-\xff-utf-8"])
    assert not any(directory.verify(opened))
    with (output / directory.REJECTED).open(encoding="utf-8", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == [r"s1/mute-\xff.mp4"]
