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
from typing import Any

import numpy as np
import pytest

from pipeline.conversion import job as conversion
from pipeline.conversion import progress, shard
from pipeline.conversion.clip import convert_clip
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.run_log import CONVERSION
from pipeline.corpora import grid
from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SplitRule, assign
from pipeline.inspection import report
from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, provenance
from pipeline.schema import BatchKey, DataError
from pipeline.vocab import Vocabulary
from tests import datasets

pytestmark = pytest.mark.usefixtures("forked_workers")

CONFIG = ConvertConfig(name="grid", crop=CropSettings(mode="resize"), clips_per_shard=2)
RULE = SplitRule(val="2", test="1")
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


def sources(corpus: Path) -> list[ClipSource]:
    return list(assign(grid.clips(corpus), RULE))


def run(corpus: Path, output: Path, config: ConvertConfig = CONFIG, **how: Any) -> list[Progress]:
    return list(convert(sources(corpus), corpus, output, config, **how))


@pytest.fixture(scope="module")
def converted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """The corpus converted by one worker; read, never written."""
    output = tmp_path_factory.mktemp("converted") / "grid"
    return output, run(corpus, output)


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
    cropper = MouthCropper(CONFIG.crop)
    by_id = {source.id: source for source in sources(corpus)}
    assert sorted(opened.index.id) == sorted(by_id)
    for number, name in enumerate(opened.index.id):
        clip = directory.read_record(opened, number)
        (want,) = convert_clip(by_id[name], corpus, CONFIG, cropper).clips
        np.testing.assert_array_equal(clip.frames, want.frames)
        assert (clip.text, clip.words, clip.source) == (want.text, want.words, want.source)
        assert opened.splits[opened.index.split[number]] == by_id[name].split
    assert opened.manifest["vocabulary"] == {"characters": CONFIG.alphabet, "words": ["at", "bin", "now"]}
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
    backwards = sources(corpus)[::-1]
    list(convert(backwards, corpus, tmp_path / "two", CONFIG, workers=2))
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
    states = run(corpus, output)
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
    assert run(corpus, finished) == [Progress(clips=8, resumed=8)]
    assert digest(finished) == before
    assert (finished / CONVERSION).read_bytes() == runs


@pytest.mark.usefixtures("mortal")
def test_a_finished_conversion_may_be_read_only(finished: Path, corpus: Path) -> None:
    finished.chmod(0o500)
    assert run(corpus, finished) == [Progress(clips=8, resumed=8)]
    with pytest.raises(DataError, match=r"\(fps was 25.0, is 30.0\)"):
        run(corpus, finished, dataclasses.replace(CONFIG, fps=30.0))
    finished.chmod(0o700)


@pytest.mark.usefixtures("mortal")
def test_what_an_unfinished_conversion_needed_and_cannot_be_removed_is_named(finished: Path, corpus: Path) -> None:
    (finished / progress.PROGRESS).mkdir()
    finished.chmod(0o500)
    with pytest.raises(DataError, match=r"\.progress: Permission denied; make room, or make it writable"):
        run(corpus, finished)
    finished.chmod(0o700)
    assert run(corpus, finished) == [Progress(clips=8, resumed=8)]
    assert not (finished / progress.PROGRESS).exists()


