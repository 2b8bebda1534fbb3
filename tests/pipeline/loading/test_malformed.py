"""Records whose CRC is right and whose content is not: features, types, counts, pictures."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.loading import dataset as data
from pipeline.records.codecs import Encoding
from pipeline.records.example import to_example
from pipeline.schema import CROP, Clip, Key
from tests import datasets, laws
from tests.pipeline.loading import damaged
from tests.pipeline.loading.conftest import Hold


def changed(clip: Clip, encoding: Encoding, **changes: Any) -> bytes:
    """A clip's record with other features; None takes one away. As many bytes as frames need stay in it."""
    example = tf.train.Example.FromString(to_example(clip, encoding))
    for name, value in changes.items():
        key = str(Key[name])
        del example.features.feature[key]
        if value is not None:
            example.features.feature[key].MergeFrom(value)
    padding = bytes(len(clip.frames) * CROP * CROP)
    example.features.feature["padding"].bytes_list.value.append(padding)
    return example.SerializeToString(deterministic=True)


def numbers(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def texts(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


RAW: dict[str, tuple[Callable[[Clip], bytes], str]] = {
    "no Example": (lambda clip: b"no example" * 20_000, "not a tf.train.Example"),
    "no id": (lambda clip: changed(clip, Encoding(), ID=None), "key id: want one value, got 0"),
    "no frames": (
        lambda clip: changed(clip, Encoding(), FRAMES=None),
        "key frames: want 12 frames, as frame_count says, got 0",
    ),
    "another type": (lambda clip: changed(clip, Encoding(), FRAME_COUNT=texts(b"12")), "key frame_count: want a int64"),
    "a frame less": (
        lambda clip: changed(clip, Encoding(), FRAMES=texts(clip.frames[1:].tobytes())),
        "key frames: want 12 frames, as frame_count says, got 11",
    ),
    "a byte less": (
        lambda clip: changed(clip, Encoding(), FRAMES=texts(clip.frames.tobytes()[1:])),
        "key frames: not raw",
    ),
    "absurd count": (
        lambda clip: changed(clip, Encoding(), FRAME_COUNT=numbers(2**60)),
        "key frames: want 1152921504606846976 frames, as frame_count says, got 12",
    ),
    "another text": (lambda clip: changed(clip, Encoding(), TEXT=texts(b"at")), "differs from the index in text"),
    "not UTF-8": (lambda clip: changed(clip, Encoding(), TEXT=texts(b"\xff")), "key text: not UTF-8"),
}


@pytest.mark.parametrize("name", RAW)
def test_a_malformed_record_with_a_right_crc_is_named(tmp_path: Path, hold: Hold, name: str) -> None:
    dataset = damaged.write(tmp_path / "data")
    sound = laws.read(data.load(dataset, "train", damaged.SENTENCE, damaged.IN_ORDER))
    make, reason = RAW[name]
    dataset = hold(datasets.with_record(dataset, damaged.BAD, make(damaged.CLIPS[damaged.BAD])))
    damaged.refused(dataset, reason)
    damaged.skipped(dataset, sound, reason)


def image(kind: str, size: tuple[int, int] = (CROP, CROP), mode: str = "L", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    frames = [Image.new("L", (CROP, CROP), shade) for shade in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def resized(value: bytes, at: int, form: str) -> bytes:
    """An image whose header says 20000x20000."""
    return value[:at] + struct.pack(form, 20_000, 20_000) + value[at + struct.calcsize(form) :]


IMAGES: dict[str, tuple[str, bytes, str]] = {
    "png, said to be vast": ("png", resized(image("png"), 16, ">II"), "key frames: not png frames of 112x112"),
    "png, vast": ("png", image("png", (20_000, 20_000), "1"), "key frames: not png frames of 112x112"),
    "png, truncated": ("png", image("png")[:-30], "key frames: not png"),
    "png, wide": ("png", image("png", (113, CROP)), "an image of 113x112, mode L"),
    "png, colour": ("png", image("png", mode="RGB"), "mode RGB"),
    "png, 16 bits": ("png", image("png", mode="I;16"), "mode I;16"),
    "png, animated": ("png", animated("png"), "an animation of 3 frames"),
    "gif for png": ("png", image("gif"), "cannot identify image as png"),
    "jpeg for png": ("png", image("jpeg"), "cannot identify image as png"),
    "jpeg, said to be vast": ("jpeg", resized(image("jpeg"), 94, ">HH"), "key frames: not jpeg frames of 112x112"),
    "jpeg, truncated": ("jpeg", image("jpeg")[:200], "key frames: not jpeg"),
    "jpeg, CMYK": ("jpeg", image("jpeg", mode="CMYK"), "mode CMYK"),
    "jpeg, several in one (MPO)": ("jpeg", animated("mpo"), "an animation of 3 frames"),
    "png for jpeg": ("jpeg", image("png"), "cannot identify image as jpeg"),
    "nothing": ("jpeg", b"", "cannot identify image as jpeg"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_picture_of_another_kind_is_refused_before_it_is_decoded(tmp_path: Path, hold: Hold, name: str) -> None:
    encoding, value, reason = IMAGES[name]
    sound = damaged.write(tmp_path / "data", encoding=encoding)
    want = laws.read(data.load(sound, "train", damaged.SENTENCE, damaged.IN_ORDER))
    values = [*Encoding(encoding).encode(damaged.CLIPS[damaged.BAD].frames)[:-1], value]
    dataset = hold(
        datasets.with_record(
            sound, damaged.BAD, changed(damaged.CLIPS[damaged.BAD], Encoding(encoding), FRAMES=texts(*values))
        )
    )
    damaged.refused(dataset, reason)
    damaged.skipped(dataset, want, reason)


def test_a_picture_less_is_refused(tmp_path: Path) -> None:
    values = Encoding("png").encode(damaged.CLIPS[damaged.BAD].frames[:-1])
    dataset = datasets.with_record(
        damaged.write(tmp_path / "data", encoding="png"),
        damaged.BAD,
        changed(damaged.CLIPS[damaged.BAD], Encoding("png"), FRAMES=texts(*values)),
    )
    damaged.refused(dataset, "key frames: want 12 frames, as frame_count says, got 11")


def test_images_that_are_not_full_are_refused(tmp_path: Path) -> None:
    values = [
        each for frames in np.split(damaged.CLIPS[damaged.BAD].frames, 2) for each in Encoding("jpeg").encode(frames)
    ]
    dataset = datasets.with_record(
        damaged.write(tmp_path / "data", encoding="jpeg"),
        damaged.BAD,
        changed(damaged.CLIPS[damaged.BAD], Encoding("jpeg"), FRAMES=texts(*values)),
    )
    damaged.refused(dataset, r"want images of 584 frames and a last one, got \[6, 6\]")
