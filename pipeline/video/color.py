"""Converts a decoded picture to upright, square, full-range pixels: gray or RGB."""

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipeline.video import geometry

PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12")  # 8 bits, luma the first plane
BLACK, WHITE = 16, 235  # luma of limited range
EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
cv2.setNumThreads(1)  # clips are converted in parallel instead


class Converter:
    """Converts the pictures of a stream whose pixels have the aspect ratio `aspect` (width by height)."""

    def __init__(self, aspect: Fraction | None) -> None:
        self._aspect = aspect
        self._reformatter = VideoReformatter()

    def gray(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns uint8 [H, W], 0 black to 255 white."""
        if self._size(frame) == (frame.width, frame.height) and _has_luma_plane(frame):
            return geometry.upright(_full_range_luma(frame), frame)
        return self._reformat(frame, "gray")

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns uint8 [H, W, 3] of the same size as `gray`."""
        return self._reformat(frame, "rgb24")

    def _size(self, frame: av.VideoFrame) -> tuple[int, int]:
        return geometry.square_size(frame.width, frame.height, self._aspect)

    def _reformat(self, frame: av.VideoFrame, format: str) -> np.ndarray:
        width, height = self._size(frame)
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=format,
            dst_color_range="JPEG",
            interpolation=Interpolation.BICUBIC | EXACT,
            threads=1,
        )
        return geometry.upright(converted.to_ndarray(), frame)


def _has_luma_plane(frame: av.VideoFrame) -> bool:
    return frame.format.name in PLANAR and frame.planes[0].line_size > 0


def _full_range_luma(frame: av.VideoFrame) -> np.ndarray:
    """The luma plane as libswscale converts it: no value is near enough to a half to be rounded differently."""
    plane = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    if frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG:
        return luma.copy()
    return cv2.convertScaleAbs(cv2.subtract(luma, BLACK), alpha=255 / (WHITE - BLACK))
