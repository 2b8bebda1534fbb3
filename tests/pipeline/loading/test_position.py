import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.loading import position
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from tests import datasets

CONFIG, ORDER, VARIED = DataConfig(Vocabulary.of_characters()), PlanConfig(8, seed=1), AugmentConfig(flip=0.5)


def test_a_position_comes_back(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    path, stream = tmp_path / "position.json", (tiny("raw"), "train", CONFIG, ORDER, VARIED)
    for step in (0, 7, 10**12):
        position.save(path, *stream, step=step)
        assert position.load(path, *stream) == step
    assert [entry.name for entry in tmp_path.iterdir()] == ["position.json"]
    plain = stream[:4]
    position.save(path, *plain, step=3)
    assert position.load(path, *plain, AugmentConfig()) == 3  # all off is none


def test_any_number_of_workers_may_go_on(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    path, dataset = tmp_path / "position.json", tiny("raw")
    position.save(path, dataset, "train", CONFIG, ORDER, step=3)
    share = dataclasses.replace(ORDER, worker=3, workers=4)
    assert position.load(path, dataset, "train", CONFIG, share) == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"order": dataclasses.replace(ORDER, seed=2)}, "seed was 1, is 2; use the old settings, or start anew"),
        ({"order": PlanConfig(4, seed=2)}, "batch_size was 8, is 4; seed was 1, is 2;"),
        ({"order": dataclasses.replace(ORDER, mix=(1.0,))}, r"mix was \[\], is \[1.0\]"),
        ({"config": dataclasses.replace(CONFIG, padding="same")}, "padding was valid, is same"),
        ({"config": DataConfig(Vocabulary.of_words(["a"]))}, "vocabulary was sha256:[0-9a-f]{16}, is sha256:"),
        ({"config": dataclasses.replace(CONFIG, max_frames=20)}, "max_frames was None, is 20"),
        ({"augmented": None}, "flip was 0.5, is 0.0"),
        ({"split": "val"}, "split was train, is val"),
        ({"dataset": "png"}, "manifest was sha256:[0-9a-f]{16}, is sha256:"),
    ],
)
def test_another_stream_is_refused_with_the_difference(
    tiny: Callable[[str], DatasetDir], tmp_path: Path, change: dict[str, object], match: str
) -> None:
    path = tmp_path / "position.json"
    stream = {"dataset": tiny("raw"), "split": "train", "config": CONFIG, "order": ORDER, "augmented": VARIED}
    position.save(path, **stream, step=3)
    if "dataset" in change:
        change = {"dataset": tiny(change["dataset"])}
    with pytest.raises(DataError, match=f"position.json: .* another stream: {match}"):
        position.load(path, **{**stream, **change})


def test_a_saved_position_is_small_whatever_the_settings(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    many = tuple(f"word{n}" for n in range(5000))
    config = DataConfig(
        Vocabulary.of_words(many), "sentence", speakers=many, words=many, max_frames=10**6, overlong="truncate"
    )
    order = PlanConfig(2**20, 2**62, False, "drop", 2**40, 2**20, mix=tuple(1 / (n + 3) for n in range(40)))
    varied = AugmentConfig(50, 1 / 3, 250, 1 / 3, 900, 10**6, 1 / 3)
    position.save(tmp_path / "position.json", tiny("raw"), "train", config, order, varied, step=10**15)
    assert (tmp_path / "position.json").stat().st_size < 1000


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"step": "3"}', '{"step": -1}', "\x00\xff"])
def test_what_is_no_position_is_refused(tiny: Callable[[str], DatasetDir], tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "position.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"position\.json: no saved position"):
        position.load(path, tiny("raw"), "train", CONFIG, ORDER)


def test_a_setting_that_a_position_lacks_had_its_default(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    path, dataset = tmp_path / "position.json", tiny("raw")
    position.save(path, dataset, "train", CONFIG, PlanConfig(8), step=3)
    saved = json.loads(path.read_text())
    del saved["seed"], saved["mask_frames"]
    path.write_text(json.dumps(saved))
    assert position.load(path, dataset, "train", CONFIG, PlanConfig(8)) == 3
    with pytest.raises(DataError, match="another stream: seed was 0, is 1;"):
        position.load(path, dataset, "train", CONFIG, ORDER)
    del saved["split"]  # has no default
    path.write_text(json.dumps(saved))
    with pytest.raises(DataError, match="another stream: split was absent, is train;"):
        position.load(path, dataset, "train", CONFIG, PlanConfig(8))


OLD = """{
 "step": 7,
 "manifest": "sha256:ac611ab48ccfd872",
 "split": "train",
 "vocabulary": "sha256:28104a099437d510",
 "unit": "word",
 "margin": 3,
 "edge": "same",
 "speakers": [],
 "words": [],
 "max_frames": null,
 "overlong": "skip",
 "batch_size": 4,
 "seed": 1,
 "shuffle": true,
 "remainder": "drop",
 "max_windows_per_batch": null,
 "pad_to_multiple": 1,
 "mix": [],
 "shift": 0,
 "flip": 0.5,
 "brightness": 0,
 "contrast": 0.0,
 "mask_frames": 0,
 "masks": 1,
 "speed": 0.0
}
"""  # written by commit 316d5c1, before positions had a version


def test_a_position_without_a_version_is_read(golden_dataset: Path, tmp_path: Path) -> None:
    path, dataset = tmp_path / "position.json", directory.open_dataset(golden_dataset)
    vars(dataset)["fingerprint"] = directory.fingerprint(directory.read_manifest(datasets.GOLDEN / "dataset"))
    path.write_text(OLD)
    config = DataConfig(Vocabulary.of_words(["at", "bin", "now"]), unit="word", margin=3, padding="same")
    stream = dataset, "train", config, PlanConfig(4, seed=1), AugmentConfig(flip=0.5)
    assert position.load(path, *stream) == 7
    position.save(tmp_path / "new.json", *stream, step=7)
    new, old = (json.loads(text) for text in ((tmp_path / "new.json").read_text(), OLD))
    old["padding"] = old.pop("edge")
    assert new == {"version": 1, **old, "max_doubt": None, "where": [], "zoom": 0.0, "erase": 0.0, "splice": 0.0}
    with pytest.raises(DataError, match="another stream: padding was same, is valid;"):
        position.load(path, dataset, "train", dataclasses.replace(config, padding="valid"), *stream[3:])


@pytest.mark.parametrize("version", [2, -1, "1", None])
def test_another_version_is_refused(tiny: Callable[[str], DatasetDir], tmp_path: Path, version: object) -> None:
    path, stream = tmp_path / "position.json", (tiny("raw"), "train", CONFIG, ORDER)
    position.save(path, *stream, step=3)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))
    with pytest.raises(DataError, match=rf"position\.json: .* version {version}, .* up to 1"):
        position.load(path, *stream)


def test_a_step_before_the_first_is_refused(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="step: want 0 or more, got -1"):
        position.save(tmp_path / "position.json", tiny("raw"), "train", CONFIG, ORDER, step=-1)
