"""Decodes a video file, or a directory of images, into frames at a constant rate: gray, or RGB for display."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from pipeline.schema import ClipError, Reason
from pipeline.video import color, images

# Accepted containers, by libav's names. Playlists (HLS, ffconcat) are excluded because they open other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,avi,flv,asf,ogg,h264,hevc,m4v,mjpeg,dv,mxf,nut,gif"
)
MAX_DELAY = 0.4  # output frames by which a picture may begin after the instant it is shown at
MAX_MISSING = 2.5  # frames that a clip may lack, since containers and annotations round times
AUDIO_TAIL = 1.0  # seconds that a container may outlast its pictures where only its total length is known
MIN_SEEK_S = 10.0  # earlier spans are reached by decoding from the beginning
Span = tuple[float, float] | None  # seconds (start, stop) of a video; None for all of it


@dataclasses.dataclass(frozen=True)
class _Picture:
    """A decoded picture, with its begin and duration in seconds."""

    time: float
    duration: float
    frame: av.VideoFrame


class Video:
    """Gray frames at a constant rate, decoded one by one while they are iterated over, once.

    Attributes:
      begins: second of the container's clock at which the first frame is shown, known from the first frame on.
      times: seconds of the container's clock at which the picture of each frame begins, one a frame so far.
      truncated: whether frames beyond `max_frames` were left out, known after the last frame.
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
        shape = None
        for time, gray in self._frames:
            if self._truncate and len(self.times) == self._limit:
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
    path: Path, *, span: Span = None, fps: float = 25.0, max_frames: int | None = None, truncate: bool = False
) -> Iterator[Video]:
    """Opens a video whose gray frames are read at `fps` frames per second.

    Frame k is the picture that the source shows at `start + k / fps`: the last one that began before that instant, or
    at most 0.4 output frames after it, so that timestamps rounded by the container do not matter. A source with a
    constant rate of `fps` passes unchanged. Where timestamps stand still (some remuxed files), picture i begins at
    i / nominal rate. Images of a directory are shown at `fps`, in natural order of names.

    Pictures are rotated as their metadata says and scaled down to a long side of 1280 pixels. Gray is the luma,
    stretched from 16..235 where the video has limited range. Scaled pictures, and those without a luma plane, are
    converted by libswscale in its bit-exact mode. The bytes do not depend on the machine.

    Args:
      path: a regular file in one of `CONTAINERS`, or a directory of jpg, png or bmp images of one size.
      span: seconds `(start, stop)` from the container's beginning to read; None for all.
      fps: output frames per second.
      max_frames: the maximal number of frames; None for no limit.
      truncate: stop reading after `max_frames` instead of raising TOO_LONG.

    Raises, when it is opened or while the frames are iterated over:
      ClipError: UNREADABLE (no such file, not a video, damaged in the middle, or an mp4 without its index), NO_VIDEO,
        TRUNCATED (damaged at the end, or shorter than the container or `span` says), or TOO_LONG.
      ValueError: `span` or `fps` is out of range.
    """
    if span is not None and not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"span: want 0 <= start < stop, got {span}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps: want a positive number, got {fps}")
    limit = math.inf if max_frames is None else max_frames
    shortened = truncate and span is not None and _frame_count(span, fps) > limit
    if shortened:
        span = span[0], span[0] + limit / fps
    _check_length(0 if span is None else _frame_count(span, fps), limit, path)
    if images.is_directory(path):
        video = _opened_images(path, span, fps, limit, truncate)
        video.truncated |= shortened
        yield video
        return
    with _resampled(path, span, fps) as pictures:
        video = Video(_to_gray(pictures, path), span, limit, truncate, path)
        video.truncated = shortened
        yield video


def _frame_count(span: tuple[float, float], fps: float) -> int:
    return max(1, round((span[1] - span[0]) * fps))


def _check_length(frames: int, limit: float, path: Path) -> None:
    if frames > limit:
        raise ClipError(Reason.TOO_LONG, f"{path}: at least {frames} frames, the limit is {limit} (--max_frames)")


