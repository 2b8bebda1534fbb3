"""Decodes a video file, or a directory of images, into frames at a constant rate: gray, or RGB for display.

Frame k is the picture that the source shows at `start + k / fps`: the last one that began before that instant, or
at most 0.4 output frames after it, so that timestamps rounded by the container do not matter. A source with a
constant rate of `fps` passes unchanged. Images of a directory are shown at `fps`, in natural order of names.

Seconds are those of the container's clock, whose 0 is the beginning of its earliest stream, as in the sound that
ffmpeg extracts. Where timestamps stand still or are missing, picture i begins at i / nominal rate; the pictures of
AVI, which holds no times of theirs, follow each other as its packets do; where MPEG recordings were joined, the
clock of the first goes on. The largest video stream is read; of equals the default one, then the first.

Pictures are in square pixels (the squeezed side is made longer), turned and mirrored by their display matrix, and
otherwise at full resolution; interlaced ones are deinterlaced by libavfilter's bwdif, one picture each. Gray is the
luma of any depth, stretched to 0..255 where the video has limited range; HDR keeps its transfer curve. Pictures without
a luma plane are converted by libswscale in its bit-exact mode. The bytes do not depend on the machine.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from pipeline.schema import ClipError, Reason
from pipeline.video import clock, containers, images
from pipeline.video.clock import Picture, Span
from pipeline.video.color import Converter
from pipeline.video.deinterlacing import deinterlaced


class Video:
    """Gray frames at a constant rate, decoded one by one while they are iterated over, once.

    Attributes:
      begins: second of the container's clock at which the first frame is shown, known from the first frame on.
      times: seconds of the container's clock at which the picture of each frame begins, one a frame so far.
      truncated: whether frames beyond `max_frames`, or damage, were left out, known after the last frame.
    """

    begins: float

    def __init__(
        self, frames: Iterator[tuple[float, np.ndarray]], span: Span, limit: float, truncate: bool, path: Path
    ) -> None:
        self.times: list[float] = []
        self.truncated = False
        self._frames, self._span, self._limit, self._truncate, self._path = frames, span, limit, truncate, path

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields uint8 [H, W], upright, 0 black to 255 white; a picture shown again is the same array.

        Raises:
          ClipError: as `opened`.
        """
        try:
            yield from self._read()
        except ClipError:
            if not self._is_full:
                raise
            self.truncated = True

    @property
    def _is_full(self) -> bool:
        return self._truncate and len(self.times) == self._limit

    def _read(self) -> Iterator[np.ndarray]:
        shape = None
        for time, gray in self._frames:
            if self._is_full:
                self.truncated = True
                return
            _check_length(len(self.times) + 1, self._limit, self._path)
            if gray.shape != (shape := shape or gray.shape):
                raise ClipError(Reason.UNREADABLE, f"{self._path}: the picture size changes at {time:.3f} s")
            if not self.times:
                self.begins = time if self._span is None else self._span[0]
            self.times.append(time)
            yield gray


@contextlib.contextmanager
def opened(
    path: str | Path, *, span: Span = None, fps: float = 25.0, max_frames: int | None = None, truncate: bool = False
) -> Iterator[Video]:
    """Opens a video whose gray frames are read at `fps` frames per second.

    Args:
      path: a regular file in one of `containers.CONTAINERS`, or a directory of jpg, png or bmp images of one size.
      span: seconds `(start, stop)` of the container's clock to read; None for all. MP4 and Matroska are searched
        for the start, other containers are decoded from their beginning.
      fps: output frames per second.
      max_frames: the maximal number of frames; None for no limit.
      truncate: stop reading after `max_frames` instead of raising TOO_LONG. Errors behind them are ignored, but for
        those of the few pictures that the decoder reads ahead, of which the last frames may be predicted.

    Raises, also while the frames are iterated over:
      ClipError: UNREADABLE (no such file, not a video, damaged in the middle, or an mp4 without its index), NO_VIDEO,
        TRUNCATED (damaged at the end, or pictures missing at either end of what the container or `span` says, as where
        the span lies behind the end of the video), or TOO_LONG.
      ValueError: `span` or `fps` is out of range.
    """
    path = Path(path)
    if span is not None and not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"span: want 0 <= start < stop, got {span}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps: want a positive number, got {fps}")
    limit = math.inf if max_frames is None else max_frames
    if images.is_directory(path):
        yield _opened_images(path, span, fps, limit, truncate)
        return
    with _decoded(path, span, fps, Converter.gray, limit, truncate) as frames:
        video = Video(frames, span, limit, truncate, path)
        video.truncated = _is_shortened(span, fps, limit, truncate)
        yield video


