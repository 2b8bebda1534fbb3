"""Which clip is for training, validation and test: a seeded rule over clip ids, never over file order."""

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

from pipeline.corpora.catalog import Listing, Names
from pipeline.corpora.source import ClipSource
from pipeline.schema import DataError

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """How clips are divided.

    Attributes:
      by: `clip` draws clips; `speaker` draws whole speakers, so that test speakers are unseen in training; `corpus`
        keeps the split that the corpus publishes and draws clips for validation only where it names none.
      val: how many clips (or speakers) validate: a number such as `100`, or a share such as `10%`, rounded up.
      test: the same for test; not used by `corpus`.
      seed: of the draw.
      allow_shared_speakers: keep a published split that has a speaker in two of its parts.
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


def assign(sources: Iterable[ClipSource], rule: SplitRule) -> Listing:
    """The sources in order of their ids, each with its split.

    Members (clips or speakers) are ranked by a hash of (seed, member), so a corpus that grows moves few of them.

    Raises:
      DataError: two sources share an id; the rule asks for more than there is, for a split that the corpus does not
        bring, or for speakers that it does not name; the corpus' own split has a speaker in two of its parts; or two
        clips would show the same pictures in two splits.
    """
    listing = Listing.of(sources)
    codes = _kept(listing, rule) if rule.by == "corpus" else _drawn(listing, rule)
    divided = dataclasses.replace(listing, split=Names(SPLITS, codes))
    _check_apart(divided)
    return divided


def speakers_in_two(sources: Iterable[ClipSource]) -> list[str]:
    """The speakers, in order, who have clips in more than one split; the unnamed one left out."""
    listing = Listing.of(sources)
    pairs = np.unique(np.stack([listing.speaker.codes, listing.split.codes]), axis=1)
    found = np.flatnonzero(np.bincount(pairs[0]) > 1)
    return sorted({listing.speaker.values[code] for code in found} - {""})


def describe(sources: Iterable[ClipSource], rule: SplitRule) -> str:
    """What `rule` does with `sources` that have no split but the published one, in words."""
    if rule.by != "corpus":
        return f"drawn by {rule.by}: val {rule.val}, test {rule.test}, seed {rule.seed}"
    if "val" in Listing.of(sources).split.values:
        return "the corpus' own"
    return f"the corpus' own, which has no val: {rule.val} of train, drawn by clip, seed {rule.seed} (--val=0: none)"


def _drawn(listing: Listing, rule: SplitRule) -> np.ndarray:
    """int32 [N]: each clip's place in `SPLITS`."""
    if rule.by == "clip":
        return _draw(listing.ids, rule)
    if len(unnamed := listing.speaker.rows("")):
        clip = listing.ids[unnamed[0]]
        raise DataError(f"clip {clip!r}: no speaker is named; use --split_by=clip, or --split_by=corpus if it has one")
    return _draw(listing.speaker.values, rule)[listing.speaker.codes]


def _kept(listing: Listing, rule: SplitRule) -> np.ndarray:
    """int32 [N]: as the corpus says; where it has no validation, some of training is drawn."""
    published = listing.split
    if unsplit := set(published.values) - set(SPLITS):
        clip = listing.ids[published.rows(*unsplit)[0]]
        ways = "use --split_by=clip or --split_by=speaker, or give every clip one"
        raise DataError(f"clip {clip!r}: the corpus names no split; {ways}")
    if not rule.allow_shared_speakers and (shared := speakers_in_two(listing)):
        own = listing.speaker.rows(shared[0])
        places = " and ".join(split for split in SPLITS if len(np.intersect1d(own, published.rows(split))))
        ways = "--split_by=speaker keeps each in one, --allow_shared_speakers keeps the split"
        raise DataError(
            f"speaker {shared[0]!r}: in {places} by the corpus' own split, one of {len(shared)} such; {ways}"
        )
    codes = np.array([SPLITS.index(value) for value in published.values], np.int32)[published.codes]
    train = published.rows("train")
    if "val" not in published.values and len(train):
        codes[train] = _draw(listing.ids[train], dataclasses.replace(rule, test="0"))
    return codes


def _check_apart(listing: Listing) -> None:
    """Refuses two clips that share pictures of a video, in two splits: a model would be tested on what it learned."""
    order = np.argsort(listing.videos, kind="stable")
    videos = listing.videos[order]
    bounds = np.concatenate([[0], 1 + np.flatnonzero(videos[1:] != videos[:-1]), [len(videos)]])
    for first in np.flatnonzero(np.diff(bounds) > 1):
        rows = order[bounds[first] : bounds[first + 1]]
        if len(np.unique(listing.split.codes[rows])) > 1:
            _check_video([listing[row] for row in rows.tolist()])


def _check_video(sources: list[ClipSource]) -> None:
    sources = sorted(sources, key=lambda source: (os.path.realpath(source.video), _span(source)))
    for _, clips in itertools.groupby(sources, key=lambda source: os.path.realpath(source.video)):
        last: dict[str, ClipSource] = {}  # of each split, the clip that ends last
        for clip in clips:
            for other in last.values():
                if other.split != clip.split and _span(other)[1] > _span(clip)[0]:
                    both = f"{other.id!r} ({other.split}) and {clip.id!r} ({clip.split})"
                    ways = "cut them apart, or put them into one split, as --split_by=speaker does"
                    raise DataError(f"clips {both} show the same pictures in two splits; {ways}")
            last[clip.split] = max(last.get(clip.split, clip), clip, key=lambda source: _span(source)[1])


def _span(source: ClipSource) -> tuple[float, float]:
    return source.span or (0.0, math.inf)


def _draw(members: Sequence[str], rule: SplitRule) -> np.ndarray:
    """int32 [N]: the place in `SPLITS` of each member, of which none comes twice."""
    test, val = _count(rule.test, len(members)), _count(rule.val, len(members))
    if test + val > len(members):
        asked = f"--val={rule.val}" if rule.by == "corpus" else f"--val={rule.val} and --test={rule.test}"
        what = "speakers" if rule.by == "speaker" else "clips"
        raise DataError(
            f"{asked} take {val} and {test} {what}, and there are {len(members)}; lower them, such as --val=0 --test=0"
        )
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