def _opened_images(path: Path, span: Span, fps: float, limit: float, truncate: bool) -> Video:
    paths, first = images.list_images(path), 0
    if span is not None:
        first, wanted = round(span[0] * fps), _frame_count(span, fps)
        if len(paths) <= first or len(paths) < first + wanted - MAX_MISSING:
            _refuse_span(path, len(paths) / fps, span)
        paths = paths[first : first + wanted]
    shown = paths[:limit] if truncate and len(paths) > limit else paths
    _check_length(len(shown), limit, path)
    times = ((first + k) / fps for k in range(len(shown)))
    video = Video(zip(times, images.read(shown), strict=True), span, limit, truncate, path)
    video.truncated = len(shown) < len(paths)
    return video


def _refuse_span(path: Path, end: float, span: tuple[float, float]) -> None:
    raise ClipError(Reason.TRUNCATED, f"{path}: ends at {end:.3f} s, the span is {span[0]:g} to {span[1]:g} s")


def duration(path: Path) -> float:
    """Seconds that a video lasts by its header, or a directory of images at 25 per second.

    Raises:
      ClipError: NO_VIDEO, or UNREADABLE, also where the header states no duration.
    """
    if images.is_directory(path):
        return len(images.list_images(path)) / 25
    with _open(path) as container:
        stream = _video_stream(container, path)
        whole = (container.duration or 0) / av.time_base
        length = whole if stream.duration is None else float(stream.duration * stream.time_base)
        length = max(length, stream.frames * _frame_duration(stream))  # more where timestamps stand still
    if not length:
        raise ClipError(Reason.UNREADABLE, f"{path}: its header states no duration")
    return length


def read_color(path: Path, *, fps: float = 25.0) -> Iterator[np.ndarray]:
    """Yields the frames of a whole source, the same as `opened` selects, as RGB: uint8 [H, W, 3].

    Raises:
      ClipError: as `opened`.
    """
    if images.is_directory(path):
        yield from map(images.read_color, images.list_images(path))
        return
    reformatter = VideoReformatter()
    with _resampled(path, None, fps) as pictures, _refused(path):
        for picture in pictures:
            yield color.to_rgb(picture.frame, reformatter)


@contextlib.contextmanager
def _resampled(path: Path, span: Span, fps: float) -> Iterator[Iterator[_Picture]]:
    """Opens a container and iterates over the picture of each output frame."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        frames = _decode(container, stream, path)
        if span is not None and span[0] > MIN_SEEK_S:
            frames = _seek(container, stream, span[0], path)
        yield _resample(_add_times(frames, container, stream), stream, span, fps, path)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[InputContainer]:
    """Opens a container for as long as the block runs."""
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    with _refused(path):
        # "file:" keeps libav from reading a name with a colon as a URL.
        container = av.open(f"file:{path}", options=options, metadata_errors="ignore")
    with container:
        yield container


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turns libav's errors into UNREADABLE."""
    try:
        yield
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(Reason.UNREADABLE, f"{path}: not a video that can be decoded ({reason})") from error


def _video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ClipError(Reason.NO_VIDEO, f"{path}: no video stream")
    stream = streams[0]
    images.check_pixels(stream.width, stream.height, path)
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1  # clips are decoded in parallel instead
    return stream


def _decode(container: InputContainer, stream: av.VideoStream, path: Path) -> Iterator[av.VideoFrame]:
    """Yields undamaged pictures in display order; damage in the last packet is TRUNCATED, earlier damage UNREADABLE."""
    damaged = False
    count = 0
    for packet in container.demux(stream):
        if damaged and packet.size:
            raise ClipError(Reason.UNREADABLE, f"{path}: damaged after picture {count}")
        damaged = damaged or packet.is_corrupt
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged, frames = True, []
        for frame in frames:
            damaged = damaged or frame.is_corrupt
            if not damaged:
                count += 1
                yield frame
    if damaged:
        raise ClipError(Reason.TRUNCATED, f"{path}: the file breaks off after picture {count}")


