"""A video file, or a directory of images, to frames at a constant rate: gray ones, or in colour to be looked at."""

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

# What a clip may come in, by libav's names. Playlists (HLS, ffconcat) stay out: they open other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,avi,flv,asf,ogg,h264,hevc,m4v,mjpeg,dv,mxf,nut,gif"
)
EARLY = 0.4  # of an output frame: how long after its instant a picture may begin and still be shown
MISSING = 2.5  # frames a clip may fall short of the promise, as containers and annotations round
AUDIO_TAIL = 1.0  # seconds a container may outlast its pictures, where only the length of the whole is known
SEEK_FROM = 10.0  # seconds: spans that start earlier are reached by decoding from the beginning
Span = tuple[float, float] | None  # seconds (start, stop) of a video; None for all of it


@dataclasses.dataclass(frozen=True)
class Video:
    """Gray frames at a constant rate.

    Attributes:
      luma: uint8 [F, H, W], full range (0 black, 255 white), upright.
      fps: frames a second of `luma`.
      times: float64 [F], seconds in the source at which each frame's picture begins.
      cut: whether there were more.
    """

    luma: np.ndarray
    fps: float
    times: np.ndarray
    cut: bool = False


@dataclasses.dataclass(frozen=True)
class _Picture:
    """A decoded picture: the second it begins and the seconds it is meant to stay."""

    time: float
    duration: float
    frame: av.VideoFrame


def read(
    path: Path, *, span: Span = None, fps: float = 25.0, max_frames: int | None = None, cut: bool = False
) -> Video:
    """Reads gray frames at `fps` frames a second.

    Frame k is the picture that the source shows at `start + k / fps`: the last one that began before that
    instant or at most 0.4 output frames after it, so that timestamps rounded by the container do not matter.
    A source whose constant rate is `fps` passes frame for frame. Where timestamps stand still (some remuxed
    files), picture i begins at i / nominal rate. Images of a directory, in natural name order, are taken to
    be shown at `fps`.

    Pictures are turned as their rotation metadata asks, and scaled down to a long side of 1280 pixels. Gray is the
    luma, stretched from 16 to 235 where the video is of limited range, and by libswscale's bit-exact conversion where
    a picture is of other colours or scaled, which yields the same (the bytes do not depend on the machine).

    Args:
      path: a regular file in one of `CONTAINERS`, or a directory of jpg, png or bmp images of one size.
      span: seconds `(start, stop)` from the container's beginning to read; None for all.
      fps: output frames a second.
      max_frames: more frames than this are refused as soon as that is known.
      cut: leave them out, unread, instead.

    Raises:
      ClipError: UNREADABLE (no such file, not a video, damaged in the middle; also an mp4 that has lost its
        index, which cannot be told from noise), NO_VIDEO, TRUNCATED (damaged at the very end, or shorter than
        the container or `span` promises), TOO_LONG.
      ValueError: `span` or `fps` is outside its rule.
    """
    if span is not None and not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"span: want 0 <= start < stop, got {span}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps: want a positive number, got {fps}")
    limit = math.inf if max_frames is None else max_frames
    longer = cut and span is not None and _frames_in(span, fps) > limit
    if longer:
        span = span[0], span[0] + limit / fps
    _check_length(0 if span is None else _frames_in(span, fps), limit, path)
    if images.is_directory(path):
        seen = _read_images(path, span, fps, limit, cut)
    else:
        with _shown(path, span, fps) as pictures:
            seen = _convert(pictures, fps, limit, cut, path)
    return dataclasses.replace(seen, cut=seen.cut or longer)


def _frames_in(span: tuple[float, float], fps: float) -> int:
    return max(1, round((span[1] - span[0]) * fps))


def _check_length(frames: int, limit: float, path: Path) -> None:
    if frames > limit:
        raise ClipError(Reason.TOO_LONG, f"{path}: at least {frames} frames, the limit is {limit} (--max_frames)")


def _read_images(path: Path, span: Span, fps: float, limit: float, cut: bool) -> Video:
    paths, first = images.listing(path), 0
    if span is not None:
        first, wanted = round(span[0] * fps), _frames_in(span, fps)
        if len(paths) <= first or len(paths) < first + wanted - MISSING:
            _refuse_span(path, len(paths) / fps, span)
        paths = paths[first : first + wanted]
    longer = cut and len(paths) > limit
    paths = paths[:limit] if longer else paths
    _check_length(len(paths), limit, path)
    return Video(images.read(paths), fps, (first + np.arange(len(paths))) / fps, longer)


def _refuse_span(path: Path, end: float, span: tuple[float, float]) -> None:
    raise ClipError(Reason.TRUNCATED, f"{path}: ends at {end:.3f} s, the span is {span[0]:g} to {span[1]:g} s")


