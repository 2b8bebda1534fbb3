"""Settings of a model and of its training, for which TensorFlow need not load."""

import dataclasses
from typing import Literal

HEADS = ("word", "ctc")
TABLES = ("A", "B", "C")  # of `vgg_m`
WRAPPERS = ("packed", "chunked", "reshape", "map_batch", "map_time", "time_distributed")  # of `sequence`
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("single", "mirrored", "workers")  # of `distribution`
SUMMED_WRAPPERS = ("packed", "reshape")  # wrappers whose batch normalisation meets all windows of a replica at once
TF_CONFIG_EXAMPLE = '{"cluster": {"worker": ["ann:2222", "bob:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class LipReaderConfig:
    """The architecture of a lip reader.

    Attributes:
      classes: words of the vocabulary (word head), or symbols without the blank (ctc head).
      head: "word", one word a row; "ctc", a text a row.
      table: VGG-M's layer table, "A", "B" or "C".
      width: multiplies VGG-M's channels.
      sequence: how the CNN runs over the steps, see `model.sequence`.
      lstm_units: units in each direction.
      lstm_layers: stacked LSTMs.
      bidirectional: run the LSTM in both directions.
      dropout: share of the LSTM inputs set to 0 in training, 0 <= dropout < 1.
      use_in_word: word head only: an LSTM input says whether a step lies in the word itself, and the head averages
        those steps alone.
      precision: what VGG-M computes in: "float32", or half precision as the Keras policies "mixed_bfloat16" and
        "mixed_float16" have it, with variables and statistics in float32. All else is float32: an LSTM's state is a sum
        over the clip, and its products are less than 1% of VGG-M's.

    Raises:
      ValueError: a field is outside its range or choices, or `use_in_word` is set for the ctc head.
    """

    classes: int
    head: str = "word"
    table: str = "B"
    width: float = 1.0
    sequence: str = "packed"
    lstm_units: int = 256
    lstm_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.3
    use_in_word: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        known = {"head": HEADS, "table": TABLES, "sequence": WRAPPERS, "precision": PRECISIONS}
        for field, choices in known.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field}: want one of {', '.join(choices)}, got {getattr(self, field)!r}")
        for field in ("classes", "width", "lstm_units", "lstm_layers"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}: want more than 0, got {getattr(self, field)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: want 0 <= dropout < 1, got {self.dropout}")
        if self.use_in_word and self.head != "word":
            raise ValueError(f"use_in_word: goes with head word only, got head {self.head}")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a training.

    Attributes:
      epochs: passes over the data.
      learning_rate: peak learning rate, reached after the warm-up.
      warmup: share of the steps in which it grows; then a half cosine falls to 0 at the last step.
      weight_decay: AdamW's, on kernels alone (Loshchilov and Hutter 2019).
      clip_norm: the largest global norm of the gradient (Pascanu et al. 2013).
      label_smoothing: of the word head's targets, 0 <= label_smoothing < 1.
      ema: decay of the averaged weights that are validated and read with, see `averaging.Average`; 0 for the weights
        themselves.
      checkpoint_every: steps between checkpoints; each epoch also ends with one.
      monitor: the validation value that picks the best checkpoint: the smallest, and the last of equal ones.
      patience: epochs without a better validation after which training ends; None for no limit.

    Raises:
      ValueError: a field is outside its range.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    checkpoint_every: int = 500
    monitor: Literal["loss", "wer", "cer"] = "cer"
    patience: int | None = None

    def __post_init__(self) -> None:
        for field in ("epochs", "learning_rate", "clip_norm", "checkpoint_every"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}: want more than 0, got {getattr(self, field)}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: want at least 1 epoch, got {self.patience}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay: want 0 or more, got {self.weight_decay}")
        for field in ("warmup", "label_smoothing", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}: want 0 <= {field} < 1, got {getattr(self, field)}")
