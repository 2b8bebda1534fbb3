"""The names and types that all stages share: record keys, batch keys, reject reasons, errors, words and clips."""

import dataclasses
import enum

import numpy as np

SCHEMA_VERSION = 3  # 2: an image held one frame, the index no place of pixels; 1: fixed-width strings
CROP = 112  # height and width of a lip frame, in pixels
CONTEXT = 5  # consecutive frames per window
DOUBTFUL = 0.5  # a clip's doubt, from which on it is to be looked at
FRAME_BYTES = CROP * CROP  # of a lip frame, uint8 gray


class Key(enum.StrEnum):
    """The keys of a record, which is one `tf.train.Example` per clip."""

    ID = "id"  # bytes, unique in the dataset
    SPEAKER = "speaker"  # bytes
    TEXT = "text"  # bytes, UTF-8: words separated by one space
    SOURCE = "source"  # bytes: the video's path below the corpus root
    FPS = "fps"  # float: frames per second
    FRAME_COUNT = "frame_count"  # int64: F
    FRAMES = "frames"  # bytes: one value of F*112*112 (raw), or images of up to 584 frames, one below the other
    TRACKED = "tracked"  # int64 [F]: 0 where no face was found and the crop was interpolated, else 1
    DOUBT = "doubt"  # float, 0 to 1: how doubtful it is that the crops show the talker's lips; missing if not scored
    DOUBT_CAUSE = "doubt_cause"  # bytes: why; missing below 0.5
    COLUMN_NAME = "columns/name"  # bytes [C]: kept columns of the corpus's table; missing if there are none
    COLUMN_VALUE = "columns/value"  # bytes [C]: the clip's cell of each; missing if there are none
    WORD_TEXT = "words/text"  # bytes [W]
    WORD_START = "words/start"  # int64 [W]: first frame of the word
    WORD_STOP = "words/stop"  # int64 [W]: frame after the last of the word


class BatchKey:
    """The keys of a batch, which is a dict of tensors."""

    WINDOWS = "windows"  # uint8 [B, S, 112, 112, 5]
    FRAMES = "frames"  # uint8 [B, F, 112, 112], before windows are made
    LENGTHS = "lengths"  # int32 [B]: number of valid windows
    IN_WORD = "in_word"  # uint8 [B, S]: 1 where the window's middle frame is in the word's span
    LABELS = "labels"  # int32 [B, L]
    LABEL_LENGTHS = "label_lengths"  # int32 [B]: number of valid labels
    WEIGHTS = "weights"  # float32 [B]: 0 for a padding row or a skipped record, else 1
    IDS = "ids"  # string [B]: clip ids, with `#k` for the k-th word of a clip


class Reason(enum.StrEnum):
    """The reasons for rejecting a clip in conversion, as stored in `rejected.csv`."""

    OUTSIDE_ROOT = "outside_root"  # a symbolic link leads out of --source
    UNREADABLE = "unreadable"  # no such file, not a video, or a decoding error
    NO_VIDEO = "no_video"  # no video stream, or no frame in it
    TRUNCATED = "truncated"  # fewer frames than the container or the span states
    TOO_SHORT = "too_short"  # fewer frames than one window
    TOO_LONG = "too_long"  # more frames than --max_frames
    NO_FACE = "no_face"  # no face with its mouth inside the picture in any frame
    FACE_LOST = "face_lost"  # no such face in more than --max_gap frames in a row, or another face or place
    BAD_TRANSCRIPT = "bad_transcript"  # an empty transcript, or an invalid label file
    BAD_CHARACTER = "bad_character"  # a character outside the alphabet
    TEXT_TOO_LONG = "text_too_long"  # CTC needs more windows than the clip has, see vocab.min_ctc_windows
    TIMED_OUT = "timed_out"  # took longer than --clip_timeout_s
    CRASHED = "crashed"  # its conversion crashed the worker process twice
    OUT_OF_MEMORY = "out_of_memory"  # its conversion ended the worker process twice, for want of memory


class DataError(Exception):
    """Invalid data or settings; the message names the file or flag, the rule and the remedy."""


class BusyError(DataError):
    """Another process holds what only one may hold."""


class StorageError(OSError):
    """A store of objects refuses or does not answer; the message names the object, the server and the way out.

    It is no damage to a record or a clip: whatever skips or rejects those does not skip this.
    """


class ClipError(DataError):
    """One clip cannot be converted; `reason` and `detail` are stored in `rejected.csv`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and its frames, from `start` to before `stop`."""

    text: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"word {self.text!r}: want 0 <= start < stop, got [{self.start}, {self.stop})")


@dataclasses.dataclass(frozen=True)
class Clip:
    """A converted clip, the content of one record.

    Attributes:
      frames: uint8 [F, 112, 112], gray lip frames at `fps` frames per second.
      tracked: bool [F], False where no face was found and the crop was interpolated.
      words: the words of `text` with their frames; empty where the corpus has no word times.
      doubt: 0 to 1, how doubtful it is that the crops show the talker's lips; None if it is not scored, as of a fixed
        box.
      doubt_cause: why, one of `mouth.doubt.CAUSES`; empty below 0.5.
      columns: (name, value) of each kept column of the corpus's table; names are distinct and not empty.
    """

    id: str
    speaker: str
    text: str
    source: str
    fps: float
    frames: np.ndarray
    tracked: np.ndarray
    words: tuple[Word, ...]
    doubt: float | None = None
    doubt_cause: str = ""
    columns: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.doubt is not None and not 0 <= self.doubt <= 1:
            raise ValueError(f"clip {self.id!r}: want a doubt of 0 to 1, got {self.doubt}")
        if self.frames.dtype != np.uint8 or self.frames.shape[1:] != (CROP, CROP):
            got = f"{self.frames.dtype} {self.frames.shape}"
            raise ValueError(f"clip {self.id!r}: want frames uint8 [F, {CROP}, {CROP}], got {got}")
        if self.tracked.shape != self.frames.shape[:1]:
            raise ValueError(f"clip {self.id!r}: {len(self.tracked)} tracked flags for {len(self.frames)} frames")
        names = [name for name, _ in self.columns]
        if len(set(names)) < len(names) or "" in names:
            shown = ", ".join(map(repr, names))
            raise ValueError(f"clip {self.id!r}: {Key.COLUMN_NAME!s}: want distinct names, none empty, got {shown}")
