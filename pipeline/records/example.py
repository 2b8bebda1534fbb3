"""Serializes a clip as a `tf.train.Example`, and parses one."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from pipeline.records.codecs import Encoding
from pipeline.schema import CROP, Clip, DataError, Key, Word

LABELS = (
    Key.ID,
    Key.SPEAKER,
    Key.TEXT,
    Key.WORD_TEXT,
    Key.WORD_START,
    Key.WORD_STOP,
    Key.COLUMN_NAME,
    Key.COLUMN_VALUE,
)
COMPARED = 64  # bytes of a value by which it is looked for


def to_example(clip: Clip, encoding: Encoding) -> bytes:
    """Serializes a clip as a `tf.train.Example`; the same clip gives the same bytes."""
    values: dict[str, list] = {
        **_label_values(clip.id, clip.speaker, clip.text, clip.words, clip.columns),
        Key.SOURCE: [clip.source.encode()],
        Key.FPS: [clip.fps],
        Key.FRAME_COUNT: [len(clip.frames)],
        Key.FRAMES: encoding.encode(clip.frames),
        Key.TRACKED: clip.tracked.astype(int).tolist(),
    }
    if clip.doubt is not None:
        values[Key.DOUBT] = [clip.doubt]
    if clip.doubt_cause:
        values[Key.DOUBT_CAUSE] = [clip.doubt_cause.encode()]
    feature = {str(key): _feature(key, value) for key, value in values.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def relabelled(
    record: bytes, id: str, speaker: str, text: str, words: Sequence[Word], columns: Sequence[tuple[str, str]]
) -> bytes:
    """Returns a record with the same crops and other labels, as `to_example` would serialize it.

    Raises:
      DataError: the bytes are not a `tf.train.Example`.
    """
    example = parse(record)
    features = example.features.feature  # changed in place: frames that are copied cost more than all else
    for key in LABELS:
        features.pop(str(key), None)
    for key, value in _label_values(id, speaker, text, words, columns).items():
        features[str(key)].CopyFrom(_feature(key, value))
    return example.SerializeToString(deterministic=True)


def _label_values(
    id: str, speaker: str, text: str, words: Sequence[Word], columns: Sequence[tuple[str, str]]
) -> dict[Key, list]:
    values = {
        Key.ID: [id.encode()],
        Key.SPEAKER: [speaker.encode()],
        Key.TEXT: [text.encode()],
        Key.WORD_TEXT: [word.text.encode() for word in words],
        Key.WORD_START: [word.start for word in words],
        Key.WORD_STOP: [word.stop for word in words],
    }
    if columns:
        values[Key.COLUMN_NAME] = [name.encode() for name, _ in columns]
        values[Key.COLUMN_VALUE] = [value.encode() for _, value in columns]
    return values


def _kind(key: Key) -> str:
    if key in (Key.FRAME_COUNT, Key.TRACKED, Key.WORD_START, Key.WORD_STOP):
        return "int64_list"
    return "float_list" if key in (Key.FPS, Key.DOUBT) else "bytes_list"


def _feature(key: Key, values: list) -> tf.train.Feature:
    kind = _kind(key)
    if kind == "int64_list":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if kind == "float_list":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def from_example(record: bytes, encoding: Encoding) -> Clip:
    """Parses the clip of a record, the inverse of `to_example`; jpeg frames are lossy.

    Raises:
      DataError: the bytes are not such a record; the message names the key.
    """
    example = parse(record)
    values = {key: _values(example, key) for key in Key}
    for key in (Key.ID, Key.SPEAKER, Key.TEXT, Key.SOURCE, Key.FPS, Key.FRAME_COUNT):
        if len(values[key]) != 1:
            raise DataError(f"key {key!s}: want one value, got {len(values[key])}")
    for key in (Key.DOUBT, Key.DOUBT_CAUSE):
        if len(values[key]) > 1:
            raise DataError(f"key {key!s}: want one value at most, got {len(values[key])}")
    for key in (Key.WORD_START, Key.WORD_STOP):
        if len(values[key]) != len(values[Key.WORD_TEXT]):
            raise DataError(f"key {key!s}: {len(values[key])} values for {len(values[Key.WORD_TEXT])} words")
    if len(values[Key.COLUMN_VALUE]) != len(values[Key.COLUMN_NAME]):
        found = f"{len(values[Key.COLUMN_VALUE])} values for {len(values[Key.COLUMN_NAME])} names"
        raise DataError(f"key {Key.COLUMN_VALUE!s}: {found}")
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
            doubt=next(iter(values[Key.DOUBT]), None),
            doubt_cause=next(iter(values[Key.DOUBT_CAUSE]), ""),
            columns=tuple(zip(values[Key.COLUMN_NAME], values[Key.COLUMN_VALUE], strict=True)),
        )
    except ValueError as error:
        raise DataError(f"malformed record: {error}") from error


def parse(record: bytes) -> tf.train.Example:
    """Parses a record.

    Raises:
      DataError: the bytes are not a `tf.train.Example`.
    """
    try:
        return tf.train.Example.FromString(record)
    except DecodeError as error:
        raise DataError(f"not a tf.train.Example: {error}") from error


def pixels_offset(record: bytes) -> int:
    """The byte of a record where its frames begin, in whatever order its keys were written.

    Raises:
      DataError: the bytes are not a `tf.train.Example` with frames.
    """
    values = _values(parse(record), Key.FRAMES)
    if not values or not values[0]:
        raise DataError(f"key {Key.FRAMES!s}: want frames, got none")
    offset = record.find(values[0][:COMPARED])
    while not record.startswith(values[0], offset):
        offset = record.find(values[0][:COMPARED], offset + 1)
    return offset


def _values(example: tf.train.Example, key: Key) -> list:
    """The values of a key, with strings decoded; empty if the key is missing."""
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