def _seek(container: InputContainer, stream: av.VideoStream, start: float, path: Path) -> Iterator[av.VideoFrame]:
    """Decodes from a keyframe before `start`, or from the beginning where the container finds none."""
    container.seek(int((start + _origin(container)) * av.time_base), backward=True)
    frames = _decode(container, stream, path)
    first = next(frames, None)
    if first is not None and first.key_frame and 0 < _time(first, container) <= start:
        return itertools.chain([first], frames)
    container.seek(0, backward=True)
    return _decode(container, stream, path)


def _origin(container: InputContainer) -> float:
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def _time(frame: av.VideoFrame, container: InputContainer) -> float:
    """Seconds from the container's beginning, or minus infinity where the frame has no timestamp."""
    return -math.inf if frame.pts is None else float(frame.pts * frame.time_base) - _origin(container)


def _frame_duration(stream: av.VideoStream) -> float:
    """Seconds per picture at the nominal rate, which is 25 where the stream states no plausible one."""
    rates = [r for r in (stream.guessed_rate, stream.average_rate, 25) if r and 1 <= r <= 240]
    return 1 / float(rates[0])


def _add_times(
    frames: Iterator[av.VideoFrame], container: InputContainer, stream: av.VideoStream
) -> Iterator[_Picture]:
    """Gives each picture a time that never decreases."""
    step = _frame_duration(stream)
    head = list(itertools.islice(frames, 2))
    stuck = len(head) == 2 and _time(head[1], container) <= _time(head[0], container)
    time = -step
    for frame in itertools.chain(head, frames):
        stamp = -math.inf if stuck else _time(frame, container)
        time = stamp if stamp >= time else time + step
        duration = float(frame.duration * frame.time_base) if frame.duration and not stuck else step
        yield _Picture(time, duration, frame)


def _resample(
    pictures: Iterator[_Picture], stream: av.VideoStream, span: Span, fps: float, path: Path
) -> Iterator[_Picture]:
    """Yields the picture of each output frame, by the rule in `opened`."""
    current = next(pictures, None)
    if current is None:
        reason = Reason.TRUNCATED if (stream.duration or 0) > 0 else Reason.NO_VIDEO
        raise ClipError(reason, f"{path}: a video stream with no picture")
    start = current.time if span is None else span[0]
    wanted = math.inf if span is None else _frame_count(span, fps)
    index = 0  # of the output frame
    count = 1  # pictures decoded
    for following in pictures:
        while index < wanted and start + (index + MAX_DELAY) / fps < following.time:
            yield current
            index += 1
        if index == wanted:
            return
        current = following
        count += 1
    end = current.time + current.duration
    total = round((end - start) * fps)
    if span is None:
        _check_complete(stream, count, end, path)
    elif total <= 0 or total < wanted - MAX_MISSING:
        _refuse_span(path, end, span)
    for _ in range(index, max(1, min(total, wanted))):
        yield current


def _check_complete(stream: av.VideoStream, count: int, end: float, path: Path) -> None:
    """Raises TRUNCATED where a clip has clearly fewer pictures than its container states."""
    container, step = stream.container, _frame_duration(stream)
    if stream.duration is None:
        promised = (container.duration or 0) / av.time_base - AUDIO_TAIL
    else:
        length = ((stream.start_time or 0) + stream.duration) * stream.time_base
        promised = float(length) - _origin(container) - MAX_MISSING * step
    if end > promised + 2 * MAX_MISSING * step:  # the stated length is wrong, as where timestamps stand still
        promised = (stream.frames - MAX_MISSING) * step
    if end < promised:
        detail = f"{path}: ends at {end:.3f} s after picture {count}, the container promises more"
        raise ClipError(Reason.TRUNCATED, detail)


def _to_gray(pictures: Iterator[_Picture], path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Converts pictures to gray frames with their times; a picture shown twice is converted once."""
    reformatter = VideoReformatter()
    last, gray = None, None
    with _refused(path):
        for picture in pictures:
            gray = gray if picture is last else color.to_gray(picture.frame, reformatter)
            last = picture
            yield picture.time, gray
