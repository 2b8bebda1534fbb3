"""How a coded picture is shown: in square pixels, and turned or mirrored by its display matrix."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type

from pipeline.schema import ClipError, Reason
from pipeline.video.opencv import cv2

MAX_ASPECT = 8  # of a pixel; a header that states more is wrong
Orientation = tuple[bool, int, int]  # whether x and y change places; the signs of the shown x and y
ORIENTATIONS: list[Orientation] = list(itertools.product((False, True), (1, -1), (1, -1)))  # the identity first


def check_aspect(aspect: Fraction | None, path: Path) -> None:
    """Checks the pixel aspect ratio that a header states.

    Raises:
      ClipError: UNREADABLE where a side of a pixel is more than `MAX_ASPECT` times as long as the other.
    """
    if aspect and not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        detail = f"{path}: pixels of {aspect.numerator}:{aspect.denominator}, the limit is {MAX_ASPECT}:1"
        raise ClipError(Reason.UNREADABLE, detail)


def square_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a picture in square pixels: the side that is squeezed is made longer, so no detail is lost.

    Args:
      width: coded width.
      height: coded height.
      aspect: width of a coded pixel divided by its height; None or 0 where the file does not state it.
    """
    if not aspect:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def squared(pixels: np.ndarray, aspect: Fraction | None) -> np.ndarray:
    """Stretches pixels [H, W] or [H, W, 3] to `square_size`; the bytes do not depend on the machine."""
    height, width = pixels.shape[:2]
    size = square_size(width, height, aspect)
    return pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR_EXACT)


def orientation(frame: av.VideoFrame) -> Orientation:
    """Returns the orientation that the display matrix of a frame states; other angles are rounded to the nearest."""
    matrix = next((data for data in frame.side_data if data.type is Type.DISPLAYMATRIX), None)
    if matrix is None:
        return ORIENTATIONS[0]
    # int32 [a b u; c d v; x y w]: the coded place (x, y) is shown at (a x + c y, b x + d y).
    shown = np.frombuffer(matrix, np.int32).reshape(3, 3)[:2, :2].astype(float)
    return max(ORIENTATIONS, key=lambda orientation: (_matrix(*orientation) * shown).sum())


def upright(pixels: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Turns and mirrors pixels [H, W] or [H, W, 3]."""
    transposed, x, y = orientation
    return np.ascontiguousarray((pixels.swapaxes(0, 1) if transposed else pixels)[::y, ::x])


def _matrix(transposed: bool, x: int, y: int) -> np.ndarray:
    return np.array([[0, y], [x, 0]] if transposed else [[x, 0], [0, y]])
