import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SplitRule, assign, describe, shared_speakers
from pipeline.schema import DataError


def source(name: str, split: str | None = None) -> ClipSource:
    return ClipSource(name, Path(f"{name}.mpg"), None, "bin", (), name.split("/")[0], split)


SOURCES = [source(f"s{n // 10}/c{n:03}") for n in range(100)]


def splits(rule: SplitRule, sources: list[ClipSource] = SOURCES) -> dict[str, str]:
    return {clip.id: clip.split for clip in assign(sources, rule)}


@pytest.mark.parametrize(
    ("val", "test", "expected"),
    [
        ("10%", "20%", {"train": 70, "val": 10, "test": 20}),
        ("0", "0", {"train": 100}),
        ("7%", "2.5%", {"train": 90, "val": 7, "test": 3}),
        ("50", "50%", {"val": 50, "test": 50}),
    ],
)
def test_counts(val: str, test: str, expected: dict[str, int]) -> None:
    assert Counter(splits(SplitRule(val=val, test=test)).values()) == expected


@pytest.mark.parametrize("by", ["clip", "speaker"])
def test_the_order_of_the_corpus_does_not_matter(by: str) -> None:
    rule = SplitRule(by=by, seed=3)
    assert list(assign(SOURCES[::-1], rule)) == list(assign(SOURCES, rule))
    assert [clip.id for clip in assign(SOURCES[::-1], rule)] == [clip.id for clip in SOURCES]


def test_seeds_differ() -> None:
    assert len({tuple(splits(SplitRule(seed=seed)).values()) for seed in range(4)}) == 4


def test_no_speaker_is_in_two_splits() -> None:
    found = splits(SplitRule(by="speaker", val="2", test="30%"))
    places = {(name.split("/")[0], split) for name, split in found.items()}
    assert len(places) == 10
    assert Counter(split for _, split in places) == {"train": 5, "val": 2, "test": 3}


def test_a_corpus_that_grows_moves_few_clips() -> None:
    before = splits(SplitRule(val="10", test="10"))
    after = splits(SplitRule(val="10", test="10"), [*SOURCES, source("s99/new")])
    assert sum(before[name] != after[name] for name in before) <= 2


def test_a_published_split_is_kept() -> None:
    published = [source("a", "test"), source("b", "val"), source("c", "train")]
    assert splits(SplitRule("corpus"), published) == {"a": "test", "b": "val", "c": "train"}


def test_validation_is_drawn_from_training_where_none_is_published() -> None:
    published = [source(f"c{n}", "test" if n < 5 else "train") for n in range(25)]
    found = splits(SplitRule("corpus", val="10%"), published)
    assert Counter(found.values()) == {"train": 18, "val": 2, "test": 5}
    assert all(found[f"c{n}"] == "test" for n in range(5))


def test_a_corpus_without_a_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"clip 's0/c000' of s0/c000\.mpg: .*no split \(100 .*; .*--split_by=clip"):
        assign(SOURCES, SplitRule("corpus"))
    with pytest.raises(DataError, match=r"clip 'b' of b\.mpg: .*no split \(1 .* of 2\); .*or give every clip a split"):
        assign([source("a", "train"), source("b")], SplitRule("corpus"))


def cut(name: str, span: tuple[float, float] | None, split: str, video: str | Path = "a.mp4") -> ClipSource:
    return ClipSource(name, Path(video), span, "bin", (), "", split)


@pytest.mark.parametrize(
    ("one", "other"), [((0, 2), (1, 3)), ((0, 9), (1, 3)), ((1, 3), None), (None, None), ((1, 2), (1, 2))]
)
def test_the_same_frames_in_two_splits_are_refused(
    one: tuple[float, float] | None, other: tuple[float, float] | None
) -> None:
    clips = [cut("x", one, "train"), cut("y", other, "test"), cut("z", (20, 21), "val", video="b.mp4")]
    with pytest.raises(DataError, match=r"'[xy]' \(t.*\) and '[xy]' \(t.*\) show the same frames in two splits"):
        assign(clips, SplitRule("corpus"))
    same = [dataclasses.replace(clip, split="train") for clip in clips[:2]]
    assert [clip.split for clip in assign(same, SplitRule("corpus", val="0"))] == ["train", "train"]


def test_an_earlier_longer_clip_is_compared_too() -> None:
    clips = [cut("long", (0, 9), "train"), cut("short", (1, 2), "train"), cut("late", (5, 6), "test")]
    with pytest.raises(DataError, match=r"'long' \(train\) and 'late' \(test\) show the same frames"):
        assign(clips, SplitRule("corpus", val="0"))


