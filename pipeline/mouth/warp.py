"""Warps a square out of a picture, by OpenCV on one core and with the same bytes everywhere."""

import math

import numpy as np

from pipeline.video.opencv import cv2


def warp(luma: np.ndarray, affine: np.ndarray, side: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Samples a square that may be turned, scaled and partly outside the picture.

    Pixels outside the picture repeat its border. A square at least twice as large as the result is first reduced by
    area averaging, so that nothing aliases.

    Args:
      luma: uint8 [H, W].
      affine: [2, 3], from result to picture coordinates (x, y); (0, 0) is the outer corner of the first pixel.
      side: height and width of the result, in pixels.
      interpolation: between pixels, a constant of OpenCV.

    Returns:
      uint8 [side, side].
    """
    factor = int(math.hypot(affine[0, 0], affine[1, 0]))
    if factor >= 2:
        luma, affine = _reduce(luma, affine, side, factor)
    matrix = np.array(affine, float)
    matrix[:, 2] += (affine[:, 0] + affine[:, 1] - 1) / 2  # OpenCV counts from the centre of a pixel
    flags = interpolation | cv2.WARP_INVERSE_MAP
    if interpolation == cv2.INTER_LINEAR:
        return cv2.warpAffine(luma, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    # Cubic interpolation takes two thirds of the time in single precision; it goes below 0 at edges.
    fine = cv2.warpAffine(np.float32(luma), matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.convertScaleAbs(np.maximum(fine, 0))


def _reduce(luma: np.ndarray, affine: np.ndarray, side: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that a square needs, reduced by a factor, and the map of the square to it."""
    corners = corners_of(affine, side)
    reach = 3 * factor  # what interpolation needs around the square
    part, corner = cut(luma, corners.min(axis=0) - reach, corners.max(axis=0) + reach, factor)
    moved = np.array(affine, float)
    moved[:, 2] -= corner
    return part, moved / factor


def cut(luma: np.ndarray, low: np.ndarray, high: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a part out of a picture and reduces it by area averaging.

    Args:
      luma: uint8 [H, W].
      low: x, y from which on pixels are wanted.
      high: x, y up to which.
      factor: pixels of the picture, along each side, that become one.

    Returns:
      uint8 [h, w], not a copy where the factor is 1; and x, y of its first pixel in the picture, int [2].
    """
    height, width = luma.shape
    left, right = _span(low[0], high[0], width, factor)
    top, bottom = _span(low[1], high[1], height, factor)
    part = luma[top:bottom, left:right]
    if factor > 1:
        down, across = -part.shape[0] % factor, -part.shape[1] % factor
        part = cv2.copyMakeBorder(part, 0, down, 0, across, cv2.BORDER_REPLICATE) if down or across else part
        height, width = part.shape
        part = cv2.resize(part, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return part, np.array([left, top])


def _span(low: float, high: float, size: int, factor: int) -> tuple[int, int]:
    """The first pixel of a part and the one after its last: inside of the picture, there a multiple of the factor."""
    first = min(max(math.floor(low), 0), size - 1)
    length = max(math.ceil(high) - first, 1)
    return first, min(first + length + -length % factor, size)


def corners_of(affine: np.ndarray, side: int) -> np.ndarray:
    """The picture coordinates [..., 4, 2] of a square's corners, clockwise from the top left, of maps [..., 2, 3]."""
    unit = np.array([[0, 0, 1], [side, 0, 1], [side, side, 1], [0, side, 1]])
    return unit @ np.swapaxes(affine, -1, -2)  # [4, 3] @ [..., 3, 2]
