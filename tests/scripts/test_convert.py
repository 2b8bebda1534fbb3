import csv
import json
import re
from pathlib import Path

import pytest

from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory
from tests import datasets
from tests.scripts import commands

TABLE = """video,text,split,start,end
0.mp4,"Well, hello!",train,,
1.mp4,grüß,train,,
2.mp4,…,train,,
3.mp4,ça va?,val,,
4.mp4,hey,test,500,2250
5.mp4,we,val,,
gone.mp4,hey,test,,
"""


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A table of six videos of 30 frames and one that is missing; one line of it in milliseconds."""
    for number in range(6):
        datasets.write_video(tmp_path / f"talks/{number}.mp4", datasets.pixels(30, seed=number, side=64))
    (tmp_path / "talks/clips.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "talks"


MISSING = "missing videos (1 of 7), whose clips will be rejected: gone.mp4"
TIMES = (
    "times that cannot be (1 of 7 clips): 4.mp4@500.0-2250.0: the span 500 to 2250 s begins after the end of the "
    "video, 1.2 s; times are seconds; 6 videos say where they end; these clips will be rejected"
)


def test_what_cannot_be_converted_is_said_before_and_without_a_conversion(talks: Path, tmp_path: Path) -> None:
    place = ["--corpus=folder", f"--source={talks}", "--crop=resize", "--max_reject_fraction=1", "--workers=1"]
    begun, planned = commands.run(
        ["convert", *place, f"--output={tmp_path / 'out'}"],
        ["convert", *place, f"--output={tmp_path / 'no'}", "--dry_run"],
    )
    foreign = (
        "characters outside the alphabet: '!' in 1 clip, ',' in 1, '?' in 1, 'ß' in 1, 'ç' in 1, 'ü' in 1, '…' in 1; "
        "these 4 clips will be rejected; --alphabet=from_data takes those of training clips, --text=spoken drops "
        "punctuation and symbols, --unknown=unk replaces them"
    )
    assert begun.splitlines()[:3] == planned.splitlines()[:3] == [MISSING, TIMES, foreign]
    with (tmp_path / "out/rejected.csv").open(newline="", encoding="utf-8") as file:
        rejects = {row["source"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}
    assert {name: reason for name, (reason, _) in rejects.items()} == {
        **dict.fromkeys(("0.mp4", "1.mp4", "2.mp4", "3.mp4"), "bad_character"),
        "4.mp4": "truncated",
        "gone.mp4": "unreadable",
    }
    assert rejects["0.mp4"][1].startswith("'!', ',' in 'well, hello!' are not in the alphabet")
    assert rejects["4.mp4"][1] == (
        "ends at 1.200 s by its container, the span is 500 to 2250 s and begins behind that; correct its times, which "
        "are seconds, or replace a video that was cut off"
    )


def test_the_alphabet_of_the_data_and_what_is_spoken(talks: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    place = ["--corpus=folder", f"--source={talks}", f"--output={output}", "--crop=resize", "--max_reject_fraction=1"]
    rules = ["--text=spoken", "--alphabet=from_data"]
    (printed,) = commands.run(["convert", *place, *rules, "--workers=1"])
    assert printed.splitlines()[:5] == [
        "alphabet of the training clips: 10 characters, ' eghlorwßü'",
        MISSING,
        "transcripts that cannot be used (1 of 7 clips): 2.mp4: of the transcript '…' nothing is left (--text=spoken); "
        "these clips will be rejected",
        TIMES,
        "characters outside the alphabet: 'y' in 2 clips, 'a' in 1, 'v' in 1, 'ç' in 1; these 3 clips will be "
        "rejected; --unknown=unk replaces them",
    ]
    said = dict(re.split(" {2,}", line, maxsplit=1) for line in printed.splitlines() if "  " in line)
    assert said["text changed"] == "2 of 7 transcripts (--text=spoken); dropped ! 1  , 1  ? 1"
    opened = directory.open_dataset(output)
    assert sorted(opened.index.text) == ["grüß", "we", "well hello"]
    conversion = opened.manifest["conversion"]
    assert (conversion["text"], conversion["alphabet"]) == ("spoken", " eghlorwßü")
    assert opened.manifest["vocabulary"]["characters"] == " eghlorwßü"
    again, other, finalized = commands.in_turn(
        "convert",
        [*place, *rules],
        [*place, "--text=spoken", "--alphabet= eghlorwßüy"],
        [*place, *rules, "--tasks=1", "--finalize"],
    )
    assert again[0] == finalized[0] is None
    assert "alphabet was" in str(other[0])
    assert "text changed" in finalized[1]
    assert "missing videos" not in finalized[1]


def test_an_alphabet_of_data_without_training_clips_is_refused(talks: Path, tmp_path: Path) -> None:
    table = TABLE.replace("train", "test")
    (talks / "clips.csv").write_text(table, encoding="utf-8")
    place = ["--corpus=folder", f"--source={talks}", f"--output={tmp_path / 'out'}", "--alphabet=from_data"]
    commands.mistakes_in_turn("convert", (place, ["--alphabet=from_data: no training clip has a transcript", "--val"]))
    assert not (tmp_path / "out").exists()


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
        (converting("--split_by=corpus", "--test=5"), ["--test: ", "the split of the corpus", "--split_by=clip"]),
        (converting("--speed=9"), ["speed"]),
        (converting("more"), ["'more'"]),
    )
    assert not (tmp_path / "out").exists()
