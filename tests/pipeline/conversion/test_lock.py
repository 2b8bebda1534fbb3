import dataclasses
import json
import multiprocessing
from pathlib import Path

import pytest

from pipeline.conversion import lock, progress, shard
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.lock import Job
from pipeline.corpora import grid
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign
from pipeline.schema import DataError

CONFIG = ConvertConfig("grid", clips_per_shard=3)


def plan(corpus: Path, config: ConvertConfig = CONFIG, **changes: object) -> Job:
    sources: list[ClipSource] = list(assign(grid.clips(corpus), SplitRule(val="1", test="1")))
    sources[0] = dataclasses.replace(sources[0], **changes)
    return Job(corpus, shard.plan_shards(sources, config), config)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "bin"},
        {"words": ()},
        {"words": (SpokenWord("bin", 0.04, 0.2),)},
        {"speaker": "s9"},
        {"split": "val"},
        {"span": (0.0, 1.0)},
        {"problem": "torn"},
        {"columns": (("session", "3"),)},
    ],
    ids=str,
)
def test_a_job_is_the_same_for_the_same_clips_and_settings_alone(corpus: Path, changes: dict) -> None:
    assert plan(corpus).description == plan(corpus).description
    assert plan(corpus).description != plan(corpus, **changes).description
    assert plan(corpus).description["clips"] == 8


def test_a_reworded_problem_is_the_same_job(corpus: Path) -> None:
    assert plan(corpus, problem="torn").description == plan(corpus, problem="damaged").description


def test_a_new_field_with_a_default_is_the_same_job(corpus: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Dubbed(ClipSource):
        dialect: str = ""

    job, task = plan(corpus), plan(corpus).tasks[0]
    clips = [
        Dubbed(**{field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)}) for clip in task.sources
    ]
    newer = [dataclasses.replace(task, sources=clips), *job.tasks[1:]]
    assert Job(corpus, newer, CONFIG).description == job.description
    clips[0] = dataclasses.replace(clips[0], dialect="scots")
    assert Job(corpus, newer, CONFIG).description != job.description


def test_a_setting_that_an_older_job_lacks_has_its_default(corpus: Path, tmp_path: Path) -> None:
    with lock.locked(tmp_path, plan(corpus)):
        pass
    begun = tmp_path / ".progress" / progress.JOB
    job = json.loads(begun.read_text())
    del job["unknown"], job["crop"]["stride"]
    begun.write_text(json.dumps(job))
    lock.check(tmp_path, plan(corpus))
    with pytest.raises(DataError, match="unknown was reject, is unk"):
        lock.check(tmp_path, plan(corpus, ConvertConfig("grid", clips_per_shard=3, unknown="unk")))


def test_a_corpus_may_move(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(corpus)
    assert plan(tmp_path / "elsewhere").description == plan(corpus).description


def _hold(output: Path, corpus: Path, pipe: multiprocessing.connection.Connection) -> None:
    with lock.locked(output, plan(corpus)):
        pipe.send("held")
        pipe.recv()


def test_a_lock_holds_against_other_processes_until_it_ends(corpus: Path, tmp_path: Path) -> None:
    pipe, end = multiprocessing.Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path / "out", corpus, end))
    holder.start()
    assert pipe.recv() == "held"
    for refused in (
        lock.locked(tmp_path / "out", plan(corpus)).__enter__,
        lambda: lock.check_free(tmp_path / "out"),
    ):
        with pytest.raises(DataError, match=r"out: another conversion is writing there; .*--output"):
            refused()
    pipe.send("end")
    holder.join()
    lock.check_free(tmp_path / "out")
    with lock.locked(tmp_path / "out", plan(corpus)):
        pass


def test_what_killed_runs_left_half_written_goes(corpus: Path, tmp_path: Path) -> None:
    with lock.locked(tmp_path, plan(corpus)):
        left = [tmp_path / ".grid-train.tfrecord-00000-of-00002.7.tmp", tmp_path / ".progress/.job.json.7.tmp"]
        for path in left:
            path.write_bytes(b"half")
    with lock.locked(tmp_path, plan(corpus)):
        assert not any(path.exists() for path in left)


@pytest.mark.parametrize("damage", [b"", b'{"name": "gr', b"\0" * 40, b"7", b"\xff"])
def test_a_damaged_note_of_the_job_is_named_with_the_way_out(corpus: Path, tmp_path: Path, damage: bytes) -> None:
    with lock.locked(tmp_path, plan(corpus)):
        pass
    for name, changes in ((lock.CLIPS, {"text": "bin"}), (progress.JOB, {})):  # clips are read where the job differs
        (tmp_path / ".progress" / name).write_bytes(damage)
        for begin in (lock.check, lambda *job: lock.locked(*job).__enter__()):
            with pytest.raises(DataError, match=rf"\.progress/{name}: damaged \(.*\), .*remove {tmp_path} and convert"):
                begin(tmp_path, plan(corpus, **changes))


def test_differences_are_said_in_words(corpus: Path, tmp_path: Path) -> None:
    with lock.locked(tmp_path, plan(corpus)):
        pass
    other = ConvertConfig("grid", clips_per_shard=3, seed=2, fps=30.0)
    flags = ConvertConfig("grid", clips_per_shard=3, overlong="truncate", unknown="unk")
    for job, said in (
        (plan(corpus, other), r"\(fps was 25.0, is 30.0, seed was 0, is 2\)"),
        (plan(corpus, flags), r"\(overlong was reject, is truncate, unknown was reject, is unk\)"),
        (plan(corpus, id="s1/new"), r"\(1 clips new, such as 's1/new', 1 clips gone, such as 's1/bbaf2n'\)"),
        (plan(corpus, text="bin"), r"\(the same clips, with other files, labels or splits\)"),
    ):
        with pytest.raises(DataError, match=f"holds a conversion of other clips or settings {said}; use another"):
            lock.check(tmp_path, job)
