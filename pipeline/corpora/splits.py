"""Which clip is for training, validation and test: a seeded rule over clip ids, never over file order."""

import dataclasses
import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

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


def assign(sources: Iterable[ClipSource], rule: SplitRule) -> list[ClipSource]:
    """The sources in order of their ids, each with its split.

    Members (clips or speakers) are ranked by a hash of (seed, member), so a corpus that grows moves few of them.

    Raises:
      DataError: two sources share an id; the rule asks for more than there is, for a split that the corpus does not
        bring, or for speakers that it does not name; the corpus' own split has a speaker in two of its parts; or two
        clips would show the same pictures in two splits.
    """
    sources = sorted(sources, key=lambda source: source.id)
    if twice := [name for name, n in Counter(source.id for source in sources).items() if n > 1]:
        raise DataError(f"clip {twice[0]!r} stands twice in the corpus; ids have to be unique: rename or remove one")
    divided = _keep_published(sources, rule) if rule.by == "corpus" else _drawn(sources, rule)
    _check_apart(divided)
    return divided


def speakers_in_two(sources: Iterable[ClipSource]) -> list[str]:
    """The speakers, in order, who have clips in more than one split; the unnamed one left out."""
    places = {(source.speaker, source.split) for source in sources if source.speaker}
    return sorted(speaker for speaker, n in Counter(speaker for speaker, _ in places).items() if n > 1)


def told(sources: Iterable[ClipSource], rule: SplitRule) -> str:
    """What `rule` does with `sources` that have no split but the published one, in words."""
    if rule.by != "corpus":
        return f"drawn by {rule.by}: val {rule.val}, test {rule.test}, seed {rule.seed}"
    if any(source.split == "val" for source in sources):
        return "the corpus' own"
    return f"the corpus' own, which has no val: {rule.val} of train, drawn by clip, seed {rule.seed} (--val=0: none)"


def _drawn(sources: list[ClipSource], rule: SplitRule) -> list[ClipSource]:
    unnamed = [source.id for source in sources if not source.speaker]
    if rule.by == "speaker" and unnamed:
        raise DataError(
            f"clip {unnamed[0]!r}: no speaker is named; use --split_by=clip, or --split_by=corpus if it has one"
        )
    member = {source.id: source.speaker if rule.by == "speaker" else source.id for source in sources}
    split = _draw(set(member.values()), rule)
    return [dataclasses.replace(source, split=split[member[source.id]]) for source in sources]


def _keep_published(sources: list[ClipSource], rule: SplitRule) -> list[ClipSource]:
    if unsplit := [source.id for source in sources if source.split not in SPLITS]:
        ways = "use --split_by=clip or --split_by=speaker, or give every clip one"
        raise DataError(f"clip {unsplit[0]!r}: the corpus names no split; {ways}")
    if not rule.allow_shared_speakers and (shared := speakers_in_two(sources)):
        places = " and ".join(
            split for split in SPLITS if any(s.speaker == shared[0] and s.split == split for s in sources)
        )
        ways = "--split_by=speaker keeps each in one, --allow_shared_speakers keeps the split"
        raise DataError(
            f"speaker {shared[0]!r}: in {places} by the corpus' own split, one of {len(shared)} such; {ways}"
        )
    if any(source.split == "val" for source in sources):
        return sources
    train = {source.id for source in sources if source.split == "train"}
    split = _draw(train, dataclasses.replace(rule, test="0")) if train else {}
    return [dataclasses.replace(source, split=split.get(source.id, source.split)) for source in sources]


def _check_apart(sources: list[ClipSource]) -> None:
    """Refuses two clips that share pictures of a video, in two splits: a model would be tested on what it learned."""
    videos = Counter(source.video for source in sources)
    shared = sorted((s for s in sources if videos[s.video] > 1), key=lambda source: (source.video, _span(source)))
    for _, clips in itertools.groupby(shared, key=lambda source: source.video):
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


def _draw(members: set[str], rule: SplitRule) -> dict[str, str]:
    test, val = _count(rule.test, len(members)), _count(rule.val, len(members))
    if test + val > len(members):
        asked = f"--val={rule.val}" if rule.by == "corpus" else f"--val={rule.val} and --test={rule.test}"
        what = "speakers" if rule.by == "speaker" else "clips"
        raise DataError(
            f"{asked} take {val} and {test} {what}, and there are {len(members)}; lower them, such as --val=0 --test=0"
        )
    ranked = sorted(members, key=lambda name: hashlib.sha256(f"{rule.seed}:{name}".encode()).digest())
    return {name: "test" if i < test else "val" if i < test + val else "train" for i, name in enumerate(ranked)}


def _share(amount: str) -> Fraction:
    return Fraction(amount[:-1]) / 100 if amount.endswith("%") else Fraction(0)


def _count(amount: str, total: int) -> int:
    return math.ceil(_share(amount) * total) if amount.endswith("%") else int(amount)
