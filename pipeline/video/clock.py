"""Gives decoded pictures times on the clock of their container, and selects one for each output frame."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import av

from pipeline.schema import ClipError, Reason
from pipeline.video.containers import JOINABLE, MAX_FALL, MAX_LEAP, UNDIVIDED, UNTIMED, Source

MAX_DELAY = 0.4  # output frames by which a picture may begin after the instant it is shown at
MAX_MISSING = 2.5  # frames that a clip may lack at either end, since containers and annotations round times
Span = tuple[float, float] | None  # seconds (start, stop) of a video; None for all of it


@dataclasses.dataclass(frozen=True)
class Picture:
    """A decoded picture, with its begin and duration in seconds."""

    time: float
    duration: float
    frame: av.VideoFrame


def timed(frames: Iterator[av.VideoFrame], source: Source) -> Iterator[Picture]:
    """Gives each picture a time on the clock that never decreases."""
    step = source.step
    head = list(itertools.islice(frames, 2))
    stamps = [float(frame.pts * frame.time_base) for frame in head if frame.pts is not None]
    stuck = not stamps or (len(stamps) == 2 and stamps[1] <= stamps[0])
    if not stuck:  # some containers state the beginning of another stream, or none
        source.origin = min(stamps[0], math.inf if source.origin is None else source.origin)
    time = None
    for frame in itertools.chain(head, frames):
        stamp = None if stuck or frame.pts is None else source.second(frame.pts, frame.time_base)
        due = 0.0 if time is None else time + step  # by the nominal rate
        if stamp is not None and time is not None and _joins(stamp - time, source):
            source.shift += due - stamp
            stamp = due
        time = due if stamp is None or (time is not None and stamp < time) else stamp
        duration = float(frame.duration * frame.time_base) if frame.duration and not stuck else step
        yield Picture(time, duration, frame)


def _joins(ahead: float, source: Source) -> bool:
    """Whether a timestamp so many seconds ahead of the last one belongs to another recording."""
    return source.is_among(JOINABLE) and not -MAX_FALL <= ahead <= MAX_LEAP


def resampled(
    pictures: Iterator[Picture], source: Source, span: Span, fps: float, most: float = math.inf
) -> Iterator[Picture]:
    """Yields the picture of each output frame, by the rule in `decode`; of a span those of its first `most` frames.

    Raises:
      ClipError: TRUNCATED where pictures are missing at the beginning or the end; NO_VIDEO where there are none.
    """
    current = next(pictures, None)
    if current is None:
        reason = Reason.TRUNCATED if (source.stream.duration or 0) > 0 else Reason.NO_VIDEO
        raise ClipError(reason, f"{source.path}: a video stream with no picture")
    _check_begin(source, current.time, span, fps)
    start = current.time if span is None else span[0]
    wanted = math.inf if span is None else min(frame_count(span, fps), most)
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
        _check_end(source, count, end)
    elif total <= 0 or total < wanted - MAX_MISSING:
        refuse_span(source.path, end, span)
    for _ in range(index, max(1, min(total, wanted))):
        yield current


def frame_count(span: tuple[float, float], fps: float) -> int:
    """Output frames of a span, at least one."""
    return max(1, round((span[1] - span[0]) * fps))


def refuse_span(path: Path, end: float, span: tuple[float, float], by: str = "") -> None:
    """Raises TRUNCATED for a video that ends at second `end`, known `by` the container or by reading, before a span."""
    what = "begins behind that" if span[0] >= end else "ends behind that"
    advice = "correct its times, which are seconds, or replace a video that was cut off"
    detail = f"{path}: ends at {end:.3f} s{by}, the span is {span[0]:g} to {span[1]:g} s and {what}; {advice}"
    raise ClipError(Reason.TRUNCATED, detail)


def _check_begin(source: Source, first: float, span: Span, fps: float) -> None:
    """Raises TRUNCATED where pictures before the first one cannot be decoded, as behind a cut between key pictures."""
    stamp = source.stream.start_time
    if span is not None:
        begin, of, allowed = span[0], f"the span is {span[0]:g} to {span[1]:g} s", MAX_MISSING / fps
    elif stamp is not None and not source.is_among(UNDIVIDED):
        begin, allowed = source.second(stamp, source.stream.time_base), MAX_MISSING * source.step
        of = f"the stream begins at {begin:.3f} s"
    else:
        return
    if first > begin + allowed:
        raise ClipError(Reason.TRUNCATED, f"{source.path}: first picture at {first:.3f} s, {of}")


def _check_end(source: Source, count: int, end: float) -> None:
    """Raises TRUNCATED where a clip has clearly fewer pictures than its container states."""
    if source.shift:  # no container states the length of joined recordings
        return
    stream, allowed = source.stream, MAX_MISSING * source.step
    if stream.duration is None or source.is_among(UNDIVIDED):  # which stream is to last so long is not known
        promised, reached = source.length, max(end, source.reached - (source.origin or 0.0))
    else:
        promised, reached = source.second((stream.start_time or 0) + stream.duration, stream.time_base), end
    if source.is_among(UNTIMED):  # libavformat's length is that of the file, the number of packets that of the header
        promised = float(stream.frames * stream.time_base)
    elif reached > promised + allowed:  # the stated length is wrong, as where timestamps stand still
        promised = stream.frames * source.step
    if reached < promised - allowed:
        detail = f"{source.path}: ends at {end:.3f} s after picture {count}, the container promises more"
        raise ClipError(Reason.TRUNCATED, detail)
