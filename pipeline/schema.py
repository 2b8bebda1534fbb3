"""What a clip is, how it lies in a record, and what a batch holds: every name, once."""

import dataclasses
import enum
import io
from typing import Literal

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image, UnidentifiedImageError

from pipeline import jpeg

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
    INSIDE = "inside"  # uint8 [B, S]: 1 where the window's middle frame is in the unit's own span
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
class Encoding:
    """How the frames of a record are stored.

    Attributes:
      name: `raw` (uint8, 12,544 bytes a frame), `jpeg` (lossy) or `png` (lossless).
      quality: of jpeg, 1 to 100.
    """

    name: Literal["raw", "jpeg", "png"] = "raw"
    quality: int = 92

    def __post_init__(self) -> None:
        if self.name not in ("raw", "jpeg", "png"):
            raise ValueError(f"encoding: want raw, jpeg or png, got {self.name!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: want 1 to 100, got {self.quality}")

    def encode(self, frames: np.ndarray) -> list[bytes]:
        """uint8 [F, 112, 112] -> one value (raw) or F images."""
        if self.name == "raw":
            return [frames.tobytes()]
        return [self._image(frame) for frame in frames]

    def decode(self, values: list[bytes]) -> np.ndarray:
        """The inverse of `encode`: uint8 [F, 112, 112].

        Raises:
          ValueError: the values are something else.
        """
        if self.name == "raw":
            return np.frombuffer(b"".join(values), np.uint8).reshape(-1, CROP, CROP)
        try:
            alike = jpeg.decode_alike(values, CROP) if self.name == "jpeg" and values else None
            return np.stack([self._pixels(value) for value in values]) if alike is None else alike
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(str(error)) from error

    def _pixels(self, value: bytes) -> np.ndarray:
        try:
            image = Image.open(io.BytesIO(value), formats=[self.name])  # reads the header alone
        except UnidentifiedImageError as error:
            raise ValueError(f"cannot identify image as {self.name}") from error
        with image:
            if image.size != (CROP, CROP) or image.mode != "L":
                raise ValueError(f"an image of {image.size[0]}x{image.size[1]}, mode {image.mode}")
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"an animation of {image.n_frames} frames")
            return np.asarray(image)

    def _image(self, frame: np.ndarray) -> bytes:
        if self.name == "jpeg":
            return jpeg.encode(frame, self.quality)
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, self.name)
        return buffer.getvalue()


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


def to_example(clip: Clip, encoding: Encoding) -> bytes:
    """The record of a clip: a serialized `tf.train.Example`, the same bytes for the same clip."""
    values: dict[str, list] = {
        Key.ID: [clip.id.encode()],
        Key.SPEAKER: [clip.speaker.encode()],
        Key.TEXT: [clip.text.encode()],
        Key.SOURCE: [clip.source.encode()],
        Key.FPS: [clip.fps],
        Key.FRAME_COUNT: [len(clip.frames)],
        Key.FRAMES: encoding.encode(clip.frames),
        Key.TRACKED: clip.tracked.astype(int).tolist(),
        Key.WORD_TEXT: [word.text.encode() for word in clip.words],
        Key.WORD_START: [word.start for word in clip.words],
        Key.WORD_STOP: [word.stop for word in clip.words],
    }
    feature = {str(key): _feature(key, value) for key, value in values.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def _kind(key: Key) -> str:
    if key in (Key.FRAME_COUNT, Key.TRACKED, Key.WORD_START, Key.WORD_STOP):
        return "int64_list"
    return "float_list" if key == Key.FPS else "bytes_list"


def _feature(key: Key, values: list) -> tf.train.Feature:
    kind = _kind(key)
    if kind == "int64_list":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if kind == "float_list":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def from_example(record: bytes, encoding: Encoding) -> Clip:
    """The clip of a record, the inverse of `to_example` (up to jpeg's loss).

    Raises:
      DataError: the bytes are no such record; the message names the key.
    """
    example = tf.train.Example()
    try:
        example.ParseFromString(record)
    except DecodeError as error:
        raise DataError(f"not a tf.train.Example: {error}") from error
    values = {key: _values(example, key) for key in Key}
    for key in (Key.ID, Key.SPEAKER, Key.TEXT, Key.SOURCE, Key.FPS, Key.FRAME_COUNT):
        if len(values[key]) != 1:
            raise DataError(f"key {key!s}: want one value, got {len(values[key])}")
    for key in (Key.WORD_START, Key.WORD_STOP):
        if len(values[key]) != len(values[Key.WORD_TEXT]):
            raise DataError(f"key {key!s}: {len(values[key])} values for {len(values[Key.WORD_TEXT])} words")
    words = zip(values[Key.WORD_TEXT], values[Key.WORD_START], values[Key.WORD_STOP], strict=True)
    try:
        frames = encoding.decode(values[Key.FRAMES])
    except ValueError as error:
        raise DataError(f"key {Key.FRAMES!s}: not {encoding.name} frames of {CROP}x{CROP}: {error}") from error
    if len(frames) != (says := values[Key.FRAME_COUNT][0]):
        raise DataError(f"key {Key.FRAMES!s}: want {says} frames, as {Key.FRAME_COUNT!s} says, got {len(frames)}")
    try:
        return Clip(
            id=values[Key.ID][0],
            speaker=values[Key.SPEAKER][0],
            text=values[Key.TEXT][0],
            source=values[Key.SOURCE][0],
            fps=values[Key.FPS][0],
            frames=frames,
            tracked=np.array(values[Key.TRACKED], bool),
            words=tuple(Word(*word) for word in words),
        )
    except ValueError as error:
        raise DataError(f"malformed record: {error}") from error


def _values(example: tf.train.Example, key: Key) -> list:
    """A key's values, text decoded; none where the key is missing."""
    feature = example.features.feature.get(str(key))
    kind = feature.WhichOneof("kind") if feature is not None else None
    if kind is None:
        return []
    if kind != _kind(key):
        raise DataError(f"key {key!s}: want a {_kind(key)}, got a {kind}")
    values = list(getattr(feature, kind).value)
    if kind != "bytes_list" or key == Key.FRAMES:
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise DataError(f"key {key!s}: not UTF-8: {error}") from error