def test_a_link_to_a_video_shows_the_same_frames(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    (tmp_path / "folder").symlink_to(tmp_path)
    names = ("a.mp4", "link.mp4"), ("folder/a.mp4", "a.mp4")
    for one, other in names:
        clips = [cut("x", None, "train", video=tmp_path / one), cut("y", None, "test", video=tmp_path / other)]
        with pytest.raises(DataError, match="same frames in two splits"):
            assign(clips, SplitRule("corpus", val="0"))


def test_separate_spans_may_be_in_two_splits() -> None:
    clips = [cut("x", (0, 2), "train"), cut("y", (2, 3), "val"), cut("z", (0, 2), "test", video="b.mp4")]
    assert list(assign(clips, SplitRule("corpus"))) == clips


def test_a_draw_that_separates_shared_frames_is_refused() -> None:
    clips = [dataclasses.replace(cut(f"c{n}", (n, n + 2), "train"), speaker="s1", split=None) for n in range(20)]
    with pytest.raises(DataError, match=r"same frames in two splits.*--split_by=speaker"):
        assign(clips, SplitRule(val="50%"))


def test_a_clip_without_a_speaker_cannot_be_split_by_speaker() -> None:
    clips = [source("a/1"), dataclasses.replace(source("b/1"), speaker="")]
    with pytest.raises(DataError, match=r"clip 'b/1': no speaker.*--split_by=clip.*--split_by=corpus"):
        assign(clips, SplitRule("speaker"))


def test_a_published_split_that_shares_a_speaker_is_refused_unless_allowed() -> None:
    clips = [source("s2/a", "train"), source("s2/b", "test"), source("s1/a", "train"), source("s3/a", "val")]
    with pytest.raises(DataError, match=r"^speaker 's2': in train and test .*\(1 .*--allow_shared_speakers"):
        assign(clips, SplitRule("corpus"))
    allowed = splits(SplitRule("corpus", allow_shared_speakers=True), clips)
    assert allowed == {"s1/a": "train", "s2/a": "train", "s2/b": "test", "s3/a": "val"}
    assert len(splits(SplitRule("speaker", val="1", test="1"), clips)) == 4


def test_validation_drawn_from_a_published_split_may_share_its_speakers() -> None:
    published = [source(f"s1/{n}", "train") for n in range(4)] + [source("s2/a", "test")]
    assert Counter(splits(SplitRule("corpus", val="1"), published).values()) == {"train": 3, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("rule", "published", "expected"),
    [
        (SplitRule(val="3", seed=2), None, "drawn by clip: val 3, test 10%, seed 2"),
        (SplitRule("speaker"), None, "drawn by speaker: val 10%, test 10%, seed 0"),
        (SplitRule("corpus"), "val", "as the corpus has it"),
        (
            SplitRule("corpus", val="5%"),
            "train",
            "as the corpus has it; val is 5% of train, drawn by clip, seed 0 (--val=0: none)",
        ),
    ],
)
def test_describe(rule: SplitRule, published: str | None, expected: str) -> None:
    assert describe([source("s1/a", published), source("s1/b", published)], rule) == expected


def test_shared_speakers_are_named_once() -> None:
    clips = [source("s2/a", "train"), source("s2/b", "test"), source("s1/a", "val"), source("s1/b", "test")]
    alone = [source("s3/a", "test"), source("s3/b", "test"), source("/a", "test"), source("/b", "train")]
    assert shared_speakers([*clips, *alone]) == ["s1", "s2"]


def test_ids_have_to_be_unique() -> None:
    with pytest.raises(DataError, match=r"clip 's0/c000' .*twice"):
        assign([*SOURCES, SOURCES[0]], SplitRule())


@pytest.mark.parametrize(("by", "what"), [("clip", "60 of 100 clips"), ("speaker", "6 of 10 speakers")])
def test_too_few_clips_or_speakers_are_refused(by: str, what: str) -> None:
    with pytest.raises(DataError, match=f"--val=60% --test=60%: .* {what}"):
        assign(SOURCES, SplitRule(by, val="60%", test="60%"))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"by": "day"}, "by: want clip, speaker or corpus, got 'day'"),
        *[
            ({"val": amount}, f"val: want a count such as 100 or a share such as 10%, got '{amount}'")
            for amount in ("-1", "101%", "0.1", "ten", "")
        ],
        ({"test": "5 %"}, "test: want a count"),
    ],
)
def test_bad_rules_are_refused(settings: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SplitRule(**settings)
