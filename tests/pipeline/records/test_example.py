import base64
import dataclasses
import io
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.records.codecs import Encoding
from pipeline.records.example import from_example, to_example
from pipeline.schema import CROP, Clip, DataError, Key, Word
from tests import datasets

GOLDEN_CLIP = Clip(
    id="s1/bbaf2n",
    speaker="s1",
    text="bin it",
    source="s1/bbaf2n.mpg",
    fps=25.0,
    frames=np.repeat(np.arange(10, 60, 10, dtype=np.uint8), CROP * CROP).reshape(5, CROP, CROP),
    tracked=np.array([True, True, False, True, True]),
    words=(Word("bin", 0, 2), Word("it", 2, 5)),
)
# The record of GOLDEN_CLIP, schema version 1, raw; zlib, base 64.
GOLDEN_RAW = (
    "eNrtzkFKI1EUBdBUKqnoCyL+Tg+MIA4dtegOXElTSSpNEJNQVaJDBw5cQC+q19LOHVvY2GuowTnw4HPf5/Li/S2P48jX+yYd"
    "pCJGg8Gf25jFdF2X99XP5e5h26bxPI9sHL//5lF85k167d4v3Tx3AwAAAAAAAAAAAAAA0HMzAAAAAAAAAAAAAACAnjsHAAAA"
    "AAAAAAAAAADouUsAAAAAAAAAAAAAAICeuwEAAAAAAAAAAAAAAOi5+BbDzSodxTQOm+urxaJc32zjLIpm91Avq3QSx3H0f/Hj"
    "fv8rTmLS7KvyrqpTEaMYNteRYtRWT22KOIhisdlebNqYxaSty+VdtUqH80mMs2yQZfE9po+7etVcNW1Zt6mYdwWDYfc5vuLd"
    "/l86HMfpV/pZ3l0YeVfeHdx+AHjC8bM="
)
GOLDEN_PNG = (
    "eNrjWsPCxc/FnFZQLMQhxMbFwsBwwpFLhIs7rSgxNzU+Ob80r0SIVYqZi5GV6zQTFxtYuFjoABPXXiauXUydAX7uvFxSXAwMDLye"
    "Hi5BQLqAgYHJgAPIYKj22XCJgYGR0dPFMaRiztvbCwUZDHiObFgWfuUvO1+dhJCK/gLOmP9vyqbbKghwsDA1OhCmDiSez2ckTimQ"
    "kvip2+BArNnG+1mJdYVDwrPtDMQ6guOM1DIGlllzvy6sAQWKp6ufyzqnhCYuYS6mzBQhXi5uLs5iQ/2kpMQ0ozwuaS624vzSouRU"
    "IUFgrPDCJfRyC9K5BLnYiwtSE7NTi0ARxcVUbMglxMVSklpRIsTFxcHFlpSZp5BZAow89pKixOTs1BQhTil2LlZGRmAccIlycZfn"
    "F6UU6xeXJBaVCLFJAQ1gYAIq5oIJ5xdARJlYuSRhomDDgS7kYgYaDnRwCQD22HYt"
)


def unpack(packed: str) -> bytes:
    return zlib.decompress(base64.b64decode(packed))


def assert_same(got: Clip, want: Clip) -> None:
    for field in dataclasses.fields(Clip):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(want, field.name), err_msg=field.name)


def example(**changes: Any) -> bytes:
    """The golden record with some keys, in upper case, of other values; None removes a key."""
    record = tf.train.Example.FromString(to_example(GOLDEN_CLIP, Encoding()))
    features = record.features.feature
    for name, values in changes.items():
        key = str(Key[name])
        features.pop(key, None)
        if values is None:
            continue
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(features[key], kind).value.extend(values)
    return record.SerializeToString()


def image(size: tuple[int, int], mode: str = "L", name: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, name)
    return buffer.getvalue()


def test_the_record_is_the_golden_record() -> None:
    assert to_example(GOLDEN_CLIP, Encoding()) == unpack(GOLDEN_RAW)


@pytest.mark.parametrize(("packed", "encoding"), [(GOLDEN_RAW, "raw"), (GOLDEN_PNG, "png")])
def test_the_golden_record_is_read(packed: str, encoding: str) -> None:
    assert_same(from_example(unpack(packed), Encoding(encoding)), GOLDEN_CLIP)


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("words", [datasets.SPOKEN, ()], ids=["words", "no words"])
def test_round_trip_is_exact(encoding: str, words: tuple) -> None:
    clip = dataclasses.replace(datasets.clip("s1/ü", 11, words), text="ünïcode")
    noise = np.random.default_rng(0).integers(0, 256, clip.frames.shape, np.uint8)
    clip = dataclasses.replace(clip, frames=noise)
    assert_same(from_example(to_example(clip, Encoding(encoding)), Encoding(encoding)), clip)


COLUMNS = st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=4, unique_by=lambda pair: pair[0])


@given(COLUMNS)
def test_columns_of_the_table_are_had_back(columns: list[tuple[str, str]]) -> None:
    clip = dataclasses.replace(datasets.clip("s1/a", 5), columns=tuple(columns))
    assert from_example(to_example(clip, Encoding()), Encoding()).columns == tuple(columns)


def test_columns_lie_under_their_keys_and_take_none_where_there_are_none() -> None:
    plain = tf.train.Example.FromString(to_example(GOLDEN_CLIP, Encoding())).features.feature
    clip = dataclasses.replace(GOLDEN_CLIP, columns=(("room", "studio 1"), ("été", "")))
    record = tf.train.Example.FromString(to_example(clip, Encoding())).features.feature
    assert set(record) - set(plain) == {"columns/name", "columns/value"}
    assert list(record["columns/name"].bytes_list.value) == [b"room", "été".encode()]
    assert list(record["columns/value"].bytes_list.value) == [b"studio 1", b""]


