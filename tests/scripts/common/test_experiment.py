import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model import run
from model.config import LipReaderConfig
from model.errors import RunError
from model.lipreader import LipReader
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.mouth.settings import CropSettings
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.common import experiment, run_settings
from scripts.common.damaged import Damaged
from tests import datasets
from tests.scripts import tiny_runs

MODEL = LipReaderConfig(classes=2, width=0.0625, lstm_units=4)
CONFIG = DataConfig(Vocabulary.of_characters())


@pytest.mark.parametrize(
    ("section", "field", "other"),
    [
        ("model", "precision", "mixed_bfloat16"),
        ("train", "patience", 3),
        ("data", "max_frames", 50),
        ("order", "pad_to_multiple", 8),
        ("augment", "speed", 0.1),
    ],
)
def test_a_field_that_an_older_run_lacks_has_its_default(
    section: str, field: str, other: object, tmp_path: Path
) -> None:
    path = tiny_runs.write(tmp_path / "run") / "run.json"
    settings = json.loads(path.read_text())
    present = settings.get(section, {})
    older = {**settings, section: {key: value for key, value in present.items() if key != field}}
    path.write_text(json.dumps(older))
    run_settings.save_run(path.parent, settings)
    assert experiment.open_run(path.parent).model.config.precision == "float32"
    with pytest.raises(RunError, match=f"{section}.{field} was .*, is {other}"):
        run_settings.save_run(path.parent, {**settings, section: {**present, field: other}})


def test_a_crop_setting_that_an_older_run_lacks_has_its_default(tiny: Callable[[], DatasetDir], tmp_path: Path) -> None:
    data = tiny()
    crop = CropSettings(**data.manifest["conversion"]["crop"])
    path = tiny_runs.write(tmp_path / "run", crop=crop) / "run.json"
    settings = json.loads(path.read_text())
    del settings["input"]["crop"]["stride"], settings["data"]["padding"]
    path.write_text(json.dumps(settings))
    run_settings.save_run(path.parent, {**settings, "input": {"crop": dataclasses.asdict(crop), "fps": 25.0}})
    experiment.check_input(data, experiment.open_run(path.parent))
    model = LipReader(dataclasses.replace(MODEL, classes=9, head="ctc"))
    taken = experiment.initialise(model, data, CONFIG, path.parent)
    assert taken.endswith("; not its LSTM (lstm_units was 8, is 4), nor its head")


def test_a_run_knows_the_words_of_its_training_examples_alone(tmp_path: Path) -> None:
    said = {"train": ["set red now", "lay blue now"], "val": ["set green soon"]}
    splits = {
        split: [[dataclasses.replace(datasets.clip(f"{split}/c{n}", 20), text=text) for n, text in enumerate(texts)]]
        for split, texts in said.items()
    }
    data = datasets.write_dataset(tmp_path, splits)
    assert experiment.settings(data, CONFIG, PlanConfig(1))["words"] == ["blue", "lay", "now", "red", "set"]


def test_a_run_of_version_1_is_read_with_the_names_of_today(tmp_path: Path) -> None:
    settings = {"model": {"classes": 2, "use_inside": True}, "data": {"edge": "same", "margin": 2}}
    (tmp_path / "run.json").write_text(json.dumps(settings))
    assert run.load_run(tmp_path) == {
        "version": 2,
        "model": {"classes": 2, "use_in_word": True},
        "data": {"padding": "same", "margin": 2},
    }


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"version": 3}')
    with pytest.raises(RunError, match=r"run.json: not what this version writes \(version 3"):
        run.load_run(tmp_path)


def test_data_of_other_crops_is_refused_with_each_difference(tiny: Callable[[], DatasetDir], tmp_path: Path) -> None:
    data = tiny()
    conversion = data.manifest["conversion"]
    crop = CropSettings(**conversion["crop"])
    opened = experiment.Run(LipReader(MODEL), CONFIG, crop, conversion["fps"])
    experiment.check_input(data, opened)
    other = dataclasses.replace(opened, crop=dataclasses.replace(crop, smoothing=7.0), fps=50.0)
    with pytest.raises(DataError, match=r"crop.smoothing was 7.0, is .*; fps was 50.0, is 25.0; convert with the"):
        experiment.check_input(data, other)


def test_a_run_of_other_windows_is_no_start_whatever_its_alphabet(
    tiny: Callable[[], DatasetDir], tmp_path: Path
) -> None:
    data = tiny()
    other = dataclasses.replace(tiny_runs.WHOLE, smoothing=7.0)
    source = tiny_runs.write(tmp_path / "other", crop=other)
    model = LipReader(dataclasses.replace(MODEL, classes=9, head="ctc"))
    with pytest.raises(DataError, match=r"other: has learned from other windows: .*crop.smoothing was 7.0, is"):
        experiment.initialise(model, data, CONFIG, source)
    crop = CropSettings(**data.manifest["conversion"]["crop"])
    source = tiny_runs.write(tmp_path / "same", crop=crop)
    with pytest.raises(DataError, match=r"other windows: padding was valid, is same; start from a run of the same$"):
        experiment.initialise(model, data, dataclasses.replace(CONFIG, padding="same"), source)
    taken = experiment.initialise(model, data, CONFIG, source)
    assert taken.endswith("; not its LSTM (lstm_units was 8, is 4), nor its head")


