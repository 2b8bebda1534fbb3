"""Assigns clips to train, val and test by a seeded rule over clip ids, independent of file order."""

import dataclasses
import hashlib
import itertools
import math
import os
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np

from pipeline.corpora.catalog import Catalog, Categorical
from pipeline.corpora.source import ClipSource
from pipeline.schema import DataError

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """How clips are split.

    Attributes:
      by: `clip` draws clips. `speaker` draws whole speakers, so that test speakers are unseen in training. `corpus`
        keeps the published split, and draws validation clips from train where the corpus publishes none.
      val: the size of val in clips (or speakers): a count such as `100`, or a share such as `10%`, rounded up.
      test: the size of test; unused by `corpus`.
      seed: the seed of the draw.
      allow_shared_speakers: accept a published split with a speaker in several splits, as that of one's own table.
    """

    by: Literal["clip", "speaker", "corpus"] = "clip"
    val: str = "10%"
    test: str = "10%"
    seed: int = 0
    allow_shared_speakers: bool = False

    def __post_init__(self) -> None:
        if self.by not in ("clip", "speaker", "corpus"):
            raise ValueError(f"by: want clip, speaker or corpus, got {self.by!r}")
        if self.seed < 0:
            raise ValueError(f"seed: want 0 or more, got {self.seed}")
        for name, amount in (("val", self.val), ("test", self.test)):
            if not re.fullmatch(r"\d+|\d+(\.\d+)?%", amount) or _share(amount) > 1:
                raise ValueError(f"{name}: want a count such as 100 or a share such as 10%, got {amount!r}")


def assign(sources: Iterable[ClipSource], rule: SplitRule) -> Catalog:
    """Returns the catalog of the clips with their splits.

    Clips, or speakers, are ranked by a hash of (seed, name), so that few change their split when the corpus grows.

    Raises:
      DataError: two clips share an id; there are too few clips or speakers; a clip lacks the published split, or the
        speaker, that the rule needs; a speaker is in several published splits; or two clips in different splits show
        the same frames.
    """
    catalog = Catalog.of(sources)
    codes = _published_split(catalog, rule) if rule.by == "corpus" else _drawn_split(catalog, rule)
    catalog = dataclasses.replace(catalog, split=Categorical(SPLITS, codes))
    _check_no_shared_frames(catalog)
    return catalog


def shared_speakers(sources: Iterable[ClipSource]) -> list[str]:
    """The named speakers, sorted, with clips in more than one split."""
    catalog = Catalog.of(sources)
    pairs = np.unique(np.stack([catalog.speaker.codes, catalog.split.codes]), axis=1)
    found = np.flatnonzero(np.bincount(pairs[0]) > 1)
    return sorted({catalog.speaker.values[code] for code in found} - {""})


def describe(sources: Iterable[ClipSource], rule: SplitRule) -> str:
    """Describes in words how `rule` splits `sources`, which have no split but the published one."""
    if rule.by != "corpus":
        return f"drawn by {rule.by}: val {rule.val}, test {rule.test}, seed {rule.seed}"
    if "val" in Catalog.of(sources).split.values:
        return "as the corpus has it"
    return f"as the corpus has it; val is {rule.val} of train, drawn by clip, seed {rule.seed} (--val=0: none)"


def _drawn_split(catalog: Catalog, rule: SplitRule) -> np.ndarray:
    """Each clip's index into `SPLITS`, int32 [N], by a draw of clips or speakers."""
    if rule.by == "clip":
        return _draw(catalog.ids, rule)
    if len(unnamed := catalog.speaker.rows("")):
        clip = catalog.ids[unnamed[0]]
        raise DataError(f"clip {clip!r}: no speaker is named; use --split_by=clip, or --split_by=corpus if it has one")
    return _draw(catalog.speaker.values, rule)[catalog.speaker.codes]


