"""Several conversions that make a dataset between them, in one process, and what each leaves to the others."""

import csv
import dataclasses
import functools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.conversion import array, job, lock, progress
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.job import Progress, convert, finalize_tasks
from pipeline.conversion.processes import Completed, Event, Finished, Work
from pipeline.conversion.run_log import CONVERSION
from pipeline.conversion.shard import ShardTask, convert_shard, plan_shards
from pipeline.corpora.source import ClipSource
from pipeline.mouth.cropping import MouthCropper
from pipeline.records import directory, storage
from pipeline.schema import BusyError, DataError
from tests.conversions import CONFIG, Digest, sources

pytestmark = pytest.mark.usefixtures("forked_workers")


def run(corpus: Path, output: Path, part: Part = WHOLE, clips: list[ClipSource] | None = None) -> list[Progress]:
    clips = clips or sources(corpus)
    work = functools.partial(convert_shard, corpus, None, CONFIG, MouthCropper(CONFIG.crop), output)
    return list(convert(clips, corpus, output, CONFIG, part=part, engine=functools.partial(here, work)))


def here(work: Work, tasks: list[ShardTask], *_: Any) -> Iterator[Event]:
    """Makes shards in this process, which begins sooner than another."""
    for task in tasks:
        events = list(work(task, {}))
        yield from events
        yield Completed(task, tuple(event for event in events if isinstance(event, Finished)))


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus converted at once: three shards for training, one each for validation and test."""
    output = tmp_path_factory.mktemp("whole") / "grid"
    run(corpus, output)
    return output


@pytest.mark.parametrize(("task", "tasks", "said"), [(0, 0, "tasks: "), (-1, 2, "task: "), (2, 2, "task: want 0 to 1")])
def test_a_task_that_is_not_there_is_refused(task: int, tasks: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Part(task, tasks)


def test_every_shard_is_in_one_share(corpus: Path) -> None:
    shards = plan_shards(sources(corpus), CONFIG)
    shares = [Part(task, 3).share(shards) for task in range(3)]
    assert [len(share) for share in shares] == [2, 2, 1]
    assert sorted(shard.file("") for share in shares for shard in share) == sorted(shard.file("") for shard in shards)


def test_tasks_in_any_order_make_the_same_bytes_and_the_last_ends_the_dataset(
    corpus: Path, whole: Path, tmp_path: Path, digest: Digest
) -> None:
    output, tasks = tmp_path / "out", 6  # the last has no shard
    for task, clips in ((4, 1), (5, 0), (0, 2), (2, 1), (3, 2)):
        assert run(corpus, output, Part(task, tasks))[-1] == Progress(clips, resumed=0, converted=clips)
    assert run(corpus, output, Part(0, tasks)) == [Progress(2, resumed=2)]  # repeated
    assert not (output / directory.MANIFEST).exists()
    run(corpus, output, Part(1, tasks))
    assert digest(output) == digest(whole)
    runs = json.loads((output / CONVERSION).read_text())["runs"]
    assert [entry["ended"] for entry in runs] == ["finished"] * 7
    assert sum(entry["clips"]["converted"] for entry in runs) == 8
    assert run(corpus, output, Part(2, tasks)) == [Progress(8, resumed=8)]  # nothing is left for it


def test_a_dataset_is_finished_once_all_have_ended(corpus: Path, whole: Path, tmp_path: Path, digest: Digest) -> None:
    output = tmp_path / "out"
    for task in range(3):
        with pytest.raises(
            DataError, match=rf"those of --task={','.join(str(n) for n in range(task, 3))} of --tasks=3"
        ):
            finalize_tasks(sources(corpus), corpus, output, CONFIG, 3)
        if task == 2:  # it is killed before it looks whether it is the last
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(job, "_end", lambda *_: None)
                run(corpus, output, Part(task, 3))
        else:
            run(corpus, output, Part(task, 3))
    assert not (output / directory.MANIFEST).exists()
    finalize_tasks(sources(corpus), corpus, output, CONFIG, 3)
    assert digest(output) == digest(whole)
    finalize_tasks(sources(corpus), corpus, output, CONFIG, 3)  # nothing is left to do


def test_a_whole_conversion_goes_on_where_tasks_have_ended(
    corpus: Path, whole: Path, tmp_path: Path, digest: Digest
) -> None:
    output = tmp_path / "out"
    run(corpus, output, Part(1, 3))
    states = run(corpus, output)
    assert (states[0].resumed, states[-1].converted) == (3, 5)
    assert digest(output) == digest(whole)
    assert len(json.loads((output / CONVERSION).read_text())["runs"]) == 2


def test_one_converter_a_part_and_none_of_the_whole_beside_it(corpus: Path, tmp_path: Path) -> None:
    held = lock.Job(corpus, plan_shards(sources(corpus), CONFIG), CONFIG)
    with lock.locked(tmp_path, held, Part(1, 3)), lock.locked(tmp_path, held, Part(2, 3)):
        for part in (Part(1, 3), Part(0, 2), WHOLE):
            with pytest.raises(BusyError, match="another conversion is writing there"):
                lock.check_free(tmp_path, part)
            with (
                pytest.raises(BusyError, match="another conversion is writing there"),
                lock.locked(tmp_path, held, part),
            ):
                pass
        lock.check_free(tmp_path, Part(0, 3))
    with lock.locked(tmp_path, held), pytest.raises(BusyError, match="another conversion is writing there"):
        lock.check_free(tmp_path, Part(0, 3))
    with lock.locked(tmp_path, held):
        pass


def test_the_last_waits_for_tasks_that_are_about_to_end(corpus: Path, tmp_path: Path) -> None:
    held = lock.Job(corpus, plan_shards(sources(corpus), CONFIG), CONFIG)
    ends = threading.Event()

    def other() -> None:
        with lock.locked(tmp_path, held, Part(0, 3)):
            begun.set()
            ends.wait()
            storage.write_json(tmp_path / progress.PROGRESS / "runs-0-of-3.json", {"runs": []})

    begun, thread = threading.Event(), threading.Thread(target=other)
    thread.start()
    begun.wait()
    with lock.locked(tmp_path, held, Part(1, 3)):
        with pytest.raises(BusyError, match="does not end; stop it"), lock.left_alone(tmp_path, Part(1, 3), 0.0):
            pass
        threading.Timer(0.3, ends.set).start()
        with lock.left_alone(tmp_path, Part(1, 3), 60.0):
            assert (tmp_path / progress.PROGRESS / "runs-0-of-3.json").exists()
            with pytest.raises(BusyError), lock.left_alone(tmp_path, Part(2, 3), 60.0):
                pass
    thread.join()


def test_a_part_removes_what_killed_runs_left_of_its_own_shards_alone(corpus: Path, tmp_path: Path) -> None:
    first, second = (shard.file(CONFIG.name) for shard in plan_shards(sources(corpus), CONFIG)[:2])
    left = [tmp_path / f".{file}.host-7.tmp" for file in (first, second)]
    left += [tmp_path / progress.PROGRESS / f".{file}.json.host-7.tmp" for file in (first, second)]
    left[-1].parent.mkdir()
    for path in left:
        path.write_bytes(b"half")
    with lock.locked(tmp_path, lock.Job(corpus, plan_shards(sources(corpus), CONFIG), CONFIG), Part(1, 5)):
        assert [path.exists() for path in left] == [True, False, True, False]


def test_rejects_are_judged_by_all_clips_and_by_those_of_a_part_only_where_it_can_stop_early(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sources(corpus)
    bad = {clip.id for clip in Part(1, 3).share(plan_shards(clips, CONFIG))[0].sources}  # two of its three clips
    clips = [dataclasses.replace(clip, text="" if clip.id in bad else clip.text) for clip in clips]
    assert run(corpus, tmp_path / "out", Part(1, 3), clips)[-1] == Progress(3, resumed=0, converted=1, rejected=2)
    run(corpus, tmp_path / "out", Part(0, 3), clips)
    with pytest.raises(DataError, match=r"^2 of 8 clips rejected \(2 bad_transcript\), more than"):
        run(corpus, tmp_path / "out", Part(2, 3), clips)
    assert not (tmp_path / "out" / directory.MANIFEST).exists()
    monkeypatch.setattr(job, "MIN_REJECTS", 2)
    with pytest.raises(DataError, match=r"^2 of 3 clips rejected already .*/rejected-1-of-3\.csv; ") as raised:
        run(corpus, tmp_path / "early", Part(1, 3), clips)
    with Path(str(raised.value).partition("; see ")[2].partition(";")[0]).open(newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == bad


def test_files_of_tasks_are_no_notes_of_a_dataset_of_that_name_nor_probes(tmp_path: Path) -> None:
    named = [
        "lock-3-of-20",
        "lock-3-of-20-0af3",
        "lock-train.tfrecord-00000-of-00001.json",
        "lock",
        "lock-3-of-20.json",
    ]
    for name in named:
        (tmp_path / name).touch()
    assert array.of_tasks("lock", tmp_path) == [tmp_path / "lock-3-of-20"]


def test_tasks_of_two_jobs_cannot_begin_in_one_output(corpus: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(CONFIG, fps=30.0)
    jobs = [lock.Job(corpus, plan_shards(sources(corpus), config), config) for config in (CONFIG, other)]
    (tmp_path / progress.PROGRESS).mkdir()
    with lock._in_turn(tmp_path):  # both have found nothing, and one has its turn
        refused: list[DataError] = []

        def begin() -> None:
            try:
                with lock.locked(tmp_path, jobs[1], Part(1, 3)):
                    pass
            except DataError as error:
                refused.append(error)

        thread = threading.Thread(target=begin)
        thread.start()
        time.sleep(0.5)
        storage.write_json(tmp_path / progress.PROGRESS / progress.JOB, jobs[0].description)
    thread.join()
    assert "fps was 25.0, is 30.0" in str(refused[0])


def test_what_a_killed_finalizer_left_goes(corpus: Path, tmp_path: Path) -> None:
    for task in range(2):
        run(corpus, tmp_path, Part(task, 3))
    (tmp_path / ".index.npz.host-7.tmp").write_bytes(b"half")
    run(corpus, tmp_path, Part(2, 3))
    assert not list(tmp_path.glob(".*"))
