"""Settings that decide the bytes of a conversion, and defaults of those that do not."""

import dataclasses
from typing import Any, Literal

from pipeline import vocab
from pipeline.mouth.settings import CropSettings
from pipeline.records.codecs import Encoding
from pipeline.schema import CONTEXT

VERSION = 3  # of a job's description; 2 tracked faces otherwise; 1 had no version, and hashed clips by their `repr`
CLIP_TIMEOUT_S = 120.0
MAX_REJECT_FRACTION = 0.05
FROM_DATA = "from_data"  # in place of an alphabet
CHOICES = {
    "overlong": ("reject", "truncate"),
    "on_gap": ("reject", "split"),
    "text": ("as_is", "spoken"),
    "unknown": ("reject", "unk"),
}


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Everything that decides the bytes of a conversion, beside the clips.

    Attributes:
      name: of the dataset; the prefix of its shards' names.
      crop: where the mouth is found and what is cut out.
      encoding: how frames are stored.
      fps: frames a second of the records; videos of another rate are resampled.
      clips_per_shard: largest number of clips; 100 raw clips of 75 frames take 94 MB.
      max_frames: of a clip, which bounds the memory of a worker.
      overlong: `reject` longer clips, or `truncate` them to their first frames and the words that end there; clips
        without word times are always rejected.
      on_gap: `reject` a clip whose face is lost for more than `crop.max_gap` frames or that has a cut, or `split` it
        into its stretches with a face, each with the words that lie in it.
      text: keep the characters of transcripts `as_is`, by `vocab.normalise`, or only what is `spoken`, by
        `vocab.spoken`: no punctuation or symbol but apostrophes. Words with times follow the same rule.
      alphabet: the characters a transcript may hold.
      unknown: `reject` a clip with another character, or write `vocab.UNKNOWN` in its place (`unk`).
      seed: of the order of the clips in the shards.
    """

    name: str
    crop: CropSettings = dataclasses.field(default_factory=CropSettings)
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    fps: float = 25.0
    clips_per_shard: int = 100
    max_frames: int = 1000
    overlong: Literal["reject", "truncate"] = "reject"
    on_gap: Literal["reject", "split"] = "reject"
    text: Literal["as_is", "spoken"] = "as_is"
    alphabet: str = vocab.ALPHABET
    unknown: Literal["reject", "unk"] = "reject"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or not set(self.name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789_"):
            raise ValueError(f"name: want letters, digits and _, got {self.name!r}")
        if not 1 <= self.fps <= 240:
            raise ValueError(f"fps: want 1 to 240, got {self.fps}")
        if self.clips_per_shard < 1:
            raise ValueError(f"clips_per_shard: want at least 1, got {self.clips_per_shard}")
        if self.max_frames < CONTEXT:
            raise ValueError(f"max_frames: want at least {CONTEXT}, got {self.max_frames}")
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError(f"alphabet: want characters, each once, got {self.alphabet!r}")
        for name, ways in CHOICES.items():
            if getattr(self, name) not in ways:
                raise ValueError(f"{name}: want {' or '.join(ways)}, got {getattr(self, name)!r}")
        if self.unknown == "unk" and (" " not in self.alphabet or vocab.UNKNOWN in self.alphabet):
            rule = f"want a space among the characters, and {vocab.UNKNOWN} only for those that are not"
            raise ValueError(f"alphabet: {rule} (unknown=unk), got {self.alphabet!r}")

    @property
    def characters(self) -> str:
        """The characters that texts of the dataset consist of."""
        return self.alphabet + vocab.UNKNOWN * (self.unknown == "unk")


def with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a conversion as JSON has them; one that an older version did not know has its default."""
    defaults = dataclasses.asdict(ConvertConfig("name"))
    parts = {name: {**defaults[name], **settings.get(name, {})} for name in ("crop", "encoding")}
    return {**defaults, **settings, **parts}
