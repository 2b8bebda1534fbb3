"""A string is accepted wherever a user gives a path, and means the same."""

import dataclasses
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from model import checkpoints, export, run, transfer
from model.config import TrainConfig
from model.lipreader import LipReader
from model.train import train
from model.train_step import make_optimizer
from pipeline import mouth
from pipeline.conversion import dry_run, job, precheck
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora import CORPORA, folder, grid, lrs, lrw
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.splits import SplitRule, assign
from pipeline.loading import position
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.mouth.settings import CropSettings
from pipeline.records import cache, directory, reindex, storage, tfrecord
from pipeline.schema import DataError
from pipeline.synthetic import corpus
from pipeline.video import decode
from pipeline.vocab import Vocabulary
from scripts.common import experiment, run_settings
from tests import datasets, layouts
from tests.scripts import tiny_runs

pytestmark = pytest.mark.usefixtures("forked_workers")

WHOLE = CropSettings(mode="resize")
CONFIG = ConvertConfig(name="tiny", crop=WHOLE)
DRAWN = corpus.SyntheticConfig(clips=1, speakers=1, width=176, height=144)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something of each kind to open; only read it."""
    root = tmp_path_factory.mktemp("places")
    for name in ("s1/bbaf2n", "s1/bbaf3s"):
        datasets.write_grid_clip(root / "grid", name, 20)
    layouts.write_clip(root / "lrw", "ABOUT/train/ABOUT_00001", "Duration: 0.30 seconds\n")
    layouts.write_clip(root / "lrs", "trainval/talk/00001", "Text:  HELLO\n")
    (root / "folder").mkdir()
    shutil.copy(root / "grid" / "s1" / "bbaf2n.mp4", root / "folder" / "a.mp4")
    (root / "folder" / "clips.csv").write_text("video,text\na.mp4,hello\n")
    datasets.write_dataset(root / "data", {"train": [[datasets.clip("a", 20), datasets.clip("b", 20)]]})
    tiny_runs.write(root / "run")
    return root


def _sources(root: Path) -> Catalog:
    return assign(Catalog.of(grid.clips(root)), SplitRule())


def _stream(root: Path) -> tuple[Any, ...]:
    data = directory.open_dataset(root / "data")
    return data, "train", DataConfig(Vocabulary.of_characters(), unit="sentence"), PlanConfig(2)


def _model(root: Path) -> LipReader:
    return LipReader(run.model_config(root / "run"))


READ: dict[str, tuple[str, Callable[[Any, Path], Any]]] = {  # what to open, and how: of a path, and the places
    "decode.opened": ("folder/a.mp4", lambda path, _: _frames(path)),
    "decode.read_color": ("folder/a.mp4", lambda path, _: len(list(decode.read_color(path)))),
    "decode.end": ("folder/a.mp4", lambda path, _: decode.end(path)),
    "mouth.crop": ("folder/a.mp4", lambda path, _: mouth.crop(path, WHOLE).frames.tolist()),
    "grid.clips": ("grid", lambda path, _: list(grid.clips(path))),
    "lrw.clips": ("lrw", lambda path, _: list(lrw.clips(path))),
    "lrs.clips": ("lrs", lambda path, _: list(lrs.clips(path))),
    "folder.clips": ("folder", lambda path, _: list(folder.clips(path))),
    "Corpus.left_out": ("grid", lambda path, root: CORPORA["grid"].left_out(path, _sources(root / "grid"))),
    "directory.open_dataset": ("data", lambda path, _: directory.open_dataset(path).fingerprint),
    "directory.read_manifest": ("data", lambda path, _: directory.read_manifest(path)),
    "load_run": ("run", lambda path, _: run.load_run(path)),
    "model_config": ("run", lambda path, _: run.model_config(path)),
    "refuse_other_model": ("run", lambda path, root: run.refuse_other_model(path, run.model_config(root / "run"))),
    "checkpoints.restore": ("run", lambda path, root: _restored(path, root)),
    "checkpoints.has_begun": ("run", lambda path, _: checkpoints.has_begun(path)),
    "transfer.initialise": ("run", lambda path, root: transfer.initialise(_model(root), path)),
    "open_run": ("run", lambda path, _: dataclasses.replace(experiment.open_run(path), model=None)),
    "Run.crop_video": (
        "folder/a.mp4",
        lambda path, root: experiment.open_run(root / "run").crop_video(path).frames.tolist(),
    ),
    "dry_run.report": ("grid", lambda path, root: _reported(path, root / "new")),
}


def _reported(path: str | Path, output: Path) -> list[tuple[str, str]]:
    found = precheck.check(Catalog.of(_sources(path)), CONFIG, {})
    return dry_run.report(_sources(path), path, output, CONFIG, 1, False, found)


def _frames(path: str | Path) -> list[Any]:
    with decode.opened(path) as video:
        return [frame.tolist() for frame in video]


def _restored(path: str | Path, root: Path) -> list[Any]:
    model = _model(root)
    checkpoints.restore(model, path)
    return [variable.numpy().tolist() for variable in model.variables]


@pytest.mark.parametrize("name", READ)
def test_a_string_opens_what_a_path_opens(name: str, places: Path) -> None:
    below, read = READ[name]
    assert read(str(places / below), places) == read(places / below, places)


WRITE: dict[str, tuple[str, Callable[[str, Path], Any]]] = {  # a file that is then there, and what writes it
    "job.convert": ("manifest.json", lambda path, root: list(job.convert(*_job(root, path)))),
    "job.finalize_tasks": ("manifest.json", lambda path, root: _finalized(path, root)),
    "corpus.render": ("s1", lambda path, _: list(corpus.render(path, DRAWN))),
    "corpus.render_clip": (
        "alignments/s1/bbaf2n.align",
        lambda path, _: corpus.render_clip(path, DRAWN, corpus.Utterance(1, "bbaf2n")),
    ),
    "position.save and load": ("", lambda path, root: _kept(path, root)),
    "tfrecord.ShardWriter": ("", lambda path, _: _written(path)),
    "reindex.index": ("manifest.json", lambda path, root: _indexed(path, root)),
    "reindex.upgrade": ("manifest.json", lambda path, _: _upgraded(path)),
    "Cache": ("", lambda path, _: cache.Cache(path, 1000)),
    "export.save": ("saved_model.pb", lambda path, root: export.save(_model(root), {}, {}, path)),
    "TrainingState": ("last/checkpoint", lambda path, root: _state(path, root)),
    "save_run": ("run.json", lambda path, root: run_settings.save_run(path, run.load_run(root / "run"))),
    "train": ("last/checkpoint", lambda path, root: _trained(path, root)),
}


def _job(root: Path, output: str) -> tuple[Any, ...]:
    return _sources(root / "grid"), str(root / "grid"), output, CONFIG


def _finalized(path: str, root: Path) -> None:
    list(job.convert(*_job(root, path)))
    job.finalize_tasks(*_job(root, path), 1)


def _kept(path: str, root: Path) -> None:
    position.save(path, *_stream(root), step=3)
    assert position.load(path, *_stream(root)) == 3


def _written(path: str) -> None:
    with tfrecord.ShardWriter(path) as writer:
        writer.write(b"record")


def _indexed(path: str, root: Path) -> None:
    shutil.copytree(root / "data", path)
    for name in ("manifest.json", "index.npz"):
        (Path(path) / name).unlink()
    list(reindex.index(path))


def _upgraded(path: str) -> None:
    shutil.copytree(datasets.GOLDEN / "dataset", path)
    list(reindex.upgrade(path))


def _state(path: str, root: Path) -> None:
    model = _model(root)
    checkpoints.TrainingState(model, make_optimizer(model, TrainConfig(), 1), path).save()


def _trained(path: str, root: Path) -> None:
    """One step, after which it is told to stop."""
    opened, data = experiment.open_run(root / "run"), directory.open_dataset(root / "data")
    order, stop = PlanConfig(2), threading.Event()

    def batches(step: int) -> Iterator[dict[str, tf.Tensor]]:
        for batch in experiment.batches(data, "train", opened.data, order, step=step, epochs=None):
            stop.set()
            yield batch

    train(opened.model, TrainConfig(epochs=1), batches, 2, path, stop=stop)


@pytest.mark.parametrize("name", WRITE)
def test_a_string_says_where_to_write(name: str, places: Path, tmp_path: Path) -> None:
    below, write = WRITE[name]
    write(str(tmp_path / "new"), places)
    assert (tmp_path / "new" / below).exists()


@pytest.mark.parametrize("place", [storage.place, storage.local])
def test_home_is_expanded_in_what_a_user_writes(
    place: Callable[[str | Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place("~/data/mine") == tmp_path / "data" / "mine"
    assert place("~") == tmp_path
    for name in ("~backup.mp4", "a/~/b", "./~"):  # names of files
        assert place(name) == Path(name)
    assert place(Path("~/a")) == Path("~/a")


def test_a_home_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(DataError, match="~/data: no home directory is known for ~; write the path in full"):
        storage.place("~/data")