def test_settings_of_another_version_are_named(tmp_path: Path) -> None:
    directory = tiny_runs.write(tmp_path / "run")
    saved = json.loads((directory / "run.json").read_text())
    for part in ({"input": {}}, {"model": {**saved["model"], "new": 1}}, {"data": {**saved["data"], "unit": "vowel"}}):
        (directory / "run.json").write_text(json.dumps({**saved, **part}))
        with pytest.raises(RunError, match=r"run.json: not what this version writes \("):
            experiment.open_run(directory)


def test_a_start_takes_the_head_of_the_same_labels_alone(tiny: Callable[[], DatasetDir], tmp_path: Path) -> None:
    data = tiny()
    crop = CropSettings(**data.manifest["conversion"]["crop"])
    source = tiny_runs.write(tmp_path / "source", "word", crop=crop)
    own, others = Vocabulary.of_words(tiny_runs.WORDS), Vocabulary.of_words(("at", "bin", "on"))
    letters = Vocabulary.of_characters("abc")
    for vocabulary, taken in (
        (own, ", LSTM (33,344 weights) and head (3 labels)"),
        (others, " and LSTM (33,344 weights); not its head, since of 3 labels it has 2"),
        (letters, " and LSTM (33,344 weights); not its head, which reads words and not characters"),
    ):
        model = LipReader(dataclasses.replace(MODEL, classes=len(vocabulary), head="ctc", lstm_units=8))
        config = dataclasses.replace(CONFIG, vocabulary=vocabulary)
        said = experiment.initialise(model, data, config, source)
        assert said.startswith("its CNN (")
        assert said.endswith(f" weights){taken}")


@pytest.fixture
def damaged(tiny: Callable[[], DatasetDir], tmp_path: Path) -> DatasetDir:
    """A bit of the first record of `train`, and of the last of `val`, is flipped."""
    root = tmp_path / "data"
    shutil.copytree(tiny().root, root)
    data = open_dataset(root)
    for record in (0, len(data.index) - 1):
        datasets.flip(data.shards[data.index.shard[record]], int(data.index.offset[record]) + 500)
    return data


def test_a_damaged_record_stops_reading_with_a_way_out(damaged: DatasetDir) -> None:
    order = PlanConfig(batch_size=2, shuffle=False)
    first = damaged.shards[0]
    with pytest.raises(DataError, match=f"^{first} offset 0: .*CRC.*; restore the shard, or .*--on_bad_record=skip$"):
        list(experiment.batches(damaged, "train", CONFIG, order))


def test_a_shard_that_is_gone_stops_reading_whatever_is_skipped(damaged: DatasetDir) -> None:
    damaged.shards[1].unlink()
    order = PlanConfig(batch_size=2, shuffle=False)
    with pytest.raises(DataError, match=r"split 'train' cannot be read: .*00001-of-00003: gone; restore the shards"):
        list(experiment.batches(damaged, "train", CONFIG, order, damaged=Damaged("skip")))


def test_a_shard_that_is_cut_after_its_check_stops_reading_by_name(
    tiny: Callable[[str], DatasetDir], tmp_path: Path
) -> None:
    """Words, which the graph reads: TensorFlow's end of the file must not become the end of the stream."""
    shutil.copytree(tiny("raw").root, tmp_path / "data")
    data = open_dataset(tmp_path / "data")
    words = DataConfig(Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]), unit="word")
    batches = experiment.batches(data, "train", words, PlanConfig(batch_size=1), epochs=None)
    next(batches)
    size = data.shards[0].stat().st_size
    os.truncate(data.shards[0], 20_000)
    wrong = f"{data.shards[0]}: has 20000 bytes, its records end at {size}"
    with pytest.raises(DataError, match=f"split 'train' cannot be read: {wrong}; restore the shards"):
        list(itertools.islice(batches, 100))


def test_a_score_leaves_out_the_damaged_and_counts_them(damaged: DatasetDir) -> None:
    model = LipReader(dataclasses.replace(MODEL, classes=len(CONFIG.vocabulary), head="ctc"))
    met = Damaged("skip")
    score = experiment.scorer(damaged, "val", CONFIG, batch_size=2, damaged=met)
    report = score(model)
    assert [row.id for row in report.predictions] == [damaged.index.id[-2]]
    assert report.examples == len(met.skipped) == 1
    assert score(model) == report
    assert str(met) == "1 damaged record, named above"
