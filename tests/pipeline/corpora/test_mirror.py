import dataclasses
from pathlib import Path

import pytest

from pipeline.corpora import folder, grid, mirror
from pipeline.records.bucket import Url
from pipeline.schema import ClipError, DataError, Reason
from tests import stores
from tests.stores import Store


def url(name: str) -> Url:
    return Url(f"s3://{stores.BUCKET}/{name}")


def mirrored(name: str, root: Path) -> list[str]:
    root.mkdir(exist_ok=True)
    return sorted(mirror.make(url(name), root))


def test_a_mirror_lists_the_clips_of_the_corpus(store: Store, corpus: Path, tmp_path: Path) -> None:
    store.put_tree(corpus, "mirror/grid")
    labels = mirrored("mirror/grid", tmp_path / "here")
    assert labels == sorted(path.relative_to(corpus).as_posix() for path in corpus.rglob("*.align"))

    def clips(root: Path) -> list[grid.ClipSource]:
        return [dataclasses.replace(clip, video=clip.video.relative_to(root)) for clip in grid.clips(root)]

    assert clips(tmp_path / "here") == clips(corpus)
    assert {path.stat().st_size for path in (tmp_path / "here").rglob("*.mp4")} == {0}


def test_a_mirror_has_the_labels_beside_videos(store: Store, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.SRT", "in/b.mp4", "in/b.TextGrid", "c.wav"):
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_text(f"content of {name}")
    store.put_tree(tmp_path / "there", "mirror/labelled")
    assert mirrored("mirror/labelled", tmp_path / "here") == ["a.SRT", "in/b.TextGrid"]
    assert (tmp_path / "here/a.SRT").read_text() == "content of a.SRT"
    assert [clip.id for clip in folder.clips(tmp_path / "here")] == ["a.mp4", "in/b.mp4"]


def test_a_clip_is_at_hand_within_the_block_alone(store: Store, corpus: Path, tmp_path: Path) -> None:
    store.put_tree(corpus, "mirror/one")
    mirrored("mirror/one", tmp_path / "here")
    clip = next(grid.clips(tmp_path / "here"))
    with mirror.fetched(clip, tmp_path / "here", url("mirror/one")) as (at_hand, base):
        name = clip.video.relative_to(tmp_path / "here")
        assert at_hand.video == base / name
        assert at_hand.video.read_bytes() == (corpus / name).read_bytes()
        assert dataclasses.replace(at_hand, video=clip.video) == clip
    assert not base.exists()


def test_a_directory_of_images_is_fetched_with_them(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        store.put(f"mirror/images/s1/bbaf2n/{number:03}.png", bytes([number]))
    mirrored("mirror/images", tmp_path / "here")
    (clip,) = grid.clips(tmp_path / "here")
    with mirror.fetched(clip, tmp_path / "here", url("mirror/images")) as (at_hand, _):
        assert [path.read_bytes() for path in sorted(at_hand.video.iterdir())] == [b"\0", b"\1", b"\2"]


def test_an_error_of_a_clip_names_its_video_below_the_corpus(store: Store, corpus: Path, tmp_path: Path) -> None:
    store.put_tree(corpus, "mirror/errors")
    mirrored("mirror/errors", tmp_path / "here")
    clip = next(grid.clips(tmp_path / "here"))
    with pytest.raises(ClipError) as caught, mirror.fetched(clip, tmp_path / "here", url("mirror/errors")) as (own, _):
        raise ClipError(Reason.UNREADABLE, f"{own.video}: no video")
    assert caught.value.detail == "s1/bbaf2n.mp4: no video"
    store.remove("mirror/errors/s1/bbaf2n.mp4")
    gone = mirror.fetched(clip, tmp_path / "here", url("mirror/errors"))
    with pytest.raises(ClipError, match=r"unreadable: s1/bbaf2n\.mp4: gone from s3://lip/mirror/errors"), gone:
        pass
    store.rule({"do": "403", "match": "errors/s1"})
    denied = mirror.fetched(clip, tmp_path / "here", url("mirror/errors"))
    with pytest.raises(DataError, match=r"refuses access \(403\).*; then run the same command again"), denied:
        pass


def test_marks_in_place_of_directories_give_way(store: Store, tmp_path: Path) -> None:
    store.put("mirror/marks/", b"")
    store.put("mirror/marks/talks/", b"")
    store.put("mirror/marks/talks/one.mp4", b"video")
    store.put("mirror/marks/clips.csv", b"video,text\ntalks/one.mp4,good morning\n")
    assert mirrored("mirror/marks", tmp_path / "here") == ["clips.csv"]
    assert [clip.id for clip in folder.clips(tmp_path / "here")] == ["talks/one.mp4"]


def test_label_files_of_each_kind_are_fetched(store: Store, tmp_path: Path) -> None:
    names = ["a.TextGrid", "b.json", "c.ctm", "d.vtt", "e.SRT", "f.txt", "g.align", "h.csv"]
    for name in [*names, "a.mp4"]:
        store.put(f"mirror/kinds/{name}", b"content")
    assert mirrored("mirror/kinds", tmp_path / "here") == sorted(names)
    assert [(tmp_path / "here" / name).read_bytes() for name in ("a.TextGrid", "a.mp4")] == [b"content", b""]


def test_a_file_too_large_for_labels_is_not_fetched(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.corpora.paths.MAX_TABLE_BYTES", 1000)
    store.put("mirror/large/s1/bbaf2n.mp4", b"video")
    store.put("mirror/large/s1/notes.txt", bytes(1001))
    assert mirrored("mirror/large", tmp_path / "here") == []
    assert (tmp_path / "here" / "s1" / "notes.txt").stat().st_size == 1001


def test_nothing_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="s3://lip/mirror/nothing: holds no objects"):
        mirrored("mirror/nothing", tmp_path)
