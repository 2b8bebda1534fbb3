"""Square pixels and the eight orientations, of videos and of images, gray and in color."""

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.schema import ClipError, Reason
from pipeline.video import decode, geometry
from tests import videos

UNIT = 1 << 16
SHAPE = (48, 80)


def corners() -> np.ndarray:
    """A picture that no orientation leaves as it is: each corner of its own brightness, uint8 [48, 80]."""
    picture = np.zeros(SHAPE, np.uint8)
    for (row, column), value in zip(itertools.product((0, 1), (0, 1)), (255, 180, 110, 40), strict=True):
        picture[24 * row : 24 * row + 24, 40 * column : 40 * column + 40] = value
    return picture


def display(a: float, b: float, c: float, d: float) -> list[int]:
    """A display matrix that shows the coded place (x, y) at (a x + c y, b x + d y)."""
    return [*(round(UNIT * value) for value in (a, b)), 0, *(round(UNIT * value) for value in (c, d)), 0, 0, 0, 1 << 30]


ORIENTATIONS = [
    pytest.param((1, 0, 0, 1), lambda p: p, id="as it is"),
    pytest.param((0, 1, -1, 0), lambda p: np.rot90(p, -1), id="a quarter clockwise"),
    pytest.param((-1, 0, 0, -1), lambda p: np.rot90(p, 2), id="half"),
    pytest.param((0, -1, 1, 0), np.rot90, id="a quarter anticlockwise"),
    pytest.param((-1, 0, 0, 1), np.fliplr, id="left and right"),
    pytest.param((1, 0, 0, -1), np.flipud, id="top and bottom"),
    pytest.param((0, 1, 1, 0), np.transpose, id="rows and columns"),
    pytest.param((0, -1, -1, 0), lambda p: np.rot90(p, 2).T, id="the other diagonal"),
]


@pytest.mark.parametrize(("matrix", "turn"), ORIENTATIONS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_display_matrix_is_applied_whole(tmp_path: Path, name: str, matrix: tuple[int, ...], turn: object) -> None:
    path = tmp_path / name
    videos.write(path, [corners()], encoder={"crf": "1"}, matrix=display(*matrix))
    (gray,), (color,) = videos.read(path).luma, decode.read_color(path)
    np.testing.assert_allclose(gray.astype(int), turn(corners()), atol=4)
    np.testing.assert_allclose(color.mean(-1), gray, atol=2)
    with decode.opened(path) as video:
        assert next(iter(video)).flags.c_contiguous


@pytest.mark.parametrize(
    ("degrees", "mirrored", "turn"),
    [
        pytest.param(10, False, lambda p: p, id="10"),
        pytest.param(80, False, np.rot90, id="80"),
        pytest.param(-100, False, lambda p: np.rot90(p, -1), id="-100"),
        pytest.param(170, False, lambda p: np.rot90(p, 2), id="170"),
        pytest.param(10, True, np.fliplr, id="mirrored"),
        pytest.param(80, True, lambda p: np.rot90(np.fliplr(p)), id="mirrored and 80"),
    ],
)
def test_other_angles_are_rounded(tmp_path: Path, degrees: float, mirrored: bool, turn: object) -> None:
    cos, sin, side = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), -1 if mirrored else 1
    path = videos.write(
        tmp_path / "a.mp4", [corners()], encoder={"crf": "1"}, matrix=display(side * cos, -side * sin, sin, cos)
    )
    np.testing.assert_allclose(videos.read(path).luma[0].astype(int), turn(corners()), atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_and_mirrored_by_exif(tmp_path: Path, orientation: int) -> None:
    shown = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda p: np.rot90(p, -1),
        7: lambda p: np.rot90(p, 2).T,
        8: np.rot90,
    }[orientation](corners())
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners()).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(videos.read(tmp_path).luma, [shown])
    np.testing.assert_array_equal(next(decode.read_color(tmp_path)).mean(-1), shown)


def disc(width: int, height: int, aspect: Fraction) -> np.ndarray:
    """A disc that is round in pixels of that aspect ratio, uint8 [height, width]; its radius is 40 square pixels."""
    y, x = np.mgrid[:height, :width] + 0.5
    scale = (float(aspect), 1) if aspect > 1 else (1, 1 / float(aspect))
    far = np.hypot((x - width / 2) * scale[0], (y - height / 2) * scale[1])
    return (255 * (far < 40)).astype(np.uint8)


@pytest.mark.parametrize("turned", [False, True], ids=["", "a quarter"])
@pytest.mark.parametrize(
    ("name", "codec", "coded", "aspect", "size"),
    [
        ("a.mp4", "libx264", (64, 120), Fraction(2), (128, 120)),
        ("a.mp4", "libx264", (90, 96), Fraction(64, 45), (128, 96)),
        ("a.mp4", "libx264", (120, 64), Fraction(1, 2), (120, 128)),
        ("a.mkv", "libx264", (90, 96), Fraction(64, 45), (128, 96)),
        ("a.mpg", "mpeg2video", (144, 96), Fraction(8, 9), (144, 108)),
        ("a.ts", "libx264", (90, 96), Fraction(64, 45), (128, 96)),
        ("a.h264", "libx264", (90, 96), Fraction(64, 45), (128, 96)),
        ("a.avi", "mpeg4", (90, 96), Fraction(64, 45), (128, 96)),
        ("a.mp4", "libx264", (128, 96), Fraction(1), (128, 96)),
    ],
)
def test_pixels_are_made_square(
    tmp_path: Path,
    name: str,
    codec: str,
    coded: tuple[int, int],
    aspect: Fraction,
    size: tuple[int, int],
    turned: bool,
) -> None:
    path, matrix = tmp_path / name, display(0, 1, -1, 0) if turned and name.endswith("mp4") else None
    videos.write(path, [disc(*coded, aspect)] * 3, codec=codec, sample_aspect_ratio=aspect, matrix=matrix)
    gray, color = videos.read(path).luma[1], list(decode.read_color(path))[1]
    width, height = reversed(size) if matrix else size
    assert (gray.shape, color.shape) == ((height, width), (height, width, 3))
    sides = [(gray > 127).any(axis=axis).sum() for axis in (0, 1)]
    assert sides == pytest.approx([80, 80], abs=3)
    assert np.abs(color.mean(-1) - gray).mean() < 1.5


@pytest.mark.parametrize("aspect", [Fraction(9), Fraction(1, 9)])
def test_pixels_of_an_absurd_aspect_are_refused(tmp_path: Path, aspect: Fraction) -> None:
    path = videos.write(tmp_path / "a.mp4", [corners()], sample_aspect_ratio=aspect)
    with pytest.raises(ClipError, match=rf"pixels of {aspect.numerator}:{aspect.denominator}, .* 8:1") as error:
        videos.read(path)
    assert error.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(None, (720, 576)), (Fraction(0), (720, 576)), (Fraction(64, 45), (1024, 576)), (Fraction(8, 9), (720, 648))],
)
def test_square_size(aspect: Fraction | None, size: tuple[int, int]) -> None:
    assert geometry.square_size(720, 576, aspect) == size
