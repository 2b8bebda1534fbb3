import json
import re
from pathlib import Path

from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory
from tests.scripts import commands


def test_a_corpus_becomes_a_dataset(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    place = ["--corpus=grid", f"--source={corpus}", f"--output={output}", "--name=tiny", "--workers=4"]
    frames = ["--crop=box", "--box=0.25,0.25,0.75,0.75", "--encoding=png"]
    (printed,) = commands.run(["convert", *place, *frames, "--split_by=corpus", "--val=1", "--seed=3"])
    opened = directory.open_dataset(output)
    conversion = opened.manifest["conversion"]
    assert (conversion["name"], conversion["seed"], conversion["encoding"]["name"]) == ("tiny", 3, "png")
    assert conversion["crop"]["box"] == [0.25, 0.25, 0.75, 0.75]
    counts = {split: len(opened.records(split)) for split in opened.splits}
    assert counts == {"train": 2, "val": 1, "test": 5}  # speakers s1 and s2 are GRID's test speakers
    assert "8 clips converted, 0 rejected" in printed
    said = dict(re.split(" {2,}", line.strip(), maxsplit=1) for line in printed.splitlines()[1:-2])
    assert said["records"] == "8 in 3 shards"
    assert said["test"] == "5 records, 2 speakers"
    assert "1 of train, drawn by clip, seed 3" in said["split"]
    assert said["speakers"] == "s1 3, s3 3, s2 2"
    assert re.fullmatch(r"\d\d:\d\d: reading \d+%, cropping \d+%, writing \d+%", said["time"])
    assert printed.splitlines()[-2:] == [
        "speakers in two splits: 1, such as s3; --split_by=speaker keeps each in one",
        f"dataset: {output}",
    ]
    (run,) = json.loads((output / CONVERSION).read_text())["runs"]
    assert (run["ended"], run["clips"]) == ("finished", {"resumed": 0, "converted": 8, "rejected": 0})
    assert {key: run["flags"].pop(key) for key in ("corpus", "source", "output", "workers", "split")} == {
        "corpus": "grid",
        "source": str(corpus),
        "output": str(output),
        "workers": 4,
        "split": {"by": "corpus", "val": "1", "test": "10%", "seed": 3, "allow_shared_speakers": False},
    }
    settings = {key: value for key, value in conversion.items() if key not in ("version", "clips", "clips_sha256")}
    assert run["flags"] == {"clip_timeout_s": 120.0, "max_reject_fraction": 0.05, **settings}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    flags = ["--corpus=grid", f"--source={corpus}", f"--output={output}", "--crop=resize", "--val=3", "--test=0"]
    (printed,) = commands.run(["convert", *flags, "--clips_per_shard=2", "--dry_run"])
    *table, speakers = printed.splitlines()
    said = dict(re.split(" {2,}", line.strip(), maxsplit=1) for line in table)
    assert said["clips"] == "8, 3 speakers"
    assert said["split"] == "drawn by clip: val 3, test 0, seed 0"
    assert speakers.startswith("speakers in two splits: 2, such as s")
    assert said["train"] == "5 clips, 3 speakers, 3 shards: grid-train.tfrecord-00000-of-00003 and so on"
    assert said["output"] == f"{output}: not started"
    assert said["crop"].startswith("mode resize")
    assert not output.exists()


def test_no_clip_to_train_on_is_said_where_it_was_not_asked_for(corpus: Path, tmp_path: Path) -> None:
    dry = ["--corpus=grid", f"--source={corpus}", f"--output={tmp_path / 'out'}", "--crop=resize", "--dry_run"]
    cases = (["--val=4", "--test=4"], ["--val=0", "--test=100%"])
    (_, drawn), (_, scored) = commands.in_turn("convert", *([*dry, *shares] for shares in cases))
    assert "no clip to train on: all are in val and test; lower --val and --test" in drawn
    assert "no clip to train on" not in scored


def test_mistakes_are_one_line(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    given = {"corpus": "grid", "source": corpus, "output": tmp_path / "out"}

    def converting(*more: str, **changed: object) -> list[str]:
        return [*(f"--{name}={value}" for name, value in {**given, **changed}.items()), *more]

    commands.mistakes_in_turn(
        "convert",
        (converting(source=tmp_path / "none"), [tmp_path / "none", "no such directory", "--source"]),
        (converting(source=tmp_path / "empty"), [tmp_path / "empty", "no GRID speaker"]),
        (converting(output=tmp_path / "full"), [tmp_path / "full", "--output"]),
        (converting("--crop=resize", "--smoothing=9"), ["--smoothing: ", "--crop=face", "--crop is resize"]),
        (converting("--max_reject_fraction=nan"), ["--max_reject_fraction: want a number, got nan"]),
        (converting("--quality=92"), ["--quality: ", "--encoding=jpeg", "--encoding is raw"]),
        (converting("--quality=80", "--encoding=png"), ["--quality: ", "--encoding is png"]),
        (converting("--quality=101", "--encoding=jpeg"), ["--quality: want 1 to 100, got 101"]),
        (converting("--max_frames=3"), ["--max_frames: want at least 5, got 3"]),
        (converting("--split_by=corpus", "--test=5"), ["--test: ", "published split", "--split_by=clip"]),
        (converting("--speed=9"), ["speed"]),
        (converting("more"), ["'more'"]),
    )
    assert not (tmp_path / "out").exists()
