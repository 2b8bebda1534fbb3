import csv
import os
from pathlib import Path

import numpy as np

from pipeline import shards
from pipeline.corpora import layouts
from pipeline.corpora.synthetic import SyntheticConfig
from tests import datasets
from tests.scripts import commands

ODD = ["new\nline", "a,b", 'quo"te', "*?[x]", "-rf", " two  spaces "]


def converting(corpus: str, source: Path, output: Path, *more: str) -> list[str]:
    return ["convert", f"--corpus={corpus}", f"--source={source}", f"--output={output}", "--workers=1", *more]


def write_clips(root: Path) -> None:
    """A folder of sound clips with odd names, and four that are no videos of it."""
    for name in ODD:
        datasets.write_video(root / f"{name}.mp4", datasets.pixels(12, seed=1, side=64))
    datasets.write_video(root.parent / "elsewhere.mp4", datasets.pixels(12, seed=2, side=64))
    (root / "out.mp4").symlink_to("../elsewhere.mp4")
    (root / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(root / "fifo.mp4")
    rows = [(f"{name}.mp4", "so", "", "test") for name in [*ODD, "out", "loop", "fifo", "gone"]]
    with (root / "clips.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("video", "text", "speaker", "split"), *rows])


def test_lrw_brings_its_box_and_split_unless_told_otherwise(tmp_path: Path) -> None:
    list(layouts.render_lrw(tmp_path / "lrw", SyntheticConfig(clips=3, speakers=1)))
    own, told = tmp_path / "own", tmp_path / "told"
    printed = commands.run(
        converting("lrw", tmp_path / "lrw", own),
        converting("lrw", tmp_path / "lrw", told, "--crop=resize", "--split_by=clip", "--val=0", "--test=0"),
    )
    assert not any("speakers in two splits" in text for text in printed)  # nobody is named
    opened = shards.open_dataset(own)
    crop = opened.manifest["conversion"]["crop"]
    assert (crop["mode"], [side * 256 for side in crop["box"]]) == ("box", [71, 107, 183, 219])
    assert {split: len(opened.records(split)) for split in opened.splits} == {"train": 1, "val": 1, "test": 1}
    assert opened.index.frames.tolist() == [29, 29, 29]
    assert opened.index.word_text.tolist() == opened.index.text.tolist()
    np.testing.assert_allclose((opened.index.word_start + opened.index.word_stop) / 2, 14.5, atol=0.5)
    opened = shards.open_dataset(told)
    crop = opened.manifest["conversion"]["crop"]
    assert (crop["mode"], crop["box"], list(opened.splits)) == ("resize", None, ["train"])


def test_a_folder_with_odd_names_and_what_leads_out_or_hangs(tmp_path: Path) -> None:
    write_clips(tmp_path / "folder")
    output = tmp_path / "data"
    commands.run(converting("folder", tmp_path / "folder", output, "--crop=resize", "--max_reject_fraction=0.5"))
    opened = shards.open_dataset(output)
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


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "A/train").mkdir(parents=True)
    (tmp_path / "A/train/A_1.mp4").touch()
    (tmp_path / "clips.csv").write_text("video,text,speaker,split\na.mp4,so,ann,val\nb.mp4,so,ann,test\n")
    out = tmp_path / "out"
    commands.mistakes(
        (converting("lrw", tmp_path, out, "--split_by=speaker"), ["'A/train/A_1'", "no speaker", "--split_by=clip"]),
        (converting("folder", tmp_path, out), ["speaker 'ann': in val and test", "--allow_shared_speakers"]),
        (converting("folder", tmp_path, out, "--val=3"), ["--val: the corpus' own split is kept", "--split_by=clip"]),
    )
    assert not out.exists()
