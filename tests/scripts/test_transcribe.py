"""The command on a run that needs no face, as a user calls it."""

import json
from pathlib import Path

import av
import pytest

from tests import datasets
from tests.scripts import commands, tiny_runs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run `sentences`, and `videos`, three of them."""
    root = tmp_path_factory.mktemp("read")
    tiny_runs.write(root / "sentences")
    for number, name in enumerate(("a/c2", "a/c10", "b")):
        datasets.write_video(root / "videos" / f"{name}.mp4", datasets.pixels(20 + number, seed=number, side=96))
    (root / "text.mp4").write_text("no video")
    return root


def test_videos_are_read_with_times_and_what_fails_is_named(place: Path, tmp_path: Path) -> None:
    run, videos, text = f"--run={place / 'sentences'}", place / "videos", place / "text.mp4"
    names = [str(videos / f"{name}.mp4") for name in ("a/c2", "a/c10", "b")]
    mistakes = [
        ([], "video files"),
        ([str(videos), "--format=srt"], "--format=srt: takes one video, got 3"),
        ([str(videos), "--overlay=a.mp4"], "--overlay: takes one video, got 3"),
        ([names[0], "--overlay=a.avi"], "--overlay=a.avi: "),
        ([names[0], f"--output={tmp_path}"], f"--output={tmp_path}: is a directory"),
        ([names[0], f"--output={tmp_path / 'a' / 'b'}"], f"no such directory {tmp_path / 'a'}"),
        ([names[0], f"--output={names[0]}"], f"--output={names[0]}: would overwrite"),
        ([names[0], "--overlay=a.mp4", "--output=./a.mp4"], "--overlay=a.mp4: would overwrite"),
        ([names[0], "--seconds=2"], "--seconds=2: "),
        ([names[0], "--beam_width=2", "--decoder=greedy"], "--beam_width=2: needs --decoder=beam"),
        ([str(tmp_path)], f"{tmp_path}: holds neither videos nor images"),
        (["--format=json", str(text), str(videos), "997"], "2 of 5 videos"),
    ]
    ends = commands.in_turn("transcribe", *[[run, *arguments] for arguments, _ in mistakes])
    for (_, named), (end, _) in zip(mistakes, ends, strict=True):
        assert named in end
    assert f"{text}: unreadable" in ends[-1][0]
    assert "997: unreadable: /dev/video997: no camera" in ends[-1][0]
    read = [json.loads(line) for line in ends[-1][1].splitlines()]
    assert [each["id"] for each in read] == names
    assert all([word["word"] for word in each["words"]] == each["text"].split() for each in read)
    words = [word for each in read for word in each["words"]]
    assert words
    assert {word["word"] for word in words} <= set(tiny_runs.WORDS)  # where no flag says how to decode
    for word in words:
        assert 0.08 <= word["start"] < word["stop"] <= 22 / 25 - 0.08
        assert 0 < word["score"] <= 1


@pytest.mark.slow
def test_subtitles_and_an_overlay_are_written(place: Path, tmp_path: Path) -> None:
    run, video = f"--run={place / 'sentences'}", str(place / "videos" / "b.mp4")
    output, seen = tmp_path / "read.srt", tmp_path / "seen.mp4"
    (_, text), ends = commands.in_turn(
        "transcribe", [run, video], [run, "--format=srt", f"--output={output}", f"--overlay={seen}", video]
    )
    assert ends == (None, "")
    assert text == f"{video}: {output.read_text().splitlines()[2]}\n"
    with av.open(str(seen)) as container:
        assert len(list(container.decode(video=0))) == 22


@pytest.mark.slow
def test_a_word_run_names_the_one_word_of_a_video(place: Path, tmp_path: Path) -> None:
    tiny_runs.write(place / "words", "word", use_in_word=True)
    command = [f"--run={place / 'words'}", str(place / "videos" / "b.mp4")]
    (_, read), (_, text) = commands.in_turn("transcribe", [*command, "--format=json"], command)
    datasets.write_video(tmp_path / "long.mp4", datasets.pixels(75, seed=0, side=96))
    process = commands.start("transcribe", command[0], str(tmp_path / "long.mp4"))
    warned = "long.mp4: 3.0 s for the one word that a word run names; cut the words out, or use a sentence run\n"
    assert process.communicate()[1].endswith(warned)
    (word,) = json.loads(read)["words"]
    assert (word["word"] in tiny_runs.WORDS, word["start"], word["stop"]) == (True, 0.08, 0.8)
    assert text == f"{command[1]}: {word['word']}\n"


def test_home_is_expanded_in_flags_and_names_of_files(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").symlink_to(place / "sentences")
    (tmp_path / "videos").symlink_to(place / "videos")
    monkeypatch.setenv("HOME", str(tmp_path))
    ends = commands.in_turn(
        "transcribe",
        ["--run=~/run", "--output=~/read.txt", "~/videos/b.mp4"],
        ["--run=~/run", "--output=~/b.mp4", "~/b.mp4"],
        ["--run=~/run", "--overlay=~/none/seen.mp4", "~/videos/b.mp4"],
    )
    assert [end for end, _ in ends] == [
        None,
        f"error: --output={tmp_path}/b.mp4: would overwrite an input or another output; name another file",
        f"error: --overlay={tmp_path}/none/seen.mp4: no such directory {tmp_path}/none; make it, or name another",
    ]
    assert (tmp_path / "read.txt").read_text().startswith("~/videos/b.mp4: ")
