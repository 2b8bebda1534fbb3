"""From a rendered corpus to a read video, through the commands, with the real decoder and the real detector."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.synthetic import corpus
from tests.scripts import commands, events

SMALL = ["--width=0.0625", "--lstm_units=8", "--batch_size=2", "--epochs=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`corpus`, `data`, and the runs `words` and `sentences` made from it."""
    root = tmp_path_factory.mktemp("path")
    config = corpus.SyntheticConfig(clips=6, speakers=2, word_seconds=0.2)
    assert len(list(corpus.render(root / "corpus", config))) == 6
    convert = ["convert", "--corpus=grid", f"--source={root / 'corpus'}", f"--output={root / 'data'}", "--test=2"]
    commands.run(convert)
    common = [f"--data={root / 'data'}", *SMALL]
    commands.run(
        ["train", *common, f"--output={root / 'words'}", "--unit=word"],
        ["train", *common, f"--output={root / 'sentences'}"],
    )
    return root


def test_a_run_keeps_what_its_input_has_to_look_like(place: Path) -> None:
    saved = json.loads((place / "words" / "run.json").read_text())
    conversion = json.loads((place / "data" / "manifest.json").read_text())["conversion"]
    assert saved["input"] == {"crop": conversion["crop"], "fps": 25.0}
    assert (saved["data"]["unit"], saved["model"]["head"], saved["data"]["vocabulary"]["unit"]) == (
        "word",
        "word",
        "word",
    )


def test_every_example_is_scored_and_any_video_is_read(place: Path) -> None:
    data, video = f"--data={place / 'data'}", str(next((place / "corpus" / "s1").glob("*.mp4")))
    alone = commands.start("transcribe", f"--run={place / 'sentences'}", video)
    (text,) = commands.run(["transcribe", f"--run={place / 'sentences'}", video])
    ends = commands.in_turn(
        "evaluate",
        [f"--run={place / 'words'}", data],
        [f"--run={place / 'sentences'}", data, "--weights=last", "--batch_size=3"],
    )
    (end, words), (other_end, sentences) = ends
    assert (end, other_end, alone.communicate()[0]) == (None, None, text)
    assert "12 of split test" in words
    assert "chance" in words
    assert "2 of split test" in sentences
    report = json.loads((place / "words" / "evaluation-data-test" / "report.json").read_text())
    assert len(report["predictions"]) == 12
    assert text.startswith(f"{video}: ")


def test_tensorboard_shows_confusions_and_lips_beside_the_curves(place: Path) -> None:
    for run in ("words", "sentences"):
        found = events.written(place / run / "tensorboard" / "val")
        assert {"metrics/wer", "confusion", "lips"} <= found.keys()
        assert list((place / run / "tensorboard").glob("events*"))  # of HParams, above the curves
        ((step, matrix),), ((same_step, lips),) = found["confusion"], found["lips"]
        assert step == same_step == found["metrics/wer"][0][0] > 0
        assert (matrix.dtype, matrix.shape[2]) == (np.uint8, 3)
        assert matrix[0, 0].tolist() == [255, 255, 255]
        count = 6 if run == "words" else 1  # of the one clip that validates
        assert lips.shape == (count * (3 * 16 + 84 + 16), 15 * 84, 3)


@pytest.mark.slow
def test_training_goes_on_and_starts_from_another_run(place: Path) -> None:
    same = [f"--data={place / 'data'}", *SMALL, f"--output={place / 'sentences'}"]
    tuned = [f"--data={place / 'data'}", *SMALL, f"--output={place / 'tuned'}", f"--init_from={place / 'sentences'}"]
    named = [f"--data={place / 'data'}", *SMALL, f"--output={place / 'named'}", f"--init_from={place / 'words'}"]
    read = ["--decoder=beam", "--lexicon=grid", f"--data={place / 'data'}"]
    resumed, alike, other = commands.run(["train", *same], ["train", *tuned], ["train", *named, "--labels=words"])
    (score,) = commands.run(["evaluate", f"--run={place / 'named'}", *read])
    assert "already finished; 1 of 1 steps; best validation: " in resumed
    assert f"starts from {place / 'sentences'}: its CNN (" in alike
    assert f"starts from {place / 'words'}: its CNN (" in other
    assert " and head (" in alike
    assert " and head (" in other
    assert json.loads((place / "named" / "run.json").read_text())["data"]["vocabulary"]["unit"] == "word"
    assert "2 of split test" in score


