"""The sound of a video, as packets of an MP4 file in time with other pictures."""

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio import AudioStream
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

from pipeline.video import clock, containers, images
from pipeline.video.containers import JOINABLE, MAX_FALL, MAX_LEAP, Source

COPIED = ("aac", "flac", "mp3", "opus")  # codecs that MP4 holds and browsers play; others become AAC
AAC_RATES = tuple(av.Codec("aac", "w").audio_rates)
MAX_GAP_S = 0.02  # seconds without sound in between that are not filled with silence


class Sound:
    """The best audio stream of an open video.

    Attributes:
      begins: second at which it begins, on the clock of `video.decode`.
    """

    def __init__(self, source: Source, stream: AudioStream) -> None:
        self._source, self._stream = source, stream
        self.begins = 0.0 if stream.start_time is None else source.second(stream.start_time, stream.time_base)

    @property
    def is_copied(self) -> bool:
        return self._stream.codec_context.name.removesuffix("float") in COPIED

    def add_to(self, container: OutputContainer) -> AudioStream:
        """Adds a stream for it: a copy of the source's, or AAC, in stereo unless the source has one channel."""
        if self.is_copied:
            return container.add_stream_from_template(self._stream)
        rate = self._stream.codec_context.sample_rate
        stream = container.add_stream("aac", rate=rate if rate in AAC_RATES else 48_000)
        stream.layout = "mono" if self._stream.codec_context.channels == 1 else "stereo"
        return stream

    def packets(self, output: AudioStream, shift: float) -> Iterator[Packet]:
        """Yields packets of `output`, a stream of `add_to`, all of the sound, `shift` seconds later than it was.

        Sound that cannot be decoded is silent, and a warning says so.

        Raises:
          ClipError: UNREADABLE where the file can no longer be read.
        """
        with containers.refused(self._source.path):
            yield from self._copied(output, shift) if self.is_copied else self._encoded(output, shift)

    def _copied(self, output: AudioStream, shift: float) -> Iterator[Packet]:
        last = None
        for packet in self._timed(shift):
            packet.pts = packet.dts = last = packet.pts if last is None else max(packet.pts, last + 1)
            packet.stream = output
            yield packet

    def _encoded(self, output: AudioStream, shift: float) -> Iterator[Packet]:
        for frame in _resampled(self._decoded(shift), output):
            yield from output.encode(frame)
        yield from output.encode(None)

    def _decoded(self, shift: float) -> Iterator[AudioFrame]:
        damaged = 0
        for packet in self._timed(shift):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            yield from frames
        yield from self._stream.codec_context.decode(None)
        if damaged:
            logging.warning("%s: %d damaged packets of its sound are silent", self._source.path, damaged)

    def _timed(self, shift: float) -> Iterator[Packet]:
        """Yields packets with times on the clock of `video.decode`, `shift` seconds later.

        Where recordings are joined, the sound of each follows that of the one before.
        """
        base, due = self._stream.time_base, None
        offset = round(Fraction(shift - (self._source.origin or 0.0)) / base)  # in units of `base`
        for packet in containers.demux(self._source.container, self._stream):
            if packet.stream is not self._stream or not packet.size:
                continue
            stamp = packet.dts if packet.pts is None else packet.pts
            stamp = (due or 0) if stamp is None else stamp + offset
            if due is not None and self._joins(float((stamp - due) * base)):
                offset, stamp = offset + due - stamp, due
            packet.pts = packet.dts = stamp
            due = stamp + (packet.duration or 0)
            yield packet

    def _joins(self, ahead: float) -> bool:
        """Whether a timestamp so many seconds later than it is due belongs to another recording."""
        return self._source.is_among(JOINABLE) and not -MAX_FALL <= ahead <= MAX_LEAP


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Sound | None]:
    """Opens the sound of a video for as long as the block runs; None for a silent one and for a directory of images.

    Raises:
      ClipError: as `decode.opened`.
    """
    if images.is_directory(path):
        yield None
        return
    with containers.opened(path) as source:
        next(clock.timed(containers.decode(source, 0.0), source), None)  # finds the beginning of the clock
        origin = source.origin
    with containers.opened(path) as source:
        source.origin = origin
        stream = source.container.streams.best("audio")
        if stream is not None and stream.codec_context is None:
            logging.warning("%s: its sound is left out: no decoder for its codec", path)
            stream = None
        yield stream and Sound(source, stream)


def _resampled(frames: Iterator[AudioFrame], output: AudioStream) -> Iterator[AudioFrame]:
    """Yields frames as `output` encodes them, gaps between them filled with silence."""
    graph, shape = None, None
    for frame in frames:
        if shape != (shape := (frame.sample_rate, frame.format.name, frame.layout.name)):
            yield from _drained(graph)
            graph = _graph(frame, output)
        graph.push(frame)
        yield from _ready(graph)
    yield from _drained(graph)


def _graph(frame: AudioFrame, output: AudioStream) -> Graph:
    graph, (rate, layout) = Graph(), (output.codec_context.sample_rate, output.codec_context.layout.name)
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout.name, time_base=frame.time_base
    )
    filled = graph.add("aresample", f"sample_rate={rate}:async=1:min_hard_comp={MAX_GAP_S}")
    fitted = graph.add("aformat", f"sample_fmts={output.codec_context.format.name}:channel_layouts={layout}")
    graph.link_nodes(source, filled, fitted, graph.add("abuffersink"))
    graph.configure()
    return graph


def _drained(graph: Graph | None) -> Iterator[AudioFrame]:
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[AudioFrame]:
    with contextlib.suppress(BlockingIOError, av.EOFError):
        while True:
            yield graph.pull()
