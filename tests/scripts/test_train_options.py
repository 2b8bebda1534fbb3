"""What options of training do at the command, on tiny shards."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipeline.loading.config import DataConfig
from pipeline.records import directory
from pipeline.vocab import Vocabulary
from scripts.programs import train
from tests import datasets
from tests.scripts import commands

SMALL = ["--unit=word", "--width=0.0625", "--lstm_units=4", "--nobidirectional", "--batch_size=4"]
MEDDLING = """
import os
from model import train
from scripts.common import experiment
batches = experiment.batches

def meddled(data, *stream, **reading):
    train.INPUT_BOUND = 0.0 if data.root.name == "slow" else 1.0
    for number, batch in enumerate(batches(data, *stream, **reading)):
        if number == 3 and data.root.name == "vanishing":
            os.truncate(data.shards[0], 20_000)
        yield batch

experiment.batches = meddled
"""

NOTING = """
from scripts.common import experiment
read = experiment._read

def noted(ds, data, split, *stream):
    for batch in read(ds, data, split, *stream):
        print("read", split, *(name.decode() for name in batch["ids"].numpy()))
        yield batch

experiment._read = noted
"""


def _write(root: Path, val: list[list[datasets.Clip]]) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(4)]
    datasets.write_dataset(root, {"train": [clips], "val": val})


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run on each dataset prints, `run.json` of the one that starts from another, and where all of it lies."""
    root = tmp_path_factory.mktemp("options")
    _write(root / "slow", [[datasets.clip("s1/v", 10)]])
    _write(root / "damaged", [])
    _write(root / "vanishing", [[datasets.clip("s1/v", 10, words=())]])
    data = directory.open_dataset(root / "damaged")
    datasets.flip(data.shards[0], int(data.index.offset[0]) + 500)
    shutil.copytree(root / "slow", root / "tuned")
    command = lambda name, *more: [f"--data={root / name}", f"--output={root / 'runs' / name}", *SMALL, *more]  # noqa: E731
    cases = {
        "slow": command("slow", "--epochs=9", "--patience=1", "--monitor=wer"),
        "damaged": command("damaged", "--epochs=1", "--on_bad_record=skip"),
        "vanishing": command("vanishing", "--epochs=99"),
        "tuned": command("tuned", "--epochs=1", f"--init_from={root / 'runs' / 'damaged'}"),
        "again": command(
            "tuned", "--epochs=1", f"--init_from={os.path.relpath(root / 'runs' / 'damaged', commands.ROOT)}"
        ),
    }
    ends = commands.in_turn("train", *cases.values(), before=MEDDLING)
    assert [name for name, (end, _) in zip(cases, ends, strict=True) if end is not None] == ["vanishing"]
    saved = (root / "runs" / "tuned" / "run.json").read_text()
    said = {name: f"{printed}{end or ''}" for name, (end, printed) in zip(cases, ends, strict=True)}
    return said | {"run.json": saved, "root": str(root)}


def test_patience_ends_training_early(printed: dict[str, str]) -> None:
    """Of three examples that validate at most four error rates come one after the other, each smaller."""
    assert "stopped early: no better validation for --patience epochs; " in printed["slow"]
    assert re.search(r" of 27 steps; best validation: wer \d+.\d% \(epoch \d\); run: ", printed["slow"])


def test_a_wait_for_data_is_told_with_what_helps(printed: dict[str, str]) -> None:
    assert "% of the time: reading is the limit; frames are stored raw already; augmentation" in printed["slow"]
    assert "% of the time\n" in printed["damaged"]


def test_damaged_records_are_skipped_and_counted(printed: dict[str, str]) -> None:
    assert "skipped: 1 damaged record, named above" in printed["damaged"]
    assert "finished; 3 of 3 steps" in printed["damaged"]


def test_a_shard_that_is_cut_while_it_is_read_is_named(printed: dict[str, str]) -> None:
    shard = "vanishing/tiny-train.tfrecord-00000-of-00001"
    assert shard in printed["vanishing"].rpartition("error: ")[2]
    assert "restore the shard" in printed["vanishing"].rpartition("error: ")[2]


def test_a_val_split_of_no_use_is_named_and_training_goes_on(printed: dict[str, str]) -> None:
    assert "split 'val' is empty" in printed["damaged"].partition("no validation: ")[2].splitlines()[0]
    assert "no word times in split 'val'" in printed["vanishing"].partition("no validation: ")[2].splitlines()[0]
    assert all(" to train on, 0 clips to validate with\n" in printed[name] for name in ("damaged", "vanishing"))
    assert "; no validation; run: " in printed["damaged"]
    assert ": 12 words of 4 clips to train on, 3 words of 1 clip to validate with\n" in printed["slow"]


def test_clips_that_a_word_run_leaves_out_are_counted(tmp_path: Path) -> None:
    clips = [datasets.clip("s1/a", 10), datasets.clip("s1/b", 10), datasets.clip("s1/c", 10, words=())]
    data = datasets.write_dataset(tmp_path, {"train": [clips]})
    words = DataConfig(Vocabulary.of_words(("at", "bin", "now")), unit="word")
    assert train._amount(data, "train", words) == "6 words of 2 clips (of 3; 1 without word times)"
    sentences = DataConfig(Vocabulary.of_characters())
    assert train._amount(data, "train", sentences) == "3 sentences"


