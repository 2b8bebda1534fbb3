"""Converts a decoded picture to upright, square, full-range pixels: gray or RGB."""

import re
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipeline.video import geometry
from pipeline.video.opencv import cv2

HAS_LUMA_PLANE = re.compile(r"(?:yuv[aj]?4\d\dp|nv12)(?:(\d+)le)?")  # the first plane is luma, of so many bits or 8
BLACK, WHITE = 16, 235  # luma of limited range and 8 bits


class Converter:
    """Converts the pictures of a stream whose pixels have the aspect ratio `aspect` (width by height)."""

    def __init__(self, aspect: Fraction | None) -> None:
        self._aspect = aspect
        self._orientations: dict[int, geometry.Orientation] = {}  # by rotation
        self._reformatter = VideoReformatter()

    def gray(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns the luma, uint8 [H, W], 0 black to 255 white."""
        luma = _luma(frame)
        return self._shown(self._reformat(frame, "gray") if luma is None else luma, frame)

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns uint8 [H, W, 3] of the same size as `gray`."""
        return self._shown(self._reformat(frame, "rgb24"), frame)

    def _shown(self, pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
        rotation = frame.rotation
        if rotation not in self._orientations:  # once, since PyAV keeps frames whose side data was asked for alive
            self._orientations[rotation] = geometry.orientation(frame)
        return geometry.upright(geometry.squared(pixels, self._aspect), self._orientations[rotation])

    def _reformat(self, frame: av.VideoFrame, format: str) -> np.ndarray:
        exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        converted = self._reformatter.reformat(
            frame, format=format, dst_color_range="JPEG", interpolation=exact, threads=1
        )
        return converted.to_ndarray()


def _luma(frame: av.VideoFrame) -> np.ndarray | None:
    """The luma plane, stretched to full range and rounded; None where there is no such plane."""
    plane, match = frame.planes[0], HAS_LUMA_PLANE.fullmatch(frame.format.name)
    if match is None or plane.line_size < 0:
        return None
    depth = int(match[1] or 8)
    values = np.frombuffer(plane, np.uint8 if depth == 8 else np.uint16)
    luma = values.reshape(-1, plane.line_size // values.itemsize)[: frame.height, : frame.width]
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    black, white = (0, (1 << depth) - 1) if full else (BLACK << depth - 8, WHITE << depth - 8)
    return cv2.convertScaleAbs(cv2.subtract(luma, black), alpha=255 / (white - black))