def _is_shortened(span: Span, fps: float, limit: float, truncate: bool) -> bool:
    """Whether of a span its first `limit` frames alone are wanted."""
    return truncate and span is not None and clock.frame_count(span, fps) > limit


def _check_length(frames: int, limit: float, path: Path) -> None:
    if frames > limit:
        raise ClipError(Reason.TOO_LONG, f"{path}: at least {frames} frames, the limit is {limit} (--max_frames)")


def _check_span(source: containers.Source, span: tuple[float, float], fps: float, limit: float) -> None:
    """Refuses, before any picture is decoded, a span of more frames than the limit, by where the header ends the video.

    Where it does not say, or recordings may have been joined, reading refuses as much.
    """
    wanted, end = clock.frame_count(span, fps), source.end
    if wanted <= limit or not end:
        return
    if span[1] <= end + clock.MAX_MISSING / fps:
        _check_length(wanted, limit, source.path)
    if not source.is_among(containers.JOINABLE):
        clock.refuse_span(source.path, end, span, " by its container")


def _opened_images(path: Path, span: Span, fps: float, limit: float, truncate: bool) -> Video:
    paths, first = images.list_images(path), 0
    shortened = _is_shortened(span, fps, limit, truncate)
    if span is not None:
        first, wanted = round(span[0] * fps), clock.frame_count(span, fps)
        needed = (limit if shortened else wanted) - clock.MAX_MISSING
        if len(paths) <= first or len(paths) < first + needed:
            clock.refuse_span(path, len(paths) / fps, span)
        paths = paths[first : first + wanted]
    shown = paths[:limit] if truncate and len(paths) > limit else paths
    _check_length(len(shown), limit, path)
    times = ((first + k) / fps for k in range(len(shown)))
    video = Video(zip(times, images.read(shown), strict=True), span, limit, truncate, path)
    video.truncated = shortened or len(shown) < len(paths)
    return video


def end(path: str | Path, *, fps: float = 25.0) -> float | None:
    """Second of the container's clock at which a video ends by its header, or a directory of images at `fps` a second.

    Returns:
      None where the header does not say.

    Raises:
      ClipError: NO_VIDEO or UNREADABLE.
    """
    path = Path(path)
    if images.is_directory(path):
        return len(images.list_images(path)) / fps
    with containers.opened(path) as source:
        return source.end or None


def read_color(path: str | Path, *, fps: float = 25.0) -> Iterator[np.ndarray]:
    """Yields the frames of a whole source, the same as `opened` selects, as RGB: uint8 [H, W, 3].

    Raises:
      ClipError: as `opened`.
    """
    path = Path(path)
    if images.is_directory(path):
        yield from map(images.read_color, images.list_images(path))
        return
    with _decoded(path, None, fps, Converter.rgb) as frames:
        for _, frame in frames:
            yield frame


@contextlib.contextmanager
def _decoded(
    path: Path,
    span: Span,
    fps: float,
    convert: Callable[[Converter, av.VideoFrame], np.ndarray],
    limit: float = math.inf,
    truncate: bool = False,
) -> Iterator[Iterator[tuple[float, np.ndarray]]]:
    """Opens a container and iterates over its output frames, each with the time at which its picture begins."""
    with containers.opened(path) as source:
        if span is not None and not truncate:
            _check_span(source, span, fps, limit)
        pictures = clock.timed(containers.decode(source, 0.0 if span is None else span[0]), source)
        shown = clock.resampled(deinterlaced(pictures), source, span, fps, limit if truncate else math.inf)
        yield _converted(shown, functools.partial(convert, Converter(source.aspect)), path)


def _converted(
    pictures: Iterator[Picture], convert: Callable[[av.VideoFrame], np.ndarray], path: Path
) -> Iterator[tuple[float, np.ndarray]]:
    """Converts pictures, one that is shown again once; libav's errors become UNREADABLE."""
    last, frame = None, None
    with containers.refused(path):
        for picture in pictures:
            frame = frame if picture is last else convert(picture.frame)
            last = picture
            yield picture.time, frame
