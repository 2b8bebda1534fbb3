"""Help and mistakes in flags are told before a command loads what it needs to do its work."""

import os
import subprocess
import sys

import pytest

from tests.scripts import commands

HEAVY = {"tensorflow", "tf_keras", "tensorflow_io", "tensorboard", "matplotlib"}
HEAVY |= {"distributed", "pandas", "pyarrow"}
PLACES = ["--corpus=grid", "--source=a", "--output=b"]
RUN = ["--data=a", "--output=b"]
REFUSED = {  # command -> arguments that it refuses, each list by flags alone, with what it says
    "convert": [
        ([], "missing: --corpus, "),
        ([*PLACES, "--crop=resize", "--max_gap=3"], "--max_gap: needs --crop=face"),
        ([*PLACES, "--clips_per_shard=0"], "--clips_per_shard: want at least 1, got 0"),
    ],
    "records": [
        (["list"], "want one of stats, verify"),
        (["preview", "--data=a", "--augment"], "--augment: no augmentation is given"),
        (["report", "--data=a", "--output=a.png"], "--output=a.png: not an HTML file"),
    ],
    "train": [
        ([*RUN, "--epochs=many"], "flag --epochs=many"),
        ([*RUN, "--unit=sentence", "--label_smoothing=0.1"], "--label_smoothing=0.1: needs --unit=word"),
        ([*RUN, "--strategy=mirrored", "--sequence=map_time"], "--sequence=map_time: normalises by parts of a batch"),
        ([*RUN, "--dropout=2"], "--dropout: want 0 <= dropout < 1, got 2.0"),
    ],
    "evaluate": [
        (["--run=a", "--data=b", "--beam_width=3", "--decoder=greedy"], "--beam_width=3: needs --decoder=beam"),
        (["--run=a", "--data=b", "--cache_gb=1"], "--cache_gb=1: needs --cache_dir"),
        (["--run=a", "--data=b", "--where=room"], "--where: want name=value, got 'room'"),
    ],
    "transcribe": [
        (["--run=a"], "give video files to read"),
        (["--run=a", "a.mp4", "--seconds=2"], "--seconds=2: is the length of a camera's recording"),
        (["--run=a", "a.mp4", "--beam_width=0", "--decoder=beam"], "--beam_width: want more than 0, got 0"),
    ],
    "export": [
        (["--run=a", "--output=b", "c"], "unexpected argument 'c'"),
        (["--run=a", "--output=s3://b/c"], "s3://b/c: only datasets and corpora may lie in a store"),
    ],
    "demo": [(["--clips=0"], "--clips: want 1 to")],
    "reproduce": [(["--source=a", "lrw"], "want one of grid-words, grid-sentences, got lrw")],
    "benchmark": [
        (["read"], "missing: --data"),
        (["layers", "--lengths=0"], "--lengths: want numbers of at least 1, got '0'"),
        (["sequence", "--table=D"], "--table: want one of A, B, C, got 'D'"),
    ],
}


def end(name: str, *arguments: str) -> tuple[int, str, str]:
    """The exit code of a command, and what it prints, in a process of its own that loads nothing heavy."""
    command = [sys.executable, "-X", "importtime", "-m", f"scripts.{name}", *arguments]
    heard = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}  # what the interpreter says of imports is not dropped
    ended = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True, env=heard)
    times, said = [], []
    for line in ended.stderr.splitlines():
        (times if line.startswith("import time:") else said).append(line)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in times}
    assert "absl" in loaded
    assert loaded & HEAVY == set()
    return ended.returncode, ended.stdout, "\n".join(said)


@pytest.mark.parametrize("name", REFUSED)
def test_help_loads_nothing_heavy(name: str) -> None:
    code, printed, said = end(name, "--help")
    assert (code, said) == (0, "")
    assert f"python -m scripts.{name}" in printed


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_in_flags_is_told_before_anything_heavy_loads(name: str) -> None:
    for arguments, message in [(["--colour=red"], "Unknown command line flag 'colour'"), *REFUSED[name]]:
        code, printed, said = end(name, *arguments)
        assert (code, printed) == (1, ""), said
        assert said.startswith(f"error: {message}"), said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "offered", "module", "done"),
    [
        ("transcribe", "FORMATS", "scripts.programs.transcribe", "FORMATS"),
        ("records", "records_flags.COMMANDS", "scripts.programs.records", "COMMANDS | program.DESCRIBE"),
        ("benchmark", "COMMANDS", "scripts.programs.benchmark", "COMMANDS"),
        ("reproduce", "RESULTS", "scripts.recipes.grid", "RESULTS"),
    ],
)
def test_what_a_command_offers_can_be_done(name: str, offered: str, module: str, done: str) -> None:
    commands.in_turn(name, before=f"import {module} as program\nassert {{*command.{offered}}} == {{*program.{done}}}")