def _published_split(catalog: Catalog, rule: SplitRule) -> np.ndarray:
    """Each clip's index into `SPLITS`, int32 [N], as published; val is drawn from train where none is published."""
    published = catalog.split
    if unsplit := set(published.values) - set(SPLITS):
        rows = published.rows(*unsplit)
        bare = f"clip {catalog.ids[rows[0]]!r} of {catalog[int(rows[0])].video}"
        advice = "use --split_by=clip or --split_by=speaker, or give every clip a split, as in its row of a table"
        raise DataError(f"{bare}: the corpus names no split ({len(rows)} such clips of {len(catalog)}); {advice}")
    if not rule.allow_shared_speakers and (shared := shared_speakers(catalog)):
        own = catalog.speaker.rows(shared[0])
        splits = " and ".join(split for split in SPLITS if len(np.intersect1d(own, published.rows(split))))
        advice = "--split_by=speaker keeps each in one split, --allow_shared_speakers keeps the published split"
        raise DataError(
            f"speaker {shared[0]!r}: in {splits} of the published split ({len(shared)} such speakers); {advice}"
        )
    codes = np.array([SPLITS.index(value) for value in published.values], np.int32)[published.codes]
    train = published.rows("train")
    if "val" not in published.values and len(train):
        codes[train] = _draw(catalog.ids[train], dataclasses.replace(rule, test="0"))
    return codes


def _check_no_shared_frames(catalog: Catalog) -> None:
    """Checks that no two clips in different splits share frames, since a model would be tested on its training data."""
    order = np.argsort(catalog.videos, kind="stable")
    videos = catalog.videos[order]
    bounds = np.concatenate([[0], 1 + np.flatnonzero(videos[1:] != videos[:-1]), [len(videos)]])
    for first in np.flatnonzero(np.diff(bounds) > 1):
        rows = order[bounds[first] : bounds[first + 1]]
        if len(np.unique(catalog.split.codes[rows])) > 1:
            _check_spans([catalog[row] for row in rows.tolist()])


def _check_spans(sources: list[ClipSource]) -> None:
    """Compares the spans of clips whose video paths have the same hash."""
    sources = [source for source in sources if not source.problem]  # others show nothing
    sources = sorted(sources, key=lambda source: (os.path.realpath(source.video), _span(source)))
    for _, clips in itertools.groupby(sources, key=lambda source: os.path.realpath(source.video)):
        last: dict[str, ClipSource] = {}  # split -> the clip that ends last
        for clip in clips:
            for other in last.values():
                if other.split != clip.split and _span(other)[1] > _span(clip)[0]:
                    both = f"{other.id!r} ({other.split}) and {clip.id!r} ({clip.split})"
                    advice = "correct their times, or put them into one split, as --split_by=speaker does"
                    raise DataError(f"clips {both} show the same frames in two splits; {advice}")
            last[clip.split] = max(last.get(clip.split, clip), clip, key=lambda source: _span(source)[1])


def _span(source: ClipSource) -> tuple[float, float]:
    return source.span or (0.0, math.inf)


def _draw(members: Sequence[str], rule: SplitRule) -> np.ndarray:
    """The index into `SPLITS` of each distinct member (clip or speaker), int32 [N]."""
    test, val = _count(rule.test, len(members)), _count(rule.val, len(members))
    if test + val > len(members):
        given = f"--val={rule.val}" if rule.by == "corpus" else f"--val={rule.val} --test={rule.test}"
        unit = "speakers" if rule.by == "speaker" else "clips"
        raise DataError(f"{given}: want {val} + {test} of {len(members)} {unit}; lower them, such as --val=0 --test=0")
    ranked = np.argsort(
        np.fromiter((_rank(rule.seed, name) for name in members), np.uint64, len(members)), kind="stable"
    )
    codes = np.full(len(members), SPLITS.index("train"), np.int32)
    codes[ranked[:test]] = SPLITS.index("test")
    codes[ranked[test : test + val]] = SPLITS.index("val")
    return codes


def _rank(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")


def _share(amount: str) -> Fraction:
    return Fraction(amount[:-1]) / 100 if amount.endswith("%") else Fraction(0)


def _count(amount: str, total: int) -> int:
    return math.ceil(_share(amount) * total) if amount.endswith("%") else int(amount)