def seconds(path: Path) -> float:
    """How long a video is by its header, or a directory of images at 25 a second.

    Raises:
      ClipError: UNREADABLE, NO_VIDEO; also where the header does not say.
    """
    if images.is_directory(path):
        return len(images.listing(path)) / 25
    with _opened(path) as container:
        stream = _video_stream(container, path)
        whole = (container.duration or 0) / av.time_base
        length = whole if stream.duration is None else float(stream.duration * stream.time_base)
        length = max(length, stream.frames * _step(stream))  # more where timestamps stand still
    if not length:
        raise ClipError(Reason.UNREADABLE, f"{path}: its header does not say how long it is")
    return length


def colours(path: Path, *, fps: float = 25.0) -> Iterator[np.ndarray]:
    """The frames that `read` gives of a whole source, in colour and one at a time: uint8 [H, W, 3], red first.

    Raises:
      ClipError: as `read`.
    """
    if images.is_directory(path):
        yield from map(images.colour, images.listing(path))
        return
    reformatter = VideoReformatter()
    with _shown(path, None, fps) as pictures:
        for picture in pictures:
            yield color.colour(picture.frame, reformatter)


@contextlib.contextmanager
def _shown(path: Path, span: Span, fps: float) -> Iterator[Iterator[_Picture]]:
    """The picture of every output frame of a container."""
    with _opened(path) as container:
        stream = _video_stream(container, path)
        frames = _decode(container, stream, path)
        if span is not None and span[0] > SEEK_FROM:
            frames = _seek(container, stream, span[0], path)
        yield _resample(_timed(frames, container, stream), stream, span, fps, path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """A container; errors of libav, also in the block, are UNREADABLE."""
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        # "file:" keeps libav from taking a name with a colon in it for a URL.
        with av.open(f"file:{path}", options=options, metadata_errors="ignore") as container:
            yield container
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
    stream.codec_context.thread_count = 1  # clips run in parallel, not the decoder
    return stream


def _decode(container: InputContainer, stream: av.VideoStream, path: Path) -> Iterator[av.VideoFrame]:
    """Yields sound pictures in display order; damage that no packet follows is TRUNCATED, else UNREADABLE."""
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
    """Decodes from a key picture before `start`, or from the beginning where the container finds none."""
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
    """Seconds from the container's beginning, minus infinity where the frame has no timestamp."""
    return -math.inf if frame.pts is None else float(frame.pts * frame.time_base) - _origin(container)


def _step(stream: av.VideoStream) -> float:
    """Seconds a picture stays by the nominal rate, which is 25 where the stream names none that can be."""
    rates = [r for r in (stream.guessed_rate, stream.average_rate, 25) if r and 1 <= r <= 240]
    return 1 / float(rates[0])


def _timed(frames: Iterator[av.VideoFrame], container: InputContainer, stream: av.VideoStream) -> Iterator[_Picture]:
    """Places each picture in time, never going back."""
    step = _step(stream)
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
    """Yields the picture of every output frame, by the rule in `read`."""
    current = next(pictures, None)
    if current is None:
        reason = Reason.TRUNCATED if (stream.duration or 0) > 0 else Reason.NO_VIDEO
        raise ClipError(reason, f"{path}: a video stream with no picture")
    start = current.time if span is None else span[0]
    wanted = math.inf if span is None else _frames_in(span, fps)
    index = 0  # of the output frame
    count = 1  # pictures so far
    for following in pictures:
        while index < wanted and start + (index + EARLY) / fps < following.time:
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
    elif total <= 0 or total < wanted - MISSING:
        _refuse_span(path, end, span)
    for _ in range(index, max(1, min(total, wanted))):
        yield current


def _check_complete(stream: av.VideoStream, count: int, end: float, path: Path) -> None:
    """Refuses a clip that has clearly fewer pictures than its container promises."""
    container, step = stream.container, _step(stream)
    if stream.duration is None:
        promised = (container.duration or 0) / av.time_base - AUDIO_TAIL
    else:
        length = ((stream.start_time or 0) + stream.duration) * stream.time_base
        promised = float(length) - _origin(container) - MISSING * step
    if end > promised + 2 * MISSING * step:  # a length that does not hold, as where timestamps stand still
        promised = (stream.frames - MISSING) * step
    if end < promised:
        raise ClipError(
            Reason.TRUNCATED,
            f"{path}: ends at {end:.3f} s after picture {count}, the container promises more",
        )


def _convert(shown: Iterator[_Picture], fps: float, limit: float, cut: bool, path: Path) -> Video:
    """A picture shown twice is converted once."""
    reformatter = VideoReformatter()
    planes: list[np.ndarray] = []
    times: list[float] = []
    last, longer = None, False
    for picture in shown:
        if longer := cut and len(planes) == limit:
            break
        planes.append(planes[-1] if picture is last else color.gray(picture.frame, reformatter))
        times.append(picture.time)
        last = picture
        if planes[-1].shape != planes[0].shape:
            raise ClipError(Reason.UNREADABLE, f"{path}: the picture size changes at {picture.time:.3f} s")
        _check_length(len(planes), limit, path)
    return Video(np.stack(planes), fps, np.array(times, np.float64), longer)