@pytest.mark.slow
def test_training_with_every_option_goes_on_and_refuses_others(place: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(place / "data")
    data = [f"--data={place / 'data'}", f"--data={tmp_path / 'copy'}", "--mix=1,3"]
    reading = [
        "--batch_size=2",
        "--max_windows_per_batch=400",
        "--pad_to_multiple=8",
        "--max_frames=150",
        "--remainder=pad",
    ]
    varied = ["--shift=4", "--flip=0.5", "--brightness=20", "--contrast=0.2", "--mask_frames=5", "--speed=0.1"]
    command = ["train", *data, *SMALL, *reading, *varied, f"--output={tmp_path / 'run'}"]
    (printed,) = commands.run(command)
    assert "finished;" in printed
    assert f"mix: an epoch is 25.0% {place / 'data'}, 75.0% {tmp_path / 'copy'}\n" in printed
    saved = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (saved["order"]["mix"], saved["augment"]["shift"], saved["data"]["max_frames"]) == ([1.0, 3.0], 4, 150)
    commands.mistakes(
        (
            [*command, "--flip=0.1", "--speakers=s1"],
            ["augment.flip was 0.5, is 0.1; data.speakers was [], is ['s1']"],
        ),
        ([*command, "--mix=1"], ["mix: want a share for each of 2 datasets, got [1.0]"]),
        ([*command, f"--data={place / 'data'},{tmp_path / 'copy'}"], ["repeat the flag for several: --data="]),
        ([*command, "--speakers=s9"], ["speakers: no clip has 's9'; choose of s1, s2"]),
        ([*command, "--max_frames=4"], ["--max_frames: want at least 5"]),
    )


@pytest.mark.slow
def test_mistakes_are_one_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "untrained").mkdir()
    (tmp_path / "untrained" / "run.json").write_bytes((place / "words" / "run.json").read_bytes())
    run, data = f"--run={place / 'words'}", f"--data={place / 'data'}"
    commands.mistakes(
        (["train", f"--data={empty}", f"--output={tmp_path / 'run'}"], [empty, "manifest.json", "scripts.convert"]),
        (["train", data, f"--output={tmp_path / 'run'}", "--dropout=2"], ["--dropout", "0 <= dropout < 1", "2.0"]),
        (
            ["train", data, f"--output={place / 'words'}", *SMALL, "--unit=sentence"],
            ["run.json: other settings: unit was word, is sentence; give the old ones"],
        ),
        (["train", data, f"--output={tmp_path / 'run'}", "--batch_size=50"], ["batch_size: want at most 3, got 50"]),
        (["evaluate", f"--run={empty}", data], [empty, "run.json"]),
        (["evaluate", f"--run={tmp_path / 'untrained'}", data], ["untrained", "no checkpoint"]),
        (["evaluate", run, data, "--split=dev"], ["no split 'dev'", "train, val, test"]),
        (["transcribe", run], ["video files"]),
        (["train", data, f"--output={tmp_path / 'run'}", "--seed=-1"], ["--seed", "0 or more", "-1"]),
        (["train", data, f"--output={tmp_path / 'run'}", f"--init_from={empty}", *SMALL], [empty, "run.json"]),
        (["train", data, f"--output={tmp_path / 'text.mp4'}", *SMALL], ["text.mp4", "is a file"]),
        (["train", data, f"--output={place / 'data'}", *SMALL], ["data: holds something else than a run"]),
        (["train", data, f"--output={tmp_path / 'run'}", "--unit=word", "--labels=characters"], ["--unit=sentence"]),
        (["train", data], ["missing: --output", "--help"]),
    )
    assert not (tmp_path / "run").exists()


def test_a_video_that_cannot_be_read_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    command = ["transcribe", f"--run={place / 'words'}", str(tmp_path / "text.mp4")]
    commands.mistakes((command, ["1 of 1 videos", "text.mp4: unreadable"]))
