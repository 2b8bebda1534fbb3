"""A corpus that grows and is corrected, as a user converts it again."""

import json
from pathlib import Path

import pytest

from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory
from tests import videos
from tests.scripts import commands

HOW = ("--corpus=folder", "--crop=resize", "--test=0", "--val=0")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for name, begin in (("one", 0), ("two", 30), ("three", 60)):
        videos.write(root / f"{name}.mp4", videos.numbered(begin + 30)[begin:])
    (root / "clips.csv").write_text("video,text\none.mp4,bin\ntwo.mp4,blue\n")
    return root


def content(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir() if path.name != CONVERSION}


def test_a_corrected_and_longer_table_is_converted_from_an_earlier_dataset(recordings: Path, tmp_path: Path) -> None:
    place = ["convert", *HOW, f"--source={recordings}"]
    commands.run([*place, f"--output={tmp_path}/old"])
    table = recordings / "clips.csv"
    before = table.read_text()
    table.write_text("video,text\none.mp4,bin red\ntwo.mp4,blue\nthree.mp4,now\n")
    try:
        reused = [*place, f"--output={tmp_path}/new", f"--reuse={tmp_path}/old"]
        (said,) = commands.run([*reused, "--dry_run"])
        printed, _ = commands.run(reused, [*place, f"--output={tmp_path}/scratch"])
    finally:
        table.write_text(before)
    assert f"reuse            {tmp_path}/old has crops of 2 of 3 clips, taken where the videos are the same" in said
    assert f"; 2 with crops of {tmp_path}/old; 0 were finished" in printed
    assert sorted(directory.open_dataset(tmp_path / "new").index.text) == ["bin red", "blue", "now"]
    assert content(tmp_path / "new") == content(tmp_path / "scratch")
    (run,) = json.loads((tmp_path / "new" / CONVERSION).read_text())["runs"]
    assert run["flags"]["reuse"] == f"{tmp_path}/old"


def test_overwrite_says_what_it_removes_and_begins_anew(recordings: Path, tmp_path: Path) -> None:
    place = ["convert", *HOW, f"--source={recordings}", f"--output={tmp_path}/out"]
    commands.run(place)
    size = sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) / 1e6
    other = [*place, "--encoding=png", "--overwrite"]
    (said,) = commands.run([*other, "--dry_run"])
    removal = f"{tmp_path}/out: a dataset of 2 clips, 8 files, {size:.1f} MB"
    assert f"--overwrite: would remove {removal}" in said.splitlines()
    assert f"output           {tmp_path}/out: not started" in said
    assert directory.open_dataset(tmp_path / "out").encoding.name == "raw"
    (printed,) = commands.run(other)
    assert f"--overwrite: removes {removal}" in printed.splitlines()
    assert directory.open_dataset(tmp_path / "out").encoding.name == "png"
    assert not (tmp_path / "out/.progress").exists()


@pytest.mark.slow
def test_mistakes_about_earlier_datasets(recordings: Path, tmp_path: Path) -> None:
    place = ["convert", *HOW, f"--source={recordings}"]
    commands.run([*place, f"--output={tmp_path}/old"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/clips.csv").write_text("video,text\n")
    nothing = ["convert", *HOW, f"--source={tmp_path}/empty", f"--output={tmp_path}/old", "--overwrite"]
    old, new = f"--reuse={tmp_path}/old", f"--output={tmp_path}/new"
    commands.mistakes(
        ([*place, f"--output={tmp_path}/old/../old", old], ["--reuse", "is --output; name a new directory"]),
        ([*place, new, f"--reuse={tmp_path}/none"], [f"{tmp_path}/none: no such directory"]),
        ([*place, new, old, "--fps=30"], [old, "fps was 25.0, is 30.0", "leave --reuse out"]),
        ([*place, new, old, "--tasks=2", "--finalize"], ["--reuse: --finalize converts nothing"]),
        ([*place, new, "--overwrite", "--task=0", "--tasks=2"], ["--overwrite: not for one of several tasks"]),
        ([*place, f"--output={tmp_path}/old", "--overwrite", f"--reuse={tmp_path}/none"], ["no such directory"]),
        (nothing, ["the corpus has no clips, nothing to convert"]),
    )
    assert len(directory.open_dataset(tmp_path / "old").index) == 2  # nothing was removed
