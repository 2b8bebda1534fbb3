from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpora.source import ClipSource
from pipeline.corpora.splits import SplitRule, assign
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
    assert assign(SOURCES[::-1], rule) == assign(SOURCES, rule)
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
    with pytest.raises(DataError, match="clip 's0/c000': the corpus names no split; use --split_by=clip"):
        assign(SOURCES, SplitRule("corpus"))


def test_ids_have_to_be_unique() -> None:
    with pytest.raises(DataError, match="clip 's0/c000' stands twice"):
        assign([*SOURCES, SOURCES[0]], SplitRule())


@pytest.mark.parametrize(
    ("by", "what"), [("clip", "clips, and there are 100"), ("speaker", "speakers, and there are 10")]
)
def test_more_than_there_is_is_refused(by: str, what: str) -> None:
    with pytest.raises(DataError, match=f"--val=60% and --test=60% take .* {what}; lower them"):
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
