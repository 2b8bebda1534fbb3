import io

import numpy as np
import pytest
from PIL import Image

from pipeline.records import jpeg
from pipeline.records.codecs import Encoding
from pipeline.schema import CROP
from tests import datasets

FULL = jpeg.MAX_ROWS // CROP


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [frames, CROP, CROP], np.uint8)


def one_by_one(images: list[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in images])


@pytest.mark.parametrize("quality", [1, 50, 92, 100])
@pytest.mark.parametrize("frames", [1, 2, 9, 75])
def test_jpegs_decoded_at_once_are_those_decoded_one_by_one(frames: int, quality: int) -> None:
    shown = np.concatenate([noise(frames // 2, frames), datasets.pixels(frames - frames // 2, frames)])
    images = [jpeg.encode(frame, quality) for frame in shown]
    np.testing.assert_array_equal(jpeg.decode_alike(images, CROP), one_by_one(images))


def test_the_longest_jpeg_and_one_frame_more() -> None:
    images = [jpeg.encode(frame, 50) for frame in datasets.pixels(90, 1)] * 7
    np.testing.assert_array_equal(jpeg.decode_alike(images[:FULL], CROP), one_by_one(images[:FULL]))
    assert jpeg.decode_alike(images[: FULL + 1], CROP) is None
    np.testing.assert_array_equal(Encoding("jpeg").decode(images[: FULL + 1]), one_by_one(images[: FULL + 1]))


def written(frame: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [{"quality": 91}, {"quality": 92, "optimize": True}, {"quality": 92, "progressive": True}, {"comment": b"a"}],
    ids=str,
)
@pytest.mark.parametrize("place", [0, 1])
def test_jpegs_that_do_not_begin_alike_are_decoded_one_by_one(options: dict, place: int) -> None:
    frames = noise(3)
    images = [jpeg.encode(frame, 92) for frame in frames]
    images[place] = written(frames[place], **options)
    assert jpeg.decode_alike(images, CROP) is None
    np.testing.assert_array_equal(Encoding("jpeg").decode(images), one_by_one(images))


def test_a_marker_among_the_pixels_moves_no_other_frame() -> None:
    images = [jpeg.encode(frame, 92) for frame in noise(3)]
    images[1] = images[1][:1500] + b"\xff\xd5" + images[1][1502:]
    assert jpeg.decode_alike(images, CROP) is None
    np.testing.assert_array_equal(Encoding("jpeg").decode(images)[[0, 2]], one_by_one([images[0], images[2]]))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_jpeg_that_is_cut_is_refused(place: int) -> None:
    images = [jpeg.encode(frame, 92) for frame in noise(3)]
    images[place] = images[place][:1000]
    assert jpeg.decode_alike(images, CROP) is None
    with pytest.raises(ValueError, match="truncated"):
        Encoding("jpeg").decode(images)
