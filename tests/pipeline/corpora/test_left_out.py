from pathlib import Path

import pytest

from pipeline.corpora import CORPORA
from pipeline.corpora.catalog import Catalog


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def lines(corpus: str, root: Path) -> list[str]:
    layout = CORPORA[corpus]
    return layout.left_out(root, Catalog.of(layout.clips(root)))


def test_speakers_of_grid_without_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "s1/video/mpg_6000/bbaf2n.mpg", "s2/bbaf2n/1.png", "s3/raw/bbaf2n.mpg", "s3/raw/bbaf3s.mpg")
    touch(tmp_path, "s4/bbaf2n.zip", "alignments/s5/bbaf2n.align", "s1/.bbaf3s.mpg", "s1/bbaf2n.wav")
    assert lines("grid", tmp_path) == [
        "folders without a clip (2): s3, s4",
        "videos of no clip (2): 2 in s3/raw, such as s3/raw/bbaf2n.mpg",
    ]


def test_a_corpus_that_is_a_link_with_linked_speakers(tmp_path: Path) -> None:
    touch(tmp_path, "disk/s1/bbaf2n.mpg", "disk/more/s2/bbaf3s.mpg", "disk/files/x.mpg")
    (tmp_path / "disk/s2").symlink_to("more/s2")
    (tmp_path / "disk/s1/bbaf4p.mpg").symlink_to("../files/x.mpg")
    (tmp_path / "corpus").symlink_to("disk")
    assert lines("grid", tmp_path / "corpus") == []


@pytest.mark.parametrize(
    ("corpus", "video", "empty"),
    [("lrs", "trainval/a/1.mp4", "test/b/1.txt"), ("lrw", "ABOUT/train/ABOUT_1.mp4", "ABOUT/val/ABOUT_2.txt")],
)
def test_folders_of_lrs_and_lrw_without_a_clip(tmp_path: Path, corpus: str, video: str, empty: str) -> None:
    touch(tmp_path, video)
    assert lines(corpus, tmp_path) == []
    touch(tmp_path, empty)
    assert lines(corpus, tmp_path) == [f"folders without a clip (1): {Path(empty).parent}"]


def test_missing_videos_and_videos_of_no_row(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.MOV", "odd.suffix", "images/1.png", "extra/c.mp4", "extra/d.mkv", "extra/notes.txt")
    rows = "".join(f"{name},so\n" for name in ("a.mp4", "b.MOV", "odd.suffix", "images", *"gonehrt"))
    (tmp_path / "clips.csv").write_text(f"video,text,start,end\n{rows}".replace(",so", ",so,,"))
    assert lines("folder", tmp_path) == [
        "missing videos (7 of 11), whose clips will be rejected: e, g, h, n, o and 2 more",
        "videos of no clip (2): 2 in extra, such as extra/c.mp4",
    ]


def test_a_video_of_two_clips_is_counted_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "clips.csv").write_text("video,text,start,end\na.mp4,so,0,1\na.mp4,no,1,2\ngone.mp4,so,0,1\n")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "linked.mp4").symlink_to("b.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert lines("folder", tmp_path) == [
        "missing videos (1 of 2), whose clips will be rejected: gone.mp4",
        "videos of no clip (3): 3 in ., such as b.mp4",
    ]


@pytest.mark.usefixtures("mortal")
def test_a_directory_of_another_user_is_passed_by(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "lost+found/b.mp4")
    (tmp_path / "clips.csv").write_text("video,text\na.mp4,so\n")
    (tmp_path / "lost+found").chmod(0)
    assert lines("folder", tmp_path) == []
    (tmp_path / "lost+found").chmod(0o700)


def test_the_real_clips_are_all_listed(grid_clips: Path) -> None:
    assert lines("grid", grid_clips) == []