@pytest.mark.parametrize(("quality", "near"), [(92, 3), (30, 12)])
def test_jpeg_round_trip_is_close(quality: int, near: int) -> None:
    clip, encoding = datasets.clip("s1/a", 11, seed=4), Encoding("jpeg", quality)
    got = from_example(to_example(clip, encoding), encoding)
    assert np.abs(got.frames.astype(int) - clip.frames).max() <= near
    assert_same(dataclasses.replace(got, frames=clip.frames), clip)


def test_jpeg_quality_decides_the_size() -> None:
    clip = datasets.clip("s1/a", 8)
    sizes = [len(to_example(clip, Encoding("jpeg", quality))) for quality in (20, 60, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (b"\xff\xff", "not a tf.train.Example"),
        (b"", "key id: want one value, got 0"),
        *[(example(**{key: None}), f"key {Key[key]}: want one value, got 0") for key in ("TEXT", "FPS", "FRAME_COUNT")],
        (example(ID=[b"a", b"b"]), "key id: want one value, got 2"),
        (example(ID=[7]), "key id: want a bytes_list, got a int64_list"),
        (example(FPS=[25]), "key fps: want a float_list, got a int64_list"),
        (example(TRACKED=[1.0] * 5), "key tracked: want a int64_list, got a float_list"),
        (example(FRAMES=[1]), "key frames: want a bytes_list, got a int64_list"),
        (example(SPEAKER=[b"\xff"]), "key speaker: not UTF-8"),
        (example(FRAMES=[b"1" * (CROP * CROP - 1)]), "key frames: not raw frames of 112x112"),
        (example(FRAMES=None), "key frames: want 5 frames, as frame_count says, got 0"),
        (example(FRAME_COUNT=[6]), "key frames: want 6 frames, as frame_count says, got 5"),
        (example(FRAME_COUNT=[-1]), "key frames: want -1 frames, as frame_count says, got 5"),
        (example(TRACKED=[1, 1]), "2 tracked flags for 5 frames"),
        (example(WORD_START=[0]), "key words/start: 1 values for 2 words"),
        (example(WORD_STOP=None), "key words/stop: 0 values for 2 words"),
        (example(COLUMN_NAME=[b"a"]), "key columns/value: 0 values for 1 names"),
        (example(COLUMN_VALUE=[b"a"]), "key columns/value: 1 values for 0 names"),
        (example(COLUMN_NAME=[b"a", b"b"], COLUMN_VALUE=[b"1"]), "key columns/value: 1 values for 2 names"),
        (example(COLUMN_NAME=[1], COLUMN_VALUE=[b"1"]), "key columns/name: want a bytes_list, got a int64_list"),
        (example(COLUMN_NAME=[b"a"], COLUMN_VALUE=[1.5]), "key columns/value: want a bytes_list, got a float_list"),
        (example(COLUMN_NAME=[b"a"], COLUMN_VALUE=[b"\xff"]), "key columns/value: not UTF-8"),
        (
            example(COLUMN_NAME=[b"a", b"b", b"a"], COLUMN_VALUE=[b"1", b"2", b"3"]),
            "columns/name: want distinct names, none empty, got 'a', 'b', 'a'",
        ),
        (example(COLUMN_NAME=[b""], COLUMN_VALUE=[b"1"]), "columns/name: want distinct names, none empty, got ''"),
        (example(WORD_START=[3, 2]), r"word 'bin': want 0 <= start < stop, got \[3, 2\)"),
    ],
)
def test_a_malformed_record_is_refused(record: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        from_example(record, Encoding())


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (b"text", "cannot identify image"),
        (image((CROP, CROP))[:-30], "key frames: not png frames"),
        (image((113, CROP)), "an image of 113x112"),
        (image((CROP, CROP), "RGB"), "mode RGB"),
        (image((CROP, CROP), "CMYK", "jpeg"), "cannot identify image as png"),
        (image((20000, 20000), "1"), "key frames: not png frames.*exceeds limit"),
    ],
    ids=["no image", "truncated", "size", "colour", "another format", "bomb"],
)
def test_a_malformed_image_is_refused(value: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        from_example(example(FRAMES=[value] * 5), Encoding("png"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Encoding("gif"), "encoding: want raw, jpeg or png, got 'gif'"),
        (lambda: Encoding("jpeg", 0), "quality: want 1 to 100, got 0"),
        (lambda: Encoding("jpeg", 101), "quality: want 1 to 100, got 101"),
        (lambda: Word("a", 3, 3), r"word 'a': want 0 <= start < stop, got \[3, 3\)"),
        (lambda: Word("a", -1, 3), r"got \[-1, 3\)"),
        (
            lambda: dataclasses.replace(GOLDEN_CLIP, frames=np.zeros((5, 112, 112), np.float32)),
            r"clip 's1/bbaf2n': want frames uint8 \[F, 112, 112\], got float32 \(5, 112, 112\)",
        ),
        (lambda: dataclasses.replace(GOLDEN_CLIP, frames=np.zeros((5, 96, 96), np.uint8)), "got uint8"),
        (lambda: dataclasses.replace(GOLDEN_CLIP, tracked=np.ones(4, bool)), "4 tracked flags for 5 frames"),
    ],
)
def test_bad_values_are_refused_at_construction(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()
