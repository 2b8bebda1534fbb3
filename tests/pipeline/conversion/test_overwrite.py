import shutil
from pathlib import Path

import pytest

from pipeline.conversion import lock, overwrite
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.lock import Job
from pipeline.conversion.shard import plan_shards
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.records import directory, storage
from pipeline.schema import BusyError, DataError
from tests import datasets


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    clips = [datasets.clip("s1/a", 10), datasets.clip("s1/b", 12)]
    datasets.write_dataset(tmp_path / "out", {"train": [clips[:1], clips[1:]]})
    return tmp_path / "out"


def test_a_dataset_is_removed_with_its_manifest_first(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(path.stat().st_size for path in dataset.iterdir())
    removal = overwrite.plan(dataset)
    assert str(removal) == f"a dataset of 2 clips, 6 files, {size / 1e6:,.1f} MB"
    assert (dataset / directory.MANIFEST).is_file()
    order: list[str] = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **how: (order.append(path.name), unlink(path, **how))[1])
    overwrite.remove(removal)
    names = [name for name in order if not name.startswith(".")]
    assert names[0] == directory.MANIFEST
    assert sorted(dataset.iterdir()) == []
    assert overwrite.plan(dataset) is None


@pytest.mark.parametrize("removed", range(1, 6))
def test_a_removal_that_was_killed_is_ended_by_the_next(
    removed: int, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, remove = iter(range(removed)), storage.remove

    def killed(path: Path) -> None:
        if next(names, None) is None:
            raise KeyboardInterrupt
        remove(path)

    removal = overwrite.plan(dataset)
    with monkeypatch.context() as patched:
        patched.setattr(storage, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            overwrite.remove(removal)
    assert not (dataset / directory.MANIFEST).exists()
    with pytest.raises(DataError, match="out: is removed in part, since --overwrite was stopped; give --over"):
        lock.check(dataset, Job(dataset, [], ConvertConfig("tiny")))
    removal = overwrite.plan(dataset)
    assert (len(removal.files), removal.finished) == (6 - removed, None)
    overwrite.remove(removal)
    assert sorted(dataset.iterdir()) == []


def test_what_no_conversion_writes_is_named_and_nothing_removed(dataset: Path) -> None:
    (dataset / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"out: holds something else, such as 'notes.txt'; move it, or name another"):
        overwrite.plan(dataset)
    (dataset / "notes.txt").unlink()
    (dataset / "mine").mkdir()
    with pytest.raises(DataError, match=r"holds something else, such as 'mine'"):
        overwrite.plan(dataset)
    assert len(list(dataset.iterdir())) == 7


@pytest.mark.parametrize("name", ["index.npz", "tiny-train.tfrecord-00000-of-00001"])
def test_files_without_a_conversion_are_not_removed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("of another program")
    with pytest.raises(DataError, match=f"holds '{name}' but no conversion; remove it"):
        overwrite.plan(tmp_path)


def test_a_file_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(DataError, match="is a file; --output needs a directory"):
        overwrite.plan(tmp_path / "out")
    assert overwrite.plan(tmp_path / "new") is None


def test_an_unfinished_conversion_is_removed_unless_it_goes_on(corpus: Path, tmp_path: Path) -> None:
    output, config = tmp_path / "out", ConvertConfig("grid")
    job = Job(corpus, plan_shards(assign(grid.clips(corpus), SplitRule()), config), config)
    with lock.locked(output, job), pytest.raises(BusyError, match="another conversion is writing there"):
        overwrite.plan(output)
    shutil.copyfile(__file__, output / "grid-train.tfrecord-00000-of-00001")
    (output / ".grid-train.tfrecord-00000-of-00002.host-1.tmp").touch()
    removal = overwrite.plan(output)
    assert str(removal) == "an unfinished conversion, 1 files, 0.0 MB"
    overwrite.remove(removal)
    assert sorted(output.iterdir()) == []
