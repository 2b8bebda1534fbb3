"""Opens a container and decodes one of its video streams: which stream, damage, seeking."""

import collections
import contextlib
import dataclasses
import heapq
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from pipeline.schema import ClipError, Reason
from pipeline.video import geometry, images

# Accepted containers, by libav's names. Playlists (HLS, ffconcat) are excluded because they open other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,avi,flv,asf,ogg,h264,hevc,m4v,mjpeg,dv,mxf,nut,gif"
)
SEEKABLE = ("mp4", "matroska")  # containers that state the time of every picture; others are decoded from their start
UNDIVIDED = ("asf",)  # containers that state one beginning and one length for all streams
UNTIMED = ("avi",)  # containers that state when packets are decoded, not when pictures are shown
JOINABLE = ("mpegts", "mpeg")  # containers that are joined by writing one behind the other
MAX_FALL, MAX_LEAP = 0.5, 10.0  # seconds by which timestamps go back or on within one recording, as ffmpeg's 10 s
JOINT = 2  # packets before a joint of recordings that the demuxer may call corrupt
MIN_SEEK_S = 10.0  # earlier spans are reached by decoding from the beginning
SEEK_AHEAD = 0.5  # seconds before a span, which give its first pictures the neighbours that deinterlacing needs
NOT_SHOWN = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


@dataclasses.dataclass
class Source:
    """An open container and the stream that is read from it.

    Its clock begins at 0 with the earliest stream, as the sound that ffmpeg extracts from a file does, and is in
    seconds. Where recordings are joined, the clock of the first goes on.

    Attributes:
      origin: seconds by timestamps at which the clock begins; None where the container does not say.
      shift: seconds that the clock has been put forward at joints.
      reached: seconds by timestamps to which the packets so far reach, those of all streams.
    """

    container: InputContainer
    stream: av.VideoStream
    path: Path
    origin: float | None
    shift: float = 0.0
    reached: float = 0.0

    def second(self, stamp: int, time_base: Fraction) -> float:
        """Second of the clock for a timestamp."""
        return float(stamp * time_base) + self.shift - (self.origin or 0.0)

    @property
    def length(self) -> float:
        """Seconds from the beginning of the clock to the end of the longest stream by the header, or 0.

        Some writers of Matroska count from timestamp 0, others from the beginning.
        """
        return max(0.0, (self.container.duration or 0) / av.time_base - max(0.0, self.origin or 0.0))

    @property
    def end(self) -> float:
        """Second of the clock at which the video ends by the header, or 0 where the header does not say."""
        stream = self.stream
        if stream.duration is None or self.is_among(UNDIVIDED):
            end = self.length
        else:
            end = self.second((stream.start_time or 0) + stream.duration, stream.time_base)
        return max(end, stream.frames * self.step)  # more where timestamps stand still

    def is_among(self, formats: tuple[str, ...]) -> bool:
        """Whether the container is one of these, by libav's names."""
        return not set(formats).isdisjoint(self.container.format.name.split(","))

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel divided by its height; None where neither container nor stream states it."""
        return self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio

    @property
    def step(self) -> float:
        """Seconds per picture at the nominal rate, which is 25 where the stream states no plausible one."""
        rates = [r for r in (self.stream.guessed_rate, self.stream.average_rate, 25) if r and 1 <= r <= 240]
        return 1 / float(rates[0])


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Opens a container for as long as the block runs.

    Raises:
      ClipError: UNREADABLE or NO_VIDEO.
    """
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    with refused(path):
        # "file:" keeps libav from reading a name with a colon as a URL.
        container = av.open(f"file:{path}", options=options, metadata_errors="ignore")
    with container:
        origin = None if container.start_time is None else container.start_time / av.time_base
        source = Source(container, _largest(container, path), path, origin)
        geometry.check_aspect(source.aspect, path)
        size = geometry.square_size(source.stream.width, source.stream.height, source.aspect)
        images.check_pixels(*size, path)
        yield source


@contextlib.contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turns libav's errors into UNREADABLE."""
    try:
        yield
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(Reason.UNREADABLE, f"{path}: not a video that can be decoded ({reason})") from error


