import csv
import dataclasses
import json
import os
from pathlib import Path

import av
import numpy as np

from pipeline.loading.config import DataConfig, PlanConfig
from pipeline.loading.dataset import load
from pipeline.records import directory
from pipeline.synthetic.corpus import SyntheticConfig
from pipeline.vocab import Vocabulary
from tests import datasets, layouts
from tests.scripts import commands

ALPHABET = " abcdefghijklmnopqrst"
ODD = ["new\nline", "a,b", 'quo"te', "*?[x]", "-rf", " two  spaces "]


def converting(corpus: str, source: Path, output: Path, *more: str) -> list[str]:
    return ["convert", f"--corpus={corpus}", f"--source={source}", f"--output={output}", "--workers=1", *more]


def frames_of(video: Path) -> int:
    with av.open(str(video)) as container:
        return container.streams.video[0].frames


def write_labelled(root: Path) -> None:
    """Renders six videos of two seconds, five of them with a kind of label each."""
    config = SyntheticConfig(clips=6, speakers=1, width=240, height=192, word_seconds=0.25)
    layouts.render_videos(root, config, [f"{name}.mp4" for name in "abcdef"])
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2\n<exists>\n1\n"IntervalTier"\n"words"\n0\n2\n4\n'
    )
    segments = [("Good", 0.2, 0.4, "day", 0.4, 0.8), ("to", 1.2, 1.4, "all", 1.4, 1.6)]
    whisper = [
        {
            "start": start,
            "end": end,
            "text": f" {first} {last}",
            "words": [{"word": first, "start": start, "end": middle}, {"word": last, "start": middle, "end": end}],
        }
        for first, start, _, last, middle, end in segments
    ]
    whisper[0]["speaker"] = "ann"
    labels = {
        "a.TextGrid": head + '0\n0.4\n"sil"\n0.4\n0.8\n"good"\n0.8\n1.4\n"day"\n1.4\n2\n""\n',
        "b.json": json.dumps({"segments": whisper, "language": "en"}),
        "c.ctm": "c 1 0.40 0.20 GOOD 1.0\nc 1 0.60 0.40 DAY 1.0\n",
        "d.srt": "1\n00:00:00,400 --> 00:00:00,800\nGood day\n\n2\n00:00:01,200 --> 00:00:01,600\n<i>to all</i>\n",
        "e.vtt": "WEBVTT\n\n00:00.400 --> 00:01.600\nGood day\nto all\n",
    }
    for name, content in labels.items():
        (root / name).write_text(content)


def replace_unknown(text: str) -> str:
    return "".join(character if character in ALPHABET else "\ufffd" for character in text)


