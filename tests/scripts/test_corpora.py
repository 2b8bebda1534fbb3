import csv
import dataclasses
import os
from pathlib import Path

import numpy as np

from pipeline.loading.dataset import DataConfig, load
from pipeline.loading.plan import PlanConfig
from pipeline.records import directory
from pipeline.synthetic.corpus import SyntheticConfig
from pipeline.vocab import Vocabulary
from tests import datasets, layouts
from tests.scripts import commands

ALPHABET = " abcdefghijklmnopqrst"
ODD = ["new\nline", "a,b", 'quo"te', "*?[x]", "-rf", " two  spaces "]


def converting(corpus: str, source: Path, output: Path, *more: str) -> list[str]:
    return ["convert", f"--corpus={corpus}", f"--source={source}", f"--output={output}", "--workers=1", *more]


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


def test_what_is_left_out_is_said_before_and_without_a_conversion(tmp_path: Path) -> None:
    datasets.write_video(tmp_path / "s1/video/mpg_6000/hello.mp4", datasets.pixels(20, seed=1, side=64))
    datasets.write_alignment(tmp_path / "alignments/s1/hello.align")
    datasets.write_video(tmp_path / "s2/elsewhere/hello.mp4", datasets.pixels(20, seed=1, side=64))
    (tmp_path / "s3").mkdir()
    flags = converting("grid", tmp_path, tmp_path / "out", "--crop=resize", "--val=0", "--test=0")
    for printed in commands.run([*flags, "--dry_run"], flags):
        assert printed.startswith("folders without a clip (2): s2, s3\nvideos of no clip (1): 1 in s2/elsewhere\n")
    assert directory.open_dataset(tmp_path / "out").index.id.tolist() == ["s1/hello"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "A/train").mkdir(parents=True)
    (tmp_path / "A/train/A_1.mp4").touch()
    (tmp_path / "clips.csv").write_text("video,text,speaker,split\na.mp4,so,ann,val\nb.mp4,so,ann,test\n")
    out = tmp_path / "out"
    commands.mistakes(
        (converting("lrw", tmp_path, out, "--split_by=speaker"), ["'A/train/A_1'", "no speaker", "--split_by=clip"]),
        (converting("folder", tmp_path, out), ["speaker 'ann': in val and test", "--allow_shared_speakers"]),
        (converting("folder", tmp_path, out, "--val=3"), ["--val: ", "--split_by=clip"]),
    )
    assert not out.exists()