def test_a_second_converter_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / progress.PROGRESS).mkdir(parents=True)
    with (tmp_path / "out" / progress.PROGRESS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another conversion is writing there; wait, or name another --output"):
            run(corpus, tmp_path / "out")


@pytest.mark.parametrize("begun", ["finished", "unfinished"])
def test_other_settings_or_clips_are_refused_with_the_difference(
    finished: Path, corpus: Path, tmp_path: Path, begun: str
) -> None:
    output = finished
    if begun == "unfinished":
        output = tmp_path / "begun"
        begun_job = convert(sources(corpus), corpus, output, CONFIG)
        next(begun_job)
        begun_job.close()
    for changed, match in (
        (dataclasses.replace(CONFIG, fps=30.0), r"\(fps was 25.0, is 30.0\)"),
        (
            dataclasses.replace(CONFIG, crop=CropSettings("resize", max_gap=1)),
            r"\(crop.max_gap was 5, is 1\)",
        ),
    ):
        with pytest.raises(DataError, match=match):
            run(corpus, output, changed)
    clips = sources(corpus)
    for changed, match in (
        (clips[1:], r"\(1 clips gone, such as 's1/bbaf2n'\)"),
        ([dataclasses.replace(clips[0], id="s1/new"), *clips[1:]], r"\(1 clips new, such as 's1/new', 1 clips gone"),
        ([dataclasses.replace(clips[0], text="bin"), *clips[1:]], r"\(the same clips, with other files, labels"),
    ):
        with pytest.raises(DataError, match=match):
            list(convert(changed, corpus, output, CONFIG))


def test_outputs_that_are_something_else_are_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: is a file; --output"):
        run(corpus, tmp_path / "file")
    with pytest.raises(DataError, match="holds something else than a conversion"):
        run(corpus, tmp_path)


def test_the_root_of_a_file_system_is_an_output(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert run(corpus, tmp_path)[-1].converted == 8


def test_no_clips_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the corpus has no clips, nothing to convert"):
        list(convert([], tmp_path, tmp_path / "out", CONFIG))


@pytest.fixture(scope="module")
def spoilt(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sound clips, and one of each fault."""
    root = tmp_path_factory.mktemp("spoilt") / "corpus"
    for name in ("bbaf2n", "bbaf3s", "bbaf4p"):
        datasets.write_grid_clip(root, f"s1/{name}", 20)
    datasets.write_grid_clip(root, "s1/short", 4)
    datasets.write_grid_clip(root, "s1/empty", 20, [("sil", 0, 20)])
    datasets.write_grid_clip(root, "s1/foreign", 20, [("naïve,", 2, 9)])
    datasets.write_grid_clip(root, "s1/long", 20, [("a" * 17, 2, 9)])
    datasets.write_grid_clip(root, "s1/un, named", 20)
    (root / "s1/text.mp4").write_text("this is a text, not a video\n" * 100)
    datasets.write_alignment(root / "alignments/s1/text.align")
    (root / "alignments/s1/un, named.align").unlink()
    return root


def test_rejects_are_rows_and_too_many_fail_until_allowed(spoilt: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(DataError, match=r"6 of 9 clips rejected \(.*more than --max_reject_fraction=0.05 allows"):
        run(spoilt, output)
    assert not (output / directory.MANIFEST).exists()
    rejected = (output / directory.REJECTED).read_bytes()
    rows = {row["id"]: row for row in csv.DictReader(rejected.decode().splitlines())}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "s1/short": "too_short",
        "s1/empty": "bad_transcript",
        "s1/foreign": "bad_character",
        "s1/long": "text_too_long",
        "s1/text": "unreadable",
        "s1/un, named": "bad_transcript",
    }
    assert rows["s1/un, named"]["source"] == "s1/un, named.mp4"
    assert rows["s1/foreign"]["detail"].startswith("',', 'ï' in 'naïve,' are not in the alphabet")
    (last,) = run(spoilt, output, max_reject_fraction=0.7)
    assert last == Progress(clips=9, resumed=9, resumed_rejected=6)
    opened = directory.open_dataset(output)
    assert sorted(opened.index.id) == ["s1/bbaf2n", "s1/bbaf3s", "s1/bbaf4p"]
    assert opened.manifest["rejected"] == {
        "bad_character": 1,
        "bad_transcript": 2,
        "text_too_long": 1,
        "too_short": 1,
        "unreadable": 1,
    }
    assert (output / directory.REJECTED).read_bytes() == rejected
    runs = json.loads((output / CONVERSION).read_text())["runs"]
    assert runs[0]["ended"].startswith("failed: 6 of 9 clips rejected")
    assert (runs[1]["ended"], runs[1]["clips"]["resumed"]) == ("finished", 9)
    assert not any(directory.verify(opened))
    assert not [path for path in output.iterdir() if path.name.startswith(".")]


def test_what_was_rejected_is_tried_again_when_that_is_asked_for(
    converted: tuple[Path, list[Progress]], corpus: Path, tmp_path: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (root / "s1/bbaf2n.mp4").write_bytes(b"no video")
    ways = ".*kept: .*--reuse takes their crops; --retry_rejected .*; --max_reject_fraction=0.125 accepts the rejects"
    why = r"such as s1/bbaf2n.mp4: not a video that can be decoded \(.*\); see .*/out/rejected.csv"
    with pytest.raises(
        DataError, match=rf"^1 of 8 clips rejected \(1 unreadable\), more than .* allows, {why}; {ways}$"
    ):
        run(root, output)
    shutil.copy(corpus / "s1/bbaf2n.mp4", root / "s1/bbaf2n.mp4")
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        run(root, output)
    states = run(root, output, retry_rejected=True)
    assert states[0] == Progress(clips=8, resumed=6)
    assert digest(output) == digest(converted[0])


def test_the_table_of_rejects_can_be_read_whatever_a_label_holds(corpus: Path, tmp_path: Path) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    label = next(root.rglob("bbaf2n.align"))
    label.write_text(f"0 25000 {'é' * 140_000}\n")  # more than a field of a table may have
    run(root, output, max_reject_fraction=0.5)
    (reject,) = report.rejects(directory.open_dataset(output), max_per_reason=9)
    assert (reject.id, reject.reason) == ("s1/bbaf2n", "bad_character")
    assert reject.detail.startswith("'é' in 'ééé")
    assert reject.detail.endswith("é…")


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def begun_shards(corpus: Path) -> list[tuple[str, list[str]]]:
    return [(task.file("grid"), [s.id for s in task.sources]) for task in shard.plan_shards(sources(corpus), CONFIG)]


def test_a_retry_that_is_stopped_loses_nothing_and_goes_on(
    converted: tuple[Path, list[Progress]],
    corpus: Path,
    tmp_path: Path,
    digest: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (first, one), (second, other), *_ = begun_shards(corpus)
    for name in (one[0], other[0]):
        (root / f"{name}.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="2 of 8 clips rejected"):
        run(root, output)
    for name in (one[0], other[0]):
        shutil.copy(corpus / f"{name}.mp4", root / f"{name}.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(conversion.RunLog, "shard", _stop)  # the first is whole, and the second is not given out yet
        with pytest.raises(KeyboardInterrupt):
            run(root, output, retry_rejected=True)
    assert [len(progress.read_note(output, file).rejected) for file in (first, second)] == [0, 1]
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        run(root, output)
    assert run(root, output, retry_rejected=True)[0] == Progress(clips=8, resumed=6)
    assert digest(output) == digest(converted[0])


def test_a_retry_goes_on_with_what_it_has_marked_alone(corpus: Path, tmp_path: Path) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (first, one), (second, _), *_ = begun_shards(corpus)
    (root / f"{one[0]}.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        run(root, output)
    tasks = shard.plan_shards(sources(root), CONFIG)

    def left() -> list[str]:
        return [task.file("grid") for task in conversion.survey(tasks, output, CONFIG, True)[0]]

    assert left() == [first]
    progress.retry_path(output, second).touch()  # as a retry marks what it has to do, and is stopped in the last of it
    progress.note_path(output, second).unlink()
    assert left() == [second]


def test_a_job_that_cannot_come_good_any_more_ends_early(
    converted: tuple[Path, list[Progress]],
    corpus: Path,
    tmp_path: Path,
    digest: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversion, "MIN_REJECTS", 2)
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    for video in root.glob("s*/*.mp4"):
        video.write_bytes(b"no video")
    said = "2 of 8 clips rejected already.*--max_reject_fraction=0.125 allows, .*higher limit"
    for _ in range(2):  # the second time at once
        with pytest.raises(DataError, match=said):
            run(root, output, max_reject_fraction=0.125)
        assert len(list((output / progress.PROGRESS).glob("*tfrecord*.json"))) == 1
        assert len((output / directory.REJECTED).read_text().splitlines()) == 1 + 2
    for video in root.glob("s*/*.mp4"):
        shutil.copy(corpus / video.relative_to(root), video)
    run(root, output, retry_rejected=True)
    assert digest(output) == digest(converted[0])


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
    for state in convert(clips, root, tmp_path / "out", dataclasses.replace(CONFIG, clips_per_shard=44)):
        if state.converted == 4:
            (worker,) = multiprocessing.active_children()
            before = resident_mb(worker.pid, "VmRSS:")
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # the peak is from here on
        if state.converted == 40:
            assert resident_mb(worker.pid, "VmHWM:") - before < 20  # of the 45 that 36 clips are
    assert state.converted == 44


def test_all_clips_rejected_is_an_error(spoilt: Path, tmp_path: Path) -> None:
    bad = [source for source in sources(spoilt) if source.id in ("s1/short", "s1/empty")]
    with pytest.raises(DataError, match=r"all 2 clips rejected \(.*such as s1/.*see .*rejected.csv"):
        list(convert(bad, spoilt, tmp_path / "out", CONFIG, max_reject_fraction=1.0))
    assert not (tmp_path / "out" / directory.MANIFEST).exists()


def test_any_file_name_is_a_record(corpus: Path, tmp_path: Path) -> None:
    root, output = tmp_path / "corpus", tmp_path / "out"
    names = ["new\nline", "-dash *?[x]", 'comma, and "quote"', os.fsdecode(b"not-\xff-utf-8")]
    for name in names:
        for folder, suffix in (("s1", ".mp4"), ("alignments/s1", ".align")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(corpus / f"{folder}/bbaf2n{suffix}", root / folder / f"{name}{suffix}")
    (root / "s1" / os.fsdecode(b"mute-\xff.mp4")).touch()
    list(convert(assign(grid.clips(root), RULE), root, output, CONFIG, max_reject_fraction=0.5))
    opened = directory.open_dataset(output)
    assert sorted(opened.index.id) == sorted([*(f"s1/{name}" for name in names[:3]), r"s1/not-\xff-utf-8"])
    assert not any(directory.verify(opened))
    with (output / directory.REJECTED).open(encoding="utf-8", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == [r"s1/mute-\xff.mp4"]