def write_clips(root: Path) -> None:
    """Writes a folder of clips with odd names, and four rows without a video in it."""
    for name in ODD:
        datasets.write_video(root / f"{name}.mp4", datasets.pixels(12, seed=1, side=64))
    datasets.write_video(root.parent / "elsewhere.mp4", datasets.pixels(12, seed=2, side=64))
    (root / "out.mp4").symlink_to("../elsewhere.mp4")
    (root / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(root / "fifo.mp4")
    rows = [(f"{name}.mp4", "so", "", "test") for name in [*ODD, "out", "loop", "fifo", "gone"]]
    with (root / "clips.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("video", "text", "speaker", "split"), *rows])


def test_lrw_has_default_box_and_split(tmp_path: Path) -> None:
    list(layouts.render_lrw(tmp_path / "lrw", SyntheticConfig(clips=3, speakers=1)))
    default, changed = tmp_path / "default", tmp_path / "changed"
    printed = commands.run(
        converting("lrw", tmp_path / "lrw", default),
        converting("lrw", tmp_path / "lrw", changed, "--crop=resize", "--split_by=clip", "--val=0", "--test=0"),
    )
    assert not any("speakers in two splits" in text for text in printed)  # LRW names none
    opened = directory.open_dataset(default)
    crop = opened.manifest["conversion"]["crop"]
    assert (crop["mode"], [side * 256 for side in crop["box"]]) == ("box", [71, 107, 183, 219])
    assert {split: len(opened.records(split)) for split in opened.splits} == {"train": 1, "val": 1, "test": 1}
    assert opened.index.frames.tolist() == [29, 29, 29]
    assert opened.index.word_text.tolist() == opened.index.text.tolist()
    np.testing.assert_allclose((opened.index.word_start + opened.index.word_stop) / 2, 14.5, atol=0.5)
    opened = directory.open_dataset(changed)
    crop = opened.manifest["conversion"]["crop"]
    assert (crop["mode"], crop["box"], list(opened.splits)) == ("resize", None, ["train"])


def test_lrs2_keeps_its_split_truncates_and_replaces_unknown_characters(tmp_path: Path) -> None:
    list(layouts.render_lrs2(tmp_path / "lrs2", SyntheticConfig(clips=4, speakers=4, width=240, height=192)))
    whole, truncated = tmp_path / "whole", tmp_path / "truncated"
    commands.run(
        converting("lrs", tmp_path / "lrs2", whole),
        converting(
            "lrs", tmp_path / "lrs2", truncated, "--max_frames=40", "--on_too_long=truncate",
            "--max_reject_fraction=0.9", f"--alphabet={ALPHABET}", "--unknown=unk",
        ),
    )  # fmt: skip
    opened = directory.open_dataset(whole)
    assert {split: opened.index.id[opened.records(split)].tolist() for split in opened.splits} == {
        "train": opened.index.id[:2].tolist(),
        "val": ["main/t3/00003"],
        "test": ["main/t4/00004"],
    }
    (row,) = (opened.index.row(n) for n in range(4) if opened.index.id[n] == "pretrain/t1/00001")
    assert row.frames > 45
    assert any(word.stop > 40 for word in row.words)
    kept = [dataclasses.replace(word, text=replace_unknown(word.text)) for word in row.words if word.stop <= 40]
    opened = directory.open_dataset(truncated)
    (cut,) = (opened.index.row(n) for n in range(len(opened.index)))
    assert (cut.id, cut.frames, cut.words) == (row.id, 40, tuple(kept))
    assert cut.text == " ".join(word.text for word in kept)
    assert "\ufffd" in cut.text
    vocabulary = Vocabulary.of_characters(opened.manifest["vocabulary"]["characters"])
    (batch,) = load(opened, "train", DataConfig(vocabulary), PlanConfig(1, 0)).as_numpy_iterator()
    assert vocabulary.decode(batch["labels"][0]) == cut.text
    conversion = opened.manifest["conversion"]
    assert (conversion["overlong"], conversion["unknown"]) == ("truncate", "unk")
    with (truncated / "rejected.csv").open(newline="") as file:
        rejects = {row["id"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}
    assert rejects.keys() == {"main/t2/00002", "main/t3/00003", "main/t4/00004"}
    assert all(reason == "too_long" and "word times" in detail for reason, detail in rejects.values())


def test_a_folder_with_odd_names_links_and_fifos(tmp_path: Path) -> None:
    write_clips(tmp_path / "folder")
    output = tmp_path / "data"
    commands.run(converting("folder", tmp_path / "folder", output, "--crop=resize", "--max_reject_fraction=0.5"))
    opened = directory.open_dataset(output)
    assert list(opened.splits) == ["test"]  # as the table says
    assert sorted(opened.index.id.tolist()) == sorted(f"{name}.mp4" for name in ODD)
    with (output / "rejected.csv").open(newline="") as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "out.mp4": "outside_root",
        "loop.mp4": "unreadable",
        "fifo.mp4": "unreadable",
        "gone.mp4": "unreadable",
    }


def test_a_folder_of_five_kinds_of_labels(tmp_path: Path) -> None:
    write_labelled(tmp_path / "videos")
    output = tmp_path / "data"
    flags = converting("folder", tmp_path / "videos", output, "--val=1", "--test=1")
    planned, printed = commands.run([*flags, "--dry_run"])[0], commands.run(flags)[0]
    for lines in (planned, printed):
        assert lines.startswith("videos of no clip (1): f.mp4\n")
    assert "clips            7, 1 speakers" in planned
    assert "7 clips converted, 0 rejected" in printed
    opened = directory.open_dataset(output)
    rows = {row.id: row for row in map(opened.index.row, range(len(opened.index)))}
    assert {name: (row.text, row.frames, row.speaker) for name, row in rows.items()} == {
        "a.mp4": ("good day", frames_of(tmp_path / "videos/a.mp4"), ""),
        "b.mp4@0.2-0.8": ("good day", 25, "ann"),  # 0 to 1 s, the middle of the gap
        "b.mp4@1.2-1.6": ("to all", 15, ""),  # to the end of the labels
        "c.mp4": ("good day", frames_of(tmp_path / "videos/c.mp4"), ""),
        "d.mp4@0.4-0.8": ("good day", 20, ""),
        "d.mp4@1.2-1.6": ("to all", 15, ""),
        "e.mp4@0.4-1.6": ("good day to all", 35, ""),
    }
    assert {name: [(word.text, word.start, word.stop) for word in row.words] for name, row in rows.items()} == {
        "a.mp4": [("good", 10, 20), ("day", 20, 35)],
        "b.mp4@0.2-0.8": [("good", 5, 10), ("day", 10, 20)],
        "b.mp4@1.2-1.6": [("to", 5, 10), ("all", 10, 15)],
        "c.mp4": [("good", 10, 15), ("day", 15, 25)],
        "d.mp4@0.4-0.8": [],
        "d.mp4@1.2-1.6": [],
        "e.mp4@0.4-1.6": [],
    }


def test_a_table_of_a_spreadsheet_with_a_column_that_is_kept(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        datasets.write_video(tmp_path / f"in/{name}.mp4", datasets.pixels(30, seed=1, side=64))
    (tmp_path / "in/c.txt").write_text("to all")
    rows = ["Video;Speaker;Split;Text;Light;Start;End", "a.mp4;ann;train;Good day;dim;;0,8", "b.mp4;ann;test;so;;;"]
    table = "\r\n".join([*rows, ";;;;;;", "c.mp4;bob;val;;sun;;", ""])
    (tmp_path / "in/clips.csv").write_bytes(table.encode("utf-16"))
    flags = converting("folder", tmp_path / "in", tmp_path / "out", "--crop=resize")
    dry, kept, printed = *commands.run([*flags, "--dry_run"], [*flags, "--dry_run", "--keep_columns=light"]), ""
    assert dry.startswith("columns of clips.csv that are ignored (1): Light; --keep_columns=Light keeps the first ")
    assert "ignored" not in kept
    (printed,) = commands.run([*flags, "--keep_columns=light"])
    assert "speakers in two splits: 1, such as ann; " in printed
    opened = directory.open_dataset(tmp_path / "out")
    found = {row.id: (row.text, row.frames) for row in map(opened.index.row, range(3))}
    assert found == {"a.mp4@0.0-0.8": ("good day", 20), "b.mp4": ("so", 30), "c.mp4": ("to all", 30)}
    assert {split: len(opened.records(split)) for split in opened.splits} == {"train": 1, "val": 1, "test": 1}
    commands.mistakes(
        (flags, ["holds a conversion of other clips or settings"]),  # without the column that was kept
        ([*flags, "--keep_columns=mood"], ["--keep_columns", "no column 'mood'", "Video, Speaker, Split, Text, Light"]),
    )


def test_what_is_left_out_is_said_before_and_without_a_conversion(tmp_path: Path) -> None:
    datasets.write_video(tmp_path / "s1/video/mpg_6000/hello.mp4", datasets.pixels(20, seed=1, side=64))
    datasets.write_alignment(tmp_path / "alignments/s1/hello.align")
    datasets.write_video(tmp_path / "s2/elsewhere/hello.mp4", datasets.pixels(20, seed=1, side=64))
    (tmp_path / "s3").mkdir()
    flags = converting("grid", tmp_path, tmp_path / "out", "--crop=resize", "--val=0", "--test=0")
    for printed in commands.run([*flags, "--dry_run"]) + commands.run(flags):
        assert printed.startswith("folders without a clip (2): s2, s3\nvideos of no clip (1): s2/elsewhere/hello.mp4\n")
    assert directory.open_dataset(tmp_path / "out").index.id.tolist() == ["s1/hello"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "A/train").mkdir(parents=True)
    (tmp_path / "A/train/A_1.mp4").touch()
    (tmp_path / "clips.csv").write_text("video,text,speaker,split\na.mp4,so,ann,val\nb.mp4,so,ann,test\n")
    out = tmp_path / "out"
    commands.mistakes(
        (converting("lrw", tmp_path, out, "--split_by=speaker"), ["'A/train/A_1'", "no speaker", "--split_by=clip"]),
        (converting("lrw", tmp_path, out, "--pad_s=1"), ["--pad_s: only for --corpus=folder, and --corpus is lrw"]),
        (converting("folder", tmp_path, out, "--pad_s=nan"), ["--pad_s: want a number of seconds, got nan"]),
        (converting("folder", tmp_path, out, "--val=3"), ["--val: ", "--split_by=clip"]),
    )
    assert not out.exists()
