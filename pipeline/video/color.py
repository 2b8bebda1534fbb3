"""Converts a decoded picture to upright, full-range pixels: gray or RGB."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipeline.video import images

PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12")  # 8 bits, luma the first plane
FULL_RANGE = bytes(np.rint((np.arange(256) - 16) * 255 / 219).clip(0, 255).astype(np.uint8))  # of 16 to 235


def to_gray(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns uint8 [H, W], 0 black to 255 white, scaled down to the size of `images.fit`."""
    fits = images.fit(frame.width, frame.height) == (frame.width, frame.height)
    if fits and frame.format.name in PLANAR and frame.planes[0].line_size > 0:
        return _upright(_full_range_luma(frame), frame)
    return _reformat(frame, reformatter, "gray")


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns uint8 [H, W, 3] of the same size as `to_gray`."""
    return _reformat(frame, reformatter, "rgb24")


def _reformat(frame: av.VideoFrame, reformatter: VideoReformatter, format: str) -> np.ndarray:
    width, height = images.fit(frame.width, frame.height)
    converted = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=format,
        dst_color_range="JPEG",
        interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
        threads=1,
    )
    return _upright(converted.to_ndarray(), frame)


def _upright(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    return np.rot90(pixels, k=round(frame.rotation / 90))  # both count anticlockwise


def _full_range_luma(frame: av.VideoFrame) -> np.ndarray:
    """The luma plane, stretched by a lookup table, which gives libswscale's bytes in a fifth of its time."""
    plane = frame.planes[0]
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    values = bytes(plane) if full else bytes(plane).translate(FULL_RANGE)
    return np.frombuffer(values, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