def _largest(container: InputContainer, path: Path) -> av.VideoStream:
    """Selects the stream with the largest pictures; of equals the default one, then the first."""
    streams = [s for s in container.streams.video if s.codec_context and not s.disposition & NOT_SHOWN]
    if not streams:
        raise ClipError(Reason.NO_VIDEO, f"{path}: no video stream")
    stream = max(streams, key=lambda s: (s.width * s.height, bool(s.disposition & Disposition.default)))
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1  # clips are decoded in parallel instead
    return stream


def decode(source: Source, start: float) -> Iterator[av.VideoFrame]:
    """Yields undamaged pictures in the order in which they are shown, from at or before second `start` on.

    Raises:
      ClipError: TRUNCATED where the last packet is damaged, UNREADABLE where an earlier one is.
    """
    if start > MIN_SEEK_S and source.is_among(SEEKABLE) and source.origin is not None:
        return _seek(source, source.origin + start - SEEK_AHEAD)
    return _decode(source)


def _seek(source: Source, start: float) -> Iterator[av.VideoFrame]:
    """Decodes from a key picture before timestamp `start`, or from the beginning where the container finds none."""
    with contextlib.suppress(ClipError, av.FFmpegError):
        source.container.seek(int(start * av.time_base), backward=True)
        frames = _decode(source, seeking=True)
        first = next(frames, None)
        if first is not None and first.pts is not None and source.origin < first.pts * first.time_base <= start:
            return itertools.chain([first], frames)
    source.container.seek(0, backward=True)
    return _decode(source)


def _decode(source: Source, seeking: bool = False) -> Iterator[av.VideoFrame]:
    damaged, count = False, 0
    stamps: list[int] = []  # a heap
    for packet, corrupt in _judged(_packets(source)):
        if damaged and packet.size:
            raise ClipError(Reason.UNREADABLE, f"{source.path}: damaged after picture {count}")
        damaged = damaged or corrupt
        if packet.size and packet.dts is not None and source.is_among(UNTIMED):
            heapq.heappush(stamps, packet.dts)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged, frames = True, []
        for frame in frames:
            if seeking and not (frame.key_frame and not frame.is_corrupt):
                continue  # shown before the key picture, and made from pictures before it
            seeking = False
            damaged = damaged or frame.is_corrupt
            if not damaged:
                count += 1
                if stamps:  # packets come at a constant rate: the k-th picture shown has the k-th of their times
                    frame.pts = heapq.heappop(stamps)
                yield frame
    if damaged:
        raise ClipError(Reason.TRUNCATED, f"{source.path}: the file breaks off after picture {count}")


def demux(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """Yields the packets of all streams, up to the flush of `stream`.

    PyAV goes on to flush streams that began after the header, and fails at them.
    """
    for packet in container.demux():
        yield packet
        if packet.stream is stream and not packet.size and packet.dts is None:
            return


def _packets(source: Source) -> Iterator[Packet]:
    """Yields packets of the stream, and notes how far those of all streams reach."""
    for packet in demux(source.container, source.stream):
        stamp = packet.dts if packet.pts is None else packet.pts
        if packet.size and stamp is not None:
            source.reached = max(source.reached, float((stamp + (packet.duration or 0)) * packet.time_base))
        if packet.stream is source.stream:
            yield packet


def _judged(packets: Iterator[Packet]) -> Iterator[tuple[Packet, bool]]:
    """Yields packets and whether they are corrupt by the demuxer, unless another recording begins behind them.

    Where it begins the count of transport packets jumps, which the demuxer takes for a loss.
    """
    waiting: collections.deque[Packet] = collections.deque()
    for packet in itertools.chain(packets, [None] * JOINT):
        waiting.append(packet)
        if len(waiting) > JOINT:
            first = waiting.popleft()
            joins = itertools.starmap(_is_joint, itertools.pairwise([first, *waiting]))
            yield first, first.is_corrupt and not any(joins)


def _is_joint(packet: Packet, following: Packet | None) -> bool:
    """Whether timestamps begin anew with a key picture."""
    if following is None or not following.is_keyframe or following.dts is None or packet.dts is None:
        return False
    return not -MAX_FALL <= float((following.dts - packet.dts) * packet.time_base) <= MAX_LEAP
