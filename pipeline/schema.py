"""What a clip is, how it lies in a record, and what a batch holds: every name, once."""

import dataclasses
import enum

import numpy as np

SCHEMA_VERSION = 2  # 1: before texts of the index were UTF-8
CROP = 112  # pixels: height and width of a lip frame
CONTEXT = 5  # consecutive frames that make one window
FRAME_BYTES = CROP * CROP  # a lip frame, uint8 gray


class Key(enum.StrEnum):
    """The keys of a record, one `tf.train.Example` a clip."""

    ID = "id"  # bytes: unique in the dataset
    SPEAKER = "speaker"  # bytes
    TEXT = "text"  # bytes, UTF-8: words separated by one space
    SOURCE = "source"  # bytes: the video's path below the corpus root
    FPS = "fps"  # float: frames a second
    FRAME_COUNT = "frame_count"  # int64: F
    FRAMES = "frames"  # bytes: one value of F*112*112 (raw), or F images (jpeg, png)
    TRACKED = "tracked"  # int64 [F]: 0 in a gap that was bridged, where no face was found, else 1
    WORD_TEXT = "words/text"  # bytes [W]
    WORD_START = "words/start"  # int64 [W]: first frame of the word
    WORD_STOP = "words/stop"  # int64 [W]: the frame after its last


class BatchKey:
    """The keys of a batch, a dict of tensors."""

    WINDOWS = "windows"  # uint8 [B, S, 112, 112, 5]
    FRAMES = "frames"  # uint8 [B, F, 112, 112], before the device stage
    LENGTHS = "lengths"  # int32 [B]: valid windows
    IN_WORD = "in_word"  # uint8 [B, S]: 1 where the window's middle frame is in the unit's own span
    LABELS = "labels"  # int32 [B, L]
    LABEL_LENGTHS = "label_lengths"  # int32 [B]: valid labels
    WEIGHTS = "weights"  # float32 [B]: 0 for a row that only fills the last batch
    IDS = "ids"  # string [B]: clip id, with `#k` for its k-th word


class Reason(enum.StrEnum):
    """Why a clip was not converted: the fixed list behind `rejected.csv`."""

    OUTSIDE_ROOT = "outside_root"  # a symbolic link leads out of --source
    UNREADABLE = "unreadable"  # no such file, not a video, or the decoder gives up
    NO_VIDEO = "no_video"  # a container without a video stream or without a frame
    TRUNCATED = "truncated"  # fewer frames than the container or the span promises
    TOO_SHORT = "too_short"  # less than one window
    TOO_LONG = "too_long"  # more than --max_frames
    NO_FACE = "no_face"  # no frame shows a face
    FACE_LOST = "face_lost"  # a gap too long to interpolate
    BAD_TRANSCRIPT = "bad_transcript"  # empty, or an alignment that cannot be read
    BAD_CHARACTER = "bad_character"  # a character outside the alphabet
    TEXT_TOO_LONG = "text_too_long"  # more characters than CTC can fit into the windows
    TIMED_OUT = "timed_out"  # took longer than --clip_timeout_s
    CRASHED = "crashed"  # ended the process that converted it, twice


class DataError(Exception):
    """Data or settings that the user has to mend: the message names the thing, the rule and the way out."""


class ClipError(DataError):
    """One clip cannot be converted; `reason` is its row in `rejected.csv`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and its frames `[start, stop)`."""

    text: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"word {self.text!r}: want 0 <= start < stop, got [{self.start}, {self.stop})")


@dataclasses.dataclass(frozen=True)
class Clip:
    """A converted clip: what one record holds.

    Attributes:
      frames: uint8 [F, 112, 112], gray lip frames at `fps` frames a second.
      tracked: bool [F], False in a gap that was bridged: no face was found there.
      words: the words of `text` with their frames, empty where the corpus has no word times.
    """

    id: str
    speaker: str
    text: str
    source: str
    fps: float
    frames: np.ndarray
    tracked: np.ndarray
    words: tuple[Word, ...]

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.shape[1:] != (CROP, CROP):
            got = f"{self.frames.dtype} {self.frames.shape}"
            raise ValueError(f"clip {self.id!r}: want frames uint8 [F, {CROP}, {CROP}], got {got}")
        if self.tracked.shape != self.frames.shape[:1]:
            raise ValueError(f"clip {self.id!r}: {len(self.tracked)} tracked flags for {len(self.frames)} frames")
