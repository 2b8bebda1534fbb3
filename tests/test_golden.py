"""Datasets and runs of an older version open, resume and score the same."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.records import directory
from pipeline.schema import DataError
from tests import datasets
from tests.datasets import GOLDEN
from tests.scripts import commands

CLIPS = ("s1/bbaf2n", "s1/bbaf3s", "s1/bbaf4p", "s2/lgbm2n", "s2/lgbm3s", "s3/pwix6n", "s3/pwix7s")
BROKEN = "s3/swwz1a"
CONVERSION = (
    *("--corpus=grid", "--name=golden", "--crop=resize", "--val=2", "--test=0"),
    *("--clips_per_shard=3", "--workers=2", "--max_reject_fraction=0.2"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos and alignments that the golden files were made from."""
    root = tmp_path_factory.mktemp("corpus")
    for number, name in enumerate(CLIPS):
        datasets.write_grid_clip(root, name, 15 + number % 4)
    (root / f"{BROKEN}.mp4").write_bytes(b"not a video")
    datasets.write_alignment(root / "alignments" / f"{BROKEN}.align")
    return root


def test_a_dataset_names_the_way_to_open_it() -> None:
    with pytest.raises(DataError, match=f"schema_version 2, .*: python -m scripts.records upgrade --data={GOLDEN}"):
        directory.open_dataset(GOLDEN / "dataset")


def test_an_upgraded_dataset_opens_and_verifies(golden_dataset: Path) -> None:
    dataset = directory.open_dataset(golden_dataset)
    assert sorted(dataset.index.id.tolist()) == sorted(CLIPS)
    assert [problem for problem in directory.verify(dataset) if problem] == []


@pytest.mark.parametrize("state", ["dataset", "begun"])
def test_a_conversion_resumes_to_what_an_upgrade_gives(
    state: str, corpus: Path, golden_dataset: Path, tmp_path: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    output = tmp_path / "output"
    shutil.copytree({"dataset": golden_dataset, "begun": GOLDEN / "begun"}[state], output)
    resumed = {"dataset": 8, "begun": 3}[state]
    (printed,) = commands.run(["convert", *CONVERSION, f"--source={corpus}", f"--output={output}"])
    assert f"{resumed} were finished" in printed
    want, got = digest(golden_dataset), digest(output)
    before = digest(GOLDEN / "dataset")
    shards = [name for name in want if "tfrecord" in name]
    assert len(shards) == 3
    assert {name: got[name] for name in (*shards, "index.npz")} == {name: want[name] for name in (*shards, "index.npz")}
    assert {name: got[name] for name in shards} == {name: before[name] for name in shards}
    with (output / "rejected.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["id"], row["reason"]) for row in csv.DictReader(file)] == [(BROKEN, "unreadable")]


@pytest.mark.parametrize("state", ["dataset", "begun"])
def test_a_conversion_of_changed_labels_is_refused(
    state: str, corpus: Path, golden_dataset: Path, tmp_path: Path
) -> None:
    changed, output = tmp_path / "corpus", tmp_path / "output"
    shutil.copytree(corpus, changed)
    shutil.copytree({"dataset": golden_dataset, "begun": GOLDEN / "begun"}[state], output)
    note = json.loads((GOLDEN / "begun/.progress/golden-train.tfrecord-00000-of-00002.json").read_text())
    clip = note["done"]["rows"][0]["id"]
    datasets.write_alignment(changed / "alignments" / f"{clip}.align", [("bin", 1, 4), ("at", 4, 9), ("now", 9, 10)])
    flags = [*CONVERSION, f"--source={changed}", f"--output={output}"]
    commands.mistakes((["convert", *flags], [output, clip, "words", "--output"]))


@pytest.mark.parametrize("state", ["dataset", "begun"])
@pytest.mark.parametrize("split", [["--val=1"], ["--val=3"], ["--val=1", "--split_by=speaker"]], ids=" ".join)
def test_a_conversion_of_another_split_is_refused(
    state: str, split: list[str], corpus: Path, golden_dataset: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    shutil.copytree({"dataset": golden_dataset, "begun": GOLDEN / "begun"}[state], output)
    flags = [*CONVERSION, *split, f"--source={corpus}", f"--output={output}"]
    commands.mistakes((["convert", *flags], [output, "golden-train.tfrecord-00000-of-00002", "clips", "--output"]))


def test_a_run_scores_the_same(golden_dataset: Path, tmp_path: Path) -> None:
    run, data = f"--run={GOLDEN / 'run'}", f"--data={golden_dataset}"
    commands.run(["evaluate", run, data, "--split=val", "--weights=last", f"--output={tmp_path}"])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["metrics"]["loss"] == pytest.approx(1.10173, abs=2e-4)
    assert [row["read"] for row in report["predictions"]] == ["bin", "bin", "bin", "at", "at", "at"]


def test_a_run_resumes(golden_dataset: Path, tmp_path: Path) -> None:
    """With its own settings, none of which is a default of today.

    An upgrade makes another dataset of it, which a run does not take for its own: here it is told to.
    """
    run = tmp_path / "run"
    shutil.copytree(GOLDEN / "run", run)
    old, new = (directory.fingerprint(directory.read_manifest(root)) for root in (GOLDEN / "dataset", golden_dataset))
    saved = (run / "run.json").read_text()
    assert old in saved
    (run / "run.json").write_text(saved.replace(old, new))
    (printed,) = commands.run(["train", f"--data={golden_dataset}", f"--output={run}"])
    assert "finished; 12 of 12 steps" in printed
    assert "epoch 4 of 4: loss " in printed
    assert "validation loss 1.102, wer " in printed


@pytest.mark.parametrize("version", ["2.16", "2.21"])
def test_a_model_that_any_tensorflow_exported_reads_the_same(version: str) -> None:
    graph = tf.saved_model.load(str(GOLDEN / f"tensorflow-{version}" / "exported")).signatures["serving_default"]
    frames = np.stack([datasets.pixels(12, seed) for seed in range(3)])
    read = graph(frames=tf.constant(frames), lengths=tf.constant([12, 9, 12]), in_word=tf.ones([3, 12], tf.uint8))
    assert read["text"].numpy().tolist() == [b"bin", b"at", b"at"]
    np.testing.assert_allclose(read["score"], [-0.79763, -0.86997, -0.95537], atol=2e-4)


def test_a_run_of_the_newest_tensorflow_scores_the_same(golden_dataset: Path, tmp_path: Path) -> None:
    run, data = f"--run={GOLDEN / 'tensorflow-2.21' / 'run'}", f"--data={golden_dataset}"
    commands.run(["evaluate", run, data, "--split=val", f"--output={tmp_path}"])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["metrics"]["loss"] == pytest.approx(0.99783, abs=2e-4)
    assert [row["read"] for row in report["predictions"]] == ["at", "at", "now", "at", "at", "now"]