def test_a_run_starts_from_the_last_weights_and_goes_on_however_the_source_is_typed(printed: dict[str, str]) -> None:
    assert re.search(r"damaged: its CNN \(.*\), LSTM \(.*\) and head \(3 labels\)\n", printed["tuned"])
    told = r"already finished; 3 of 3 steps; best validation: loss \d\.\d{3} \(before this call\)"
    assert re.search(told, printed["again"])
    assert json.loads(printed["run.json"])["init_from"] == "../damaged"


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_from_the_same_weights(
    printed: dict[str, str],
) -> None:
    root, run = Path(printed["root"]), Path(printed["root"]) / "runs" / "killed"
    run.mkdir()
    (run / "run.json").write_text(printed["run.json"])  # all that it has written
    (again,) = commands.run(["train", f"--data={root / 'tuned'}", f"--output={run}", *SMALL, "--epochs=1"])
    assert f"starts from {root / 'runs' / 'damaged'}: its CNN " in again


def test_a_run_goes_on_with_its_own_data_seed_and_batches_alone(printed: dict[str, str]) -> None:
    root = Path(printed["root"])
    _write(root / "other", [[datasets.clip("s1/v", 11)]])
    same = [f"--data={root / 'slow'}", f"--output={root / 'runs' / 'slow'}", *SMALL, "--epochs=9", "--patience=1"]
    commands.mistakes_in_turn(
        "train",
        ([*same, "--seed=1"], ["run.json: other settings: order.seed was 0, is 1"]),
        ([*same, "--batch_size=2"], ["order.batch_size was 4, is 2"]),
        ([f"--data={root / 'other'}", *same[1:]], ["run.json: other settings: manifest_sha256 was "]),
    )


def test_where_trains_on_the_clips_of_a_value_alone_and_evaluates_them_alone(tmp_path: Path) -> None:
    """Only what training reads is chosen; validation keeps all."""
    rooms = ["hall, big", "studio", "hall, big", "studio", "", "studio"]
    clips = [
        dataclasses.replace(datasets.clip(f"s1/c{n}", 10), columns=(("room", room), ("take", str(n // 2))))
        for n, room in enumerate(rooms)
    ]
    datasets.write_dataset(tmp_path / "data", {"train": [clips[:4]], "val": [clips[4:]]})
    data, run = f"--data={tmp_path / 'data'}", tmp_path / "run"
    command = [
        data,
        f"--output={run}",
        *SMALL,
        "--batch_size=3",
        "--epochs=1",
        "--where=room=hall, big",
        "--where=take=1",
    ]
    (end, printed), (again, said), (other, _) = commands.in_turn("train", command, command, command[:-1], before=NOTING)
    assert (end, again) == (None, None)
    read = [line.split()[1:] for line in printed.splitlines() if line.startswith("read ")]
    trained = {name for split, *names in read for name in names if split == "train"}
    validated = {name for split, *names in read for name in names if split == "val"}
    assert trained == {"s1/c2#0", "s1/c2#1", "s1/c2#2"}
    assert validated - {""} == {f"s1/c{n}#{word}" for n in (4, 5) for word in range(3)}
    assert "already finished; 1 of 1 steps" in said
    assert "run.json: other settings: data.where was ['room=hall, big', 'take=1'], is ['room=hall, big']" in other
    score = [f"--run={run}", data, "--split=val", f"--output={tmp_path / 'score'}"]
    ((scored, figures), (unknown, _), (wrong, _)) = commands.in_turn(
        "evaluate", [*score, "--where=room=studio"], [*score, "--where=room=attic"], [*score, "--where=room"]
    )
    assert scored is None
    assert re.search(r"^examples +3 of split val$", figures, re.MULTILINE)
    report = json.loads((tmp_path / "score" / "report.json").read_text())
    assert [row["id"] for row in report["predictions"]] == ["s1/c5#0", "s1/c5#1", "s1/c5#2"]
    assert report["where"] == ["room=studio"]
    assert "where: no clip has room='attic'; choose of '', 'hall, big', 'studio'" in unknown
    assert wrong == "error: --where: want name=value, got 'room' (see --help)"


def test_flags_of_no_effect_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "data", [])
    command = [f"--data={tmp_path / 'data'}", f"--output={tmp_path / 'run'}"]
    commands.mistakes_in_turn(
        "train",
        ([*command, "--label_smoothing=0.1"], ["--label_smoothing=0.1: ", "--unit=word"]),
        ([*command, "--word_margin=5"], ["--word_margin=5: needs --unit=word"]),
        ([*command, "--unit=word", "--splice=0.5"], ["--splice=0.5: needs --unit=sentence; leave it out"]),
        ([*command, "--on_long_example=truncate"], ["--on_long_example=truncate: needs --max_frames"]),
        ([*command, "--masks=2"], ["--masks: goes with mask_frames"]),
        ([*command, "--batch_size=4", "--patience=2"], ["--patience=2: ", "split 'val'"]),
        ([*command, "--where=room"], ["--where: want name=value, got 'room'"]),
        (
            [*command, "--where=room=a"],
            ["no clip has a column 'room'; it has none; convert its table"],
        ),
        ([*command, "--where=speaker=s1"], ["no clip has a column 'speaker'", "--speakers of scripts.train"]),
        ([*command, "--precision=half"], ["--precision: want one of float32, mixed_bfloat16, mixed_float16", "'half'"]),
        *(
            ([*command, "--batch_size=4", f"--profile_steps={given}"], [f"--profile_steps={given}: want the first"])
            for given in ("10", "20,10", "a,b")
        ),
        (
            [*command, "--batch_size=4", "--epochs=2", "--profile_steps=100,110"],
            ["--profile_steps=100,110: training ends after 2 steps; name earlier ones"],
        ),
        ([*command, "--data=a,b"], ["--data=a,b: no such directory; ", "--data=a --data=b"]),
    )
    assert not (tmp_path / "run").exists()
