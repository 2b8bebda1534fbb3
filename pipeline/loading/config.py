"""Settings of reading: what an example is, in which order and how augmented; TensorFlow need not load for them."""

import dataclasses
from typing import Literal

import numpy as np

from pipeline.schema import CONTEXT, CROP
from pipeline.vocab import Vocabulary

UNITS = ("sentence", "word")
MAX_MARGIN = 100  # frames
PADDINGS = ("valid", "same")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What an example is.

    Attributes:
      vocabulary: of the labels.
      unit: `sentence`, a whole clip; or `word`, an aligned word with its margin.
      margin: frames before and after a word, 0 to 100.
      padding: `valid` (F frames give F - 4 windows) or `same` (F windows).
      speakers: only clips of these speakers; empty for all.
      words: only these words, or only sentences of these words; empty for all.
      max_doubt: only clips whose crops are less doubtful than this, 0 to 1 in hundredths; None for all.
      where: `name=value` each, only clips whose column of that name has this value; several values of a name are
        alternatives, of different names all are wanted. A name ends at the first `=`, or where a column is so named.
      max_frames: the maximum length of an example, at least 5; None for any length.
      overlong: `skip` longer examples or `truncate` them. A word keeps the frames around its middle. A sentence keeps
        its first frames and the words that end in them.

    Raises:
      ValueError: a field is outside its range.
    """

    vocabulary: Vocabulary
    unit: Literal["sentence", "word"] = "sentence"
    margin: int = 5
    padding: Literal["valid", "same"] = "valid"
    speakers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    max_doubt: float | None = None
    where: tuple[str, ...] = ()
    max_frames: int | None = None
    overlong: Literal["skip", "truncate"] = "skip"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit: want {' or '.join(UNITS)}, got {self.unit!r}")
        if not 0 <= self.margin <= MAX_MARGIN:
            raise ValueError(f"margin: want 0 to {MAX_MARGIN} frames, got {self.margin}")
        if self.padding not in PADDINGS:
            raise ValueError(f"padding: want {' or '.join(PADDINGS)}, got {self.padding!r}")
        if self.max_doubt is not None and not 0 <= self.max_doubt <= 1:
            raise ValueError(f"max_doubt: want 0 to 1, got {self.max_doubt}")
        if wrong := [term for term in self.where if not term.partition("=")[0] or "=" not in term]:
            raise ValueError(f"where: want name=value, got {wrong[0]!r}")
        if self.max_frames is not None and self.max_frames < CONTEXT:
            raise ValueError(f"max_frames: want at least {CONTEXT}, one window, got {self.max_frames}")
        if self.overlong not in ("skip", "truncate"):
            raise ValueError(f"overlong: want skip or truncate, got {self.overlong!r}")

    def whole(self) -> "DataConfig":
        """The same kind of examples without filters and truncation, for evaluation."""
        return dataclasses.replace(self, speakers=(), words=(), max_doubt=None, where=(), max_frames=None)


@dataclasses.dataclass(frozen=True)
class PlanConfig:
    """How examples are ordered and batched.

    Attributes:
      batch_size: examples in a global batch, over all workers.
      seed: of the permutations, and of augmentation.
      shuffle: whether each epoch has a new global permutation; otherwise examples keep the order of the index.
      remainder: `drop` the examples of an incomplete last batch, or `pad` it with rows of weight 0.
      max_windows_per_batch: maximum of windows in a batch, padding included. A batch of long examples has fewer rows:
        the largest divisor of `batch_size` within this limit. None for no limit.
      pad_to_multiple: batches are padded to a multiple of this number of windows, so that there are few shapes.
      mix: the share of an epoch of each dataset of a mixture, in any unit; empty: each example once per epoch.
      worker, workers: the number of this worker, and of all that share each batch.

    Raises:
      ValueError: a field is outside its range, or `workers` does not divide `batch_size`.
    """

    batch_size: int = 8
    seed: int = 0
    shuffle: bool = True
    remainder: Literal["drop", "pad"] = "drop"
    max_windows_per_batch: int | None = None
    pad_to_multiple: int = 1
    mix: tuple[float, ...] = ()
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: want 0 or more, got {self.seed}")
        for field in ("batch_size", "pad_to_multiple"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: want at least 1, got {getattr(self, field)}")
        if self.max_windows_per_batch is not None and self.max_windows_per_batch < 1:
            raise ValueError(f"max_windows_per_batch: want at least 1, got {self.max_windows_per_batch}")
        if self.remainder not in ("drop", "pad"):
            raise ValueError(f"remainder: want drop or pad, got {self.remainder!r}")
        if not all(0 < share < np.inf for share in self.mix):
            raise ValueError(f"mix: want shares above 0, got {self.mix}")
        if self.workers < 1 or self.batch_size % self.workers:
            choices = divisors(self.batch_size)
            raise ValueError(f"workers: {self.workers} do not divide batch_size {self.batch_size}; choose of {choices}")
        if not 0 <= self.worker < self.workers:
            raise ValueError(f"worker: want 0 to {self.workers - 1}, got {self.worker}")


def divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """How examples are augmented; everything is off by default.

    Attributes:
      shift: maximum move of the crop each way, in pixels, 0 to 56; border pixels are repeated.
      flip: probability that left and right are swapped.
      brightness: maximum change, in gray levels, 0 to 255.
      contrast: the distance from middle gray is multiplied by 1 - contrast to 1 + contrast.
      mask_frames: maximum length of a run of frames that the clip's mean frame replaces (Ma et al. 2022), 0 to 1000.
      masks: number of such runs, of 0 to `mask_frames` frames each.
      speed: clips are played at 1 - speed to 1 + speed times their speed, by repeating or dropping frames.
      zoom: height and width are each stretched 1 - zoom to 1 + zoom times; border pixels are repeated.
      erase: probability that a rectangle becomes the clip's mean level in all of its frames (Zhong et al. 2020).
      splice: probability that some words of a sentence give way to words of another clip of the talker, see `splice`.

    Raises:
      ValueError: a field is outside its range, or `masks` is set without `mask_frames`.
    """

    shift: int = 0
    flip: float = 0.0
    brightness: int = 0
    contrast: float = 0.0
    mask_frames: int = 0
    masks: int = 1
    speed: float = 0.0
    zoom: float = 0.0
    erase: float = 0.0
    splice: float = 0.0

    def __post_init__(self) -> None:
        for field, limit in (("shift", CROP // 2), ("brightness", 255), ("mask_frames", 1000)):
            if not 0 <= getattr(self, field) <= limit:
                raise ValueError(f"{field}: want 0 to {limit}, got {getattr(self, field)}")
        for field in ("flip", "erase", "splice"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field}: want a probability, got {getattr(self, field)}")
        for field in ("contrast", "zoom", "speed"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}: want 0 <= {field} < 1, got {getattr(self, field)}")
        if self.masks < 1:
            raise ValueError(f"masks: want at least 1, got {self.masks}")
        if self.masks > 1 and not self.mask_frames:
            raise ValueError(f"masks: goes with mask_frames, which is 0, got {self.masks}")
