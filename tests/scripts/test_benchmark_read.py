import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import dataset
from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.records import directory
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.benchmarks import measure, read, read_export, read_store
from scripts.benchmarks.baselines import consumer
from scripts.benchmarks.measure import Candidate
from tests import datasets
from tests.scripts import commands
from tests.stores import Store

CLIPS = [datasets.clip(f"s1/c{n}", 12 + n, seed=n) for n in range(6)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    root = tmp_path_factory.mktemp("forms")
    dataset = datasets.write_dataset(root / "source", {"train": [CLIPS[:4]], "val": [CLIPS[4:]]})
    forms = root / "forms"
    forms.mkdir()
    return forms, read_export.export(dataset, [5, 0, 3, 1, 2, 4], forms)


def test_every_form_holds_the_same_clips(exported: tuple[Path, dict[str, float]]) -> None:
    forms, sizes = exported
    chosen = [CLIPS[n] for n in (5, 0, 3, 1, 2, 4)]
    assert set(sizes) == set(read_export.FORMS)
    for number, clip in enumerate(chosen):
        np.testing.assert_array_equal(np.load(forms / "npy" / f"{number:05}.npy"), clip.frames)
    assert json.loads((forms / "npy" / "texts.json").read_text()) == [clip.text for clip in chosen]
    for name in ("raw", "jpeg"):
        dataset = directory.open_dataset(forms / name)
        assert dataset.encoding == Encoding(name)
        assert sorted(dataset.index.id) == sorted(clip.id for clip in CLIPS)
        assert [problem for problem in directory.verify(dataset) if problem] == []


def test_stacks_are_the_windows(exported: tuple[Path, dict[str, float]]) -> None:
    paths = sorted(str(path) for path in (exported[0] / "stacks").iterdir())
    example = tf.train.Example.FromString(next(tf.data.TFRecordDataset(paths[0]).as_numpy_iterator()))
    values = np.array(example.features.feature["windows"].float_list.value, np.float32).reshape(-1, 112, 112, 5)
    np.testing.assert_array_equal(np.round(255 * values[3, ..., 4]).astype(int), CLIPS[5].frames[7])


def test_the_consumer_counts_what_it_takes() -> None:
    taken = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in itertools.count():
            taken.append(number)
            yield np.ones([3, 9, 112, 112], np.uint8), np.array([5, 4, 3])

    figures = consumer.consume(batches(), 0.3)
    assert figures["items"] % 3 == 0
    assert 3 <= figures["items"] < 3 * len(taken)  # without those of the warm-up
    assert figures["windows_rate"] == pytest.approx(figures["items"] * 4 / figures["seconds"])
    assert figures["delivered_mb"] == pytest.approx(9 * 112 * 112 / 1e6)
    assert figures["seconds"] >= 0.3


def test_the_processor_time_of_workers_is_counted() -> None:
    code = (
        "import subprocess, sys, time, json\nsys.path.insert(0, 'scripts/benchmarks/baselines')\nimport consumer\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\ntime.sleep(0.2)\n"
        "before = consumer._cpu_s()\n"
        "time.sleep(1.5)\n"
        "print(json.dumps({'items': 1, 'seconds': 1, 'busy': consumer._cpu_s() - before}))"
    )
    assert measure.measure(Candidate("A", (sys.executable, "-c", code), {})).figures["busy"] > 0.1


def figures(output: Path) -> list[dict]:
    return json.loads(output.read_text())["measured"]


@pytest.mark.slow
def test_the_ways_in_tensorflow_from_end_to_end(
    tmp_path: Path, tiny: Callable[[str], DatasetDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "BASELINES", tmp_path / "no baselines")
    ours = ("lipflow", "lipflow, windows", "lipflow, jpeg, words")
    monkeypatch.setattr(read, "OURS", {name: read.OURS[name] for name in ours})
    measured = read.run(tiny("raw"), clips=9, seed=1, workers=1, rounds=1, batches=[4], seconds=0.05)
    rows = {one.candidate.removesuffix(", batch 4"): one.figures for one in measured}
    assert list(rows) == [*ours, "DMVR, jpeg", "tutorials, float windows"]
    for name, one in rows.items():
        assert one["items"] % 4 == 0
        assert one["cpu_ms"] > 0
        assert one["stored_mb"] > 0
        assert one["batch"] == 4
        windows = one["windows_rate"] * one["seconds"] / one["items"]
        assert 1 <= windows <= 12, name
    assert rows["lipflow, jpeg, words"]["stored_mb"] < rows["lipflow"]["stored_mb"] / 5
    # of 10 to 16 frames: windows are 3 to 3.8 times as large, floats 4 times that; which clips were read, time decides
    assert rows["lipflow, windows"]["delivered_mb"] > 1.5 * rows["lipflow"]["delivered_mb"]
    assert rows["tutorials, float windows"]["delivered_mb"] > 2 * rows["lipflow, windows"]["delivered_mb"]


@pytest.mark.slow
def test_a_dataset_in_a_store_from_end_to_end(store: Store, tiny: Callable[[str], DatasetDir]) -> None:
    opened = directory.open_dataset(store.put_tree(tiny("raw").root, "benchmark"))
    measured = read_store.run(opened, batches=[4], rounds=1, seconds=0.05)
    rows = {one.candidate.removesuffix(", batch 4"): one.figures for one in measured}
    assert list(rows) == [*read_store.OURS, *read_store.BASELINES]
    assert all(one["items"] % 4 == 0 for one in rows.values())
    assert rows["lipflow"]["delivered_mb"] == pytest.approx(rows["s3fs.cat_ranges"]["delivered_mb"], rel=0.2)
    assert rows["lipflow, words"]["delivered_mb"] < rows["lipflow"]["delivered_mb"]


def test_s3fs_reads_the_same_spans(store: Store, tiny: Callable[[str], DatasetDir]) -> None:
    opened = directory.open_dataset(store.put_tree(tiny("raw").root, "spans"))
    spans = read_store._spans(opened, "sentence", 4)
    config = DataConfig(Vocabulary.of_characters(opened.manifest["vocabulary"]["characters"]), "sentence")
    batches = dataset.load(opened, "train", config, PlanConfig(4), epochs=2).as_numpy_iterator()
    for planned, batch in zip(spans, batches, strict=False):
        assert planned["frames"] == batch["frames"].shape[1]
        for path, start, end, frames in zip(
            planned["paths"], planned["starts"], planned["ends"], batch["frames"], strict=True
        ):
            pixels = store.get(path.partition("/")[2])[start:end]
            assert frames.tobytes()[: len(pixels)] == pixels
            assert not any(frames.tobytes()[len(pixels) :])


def test_a_store_of_other_frames_is_refused(store: Store, tiny: Callable[[str], DatasetDir]) -> None:
    opened = directory.open_dataset(store.put_tree(tiny("jpeg").root, "jpegs"))
    with pytest.raises(DataError, match="s3://lip/jpegs: holds jpeg frames; s3fs is compared on raw ones"):
        read_store.run(opened, batches=[4], rounds=1, seconds=1)


@pytest.mark.skipif("LIPFLOW_BASELINES" not in os.environ, reason="needs `make baselines`; set LIPFLOW_BASELINES=1")
def test_baselines_deliver_the_same_bytes_a_clip(exported: tuple[Path, dict[str, float]]) -> None:
    forms = exported[0]
    usual = {"batch": 6, "workers": 0, "seconds": 0.05}
    for baseline in measure.baselines(read.BASELINES, usual):
        for variant in read._widths(baseline, forms / read.FORMS[baseline.name], workers=1):
            one = measure.measure(variant).figures
            each = 112 * 112 * (17 if variant.argument["layout"] == "frames" else 13 * 5)
            assert one["items"] % 6 == 0
            assert one["delivered_mb"] == pytest.approx(each / 1e6)


def test_mistakes_are_named(tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(DataError, match="--batches: 32 are more than the 9 clips"):
        read.run(tiny("raw"), clips=9, seed=0, workers=1, rounds=1, batches=[8, 32], seconds=1)
    data = f"--data={tiny('raw').root}"
    commands.mistakes(
        (["benchmark", "read"], ["--data"]),
        (["benchmark", "read", data, "--batches=8,x"], ["--batches", "'x'"]),
    )
