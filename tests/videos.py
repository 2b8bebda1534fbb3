"""Videos for tests: numbered pictures in any container, and all frames of a video at once."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.packet import Packet

from pipeline.schema import ClipError, Reason
from pipeline.video import decode

BARS = 10  # of a numbered picture: white for 1, the lowest bit left
SOUND_RATE = 48000
SIZE = (48, 32)  # width, height of `write_timed`


@dataclasses.dataclass(frozen=True)
class Frames:
    """What `decode.Video` says after its last frame; `luma` is uint8 [F, H, W], `times` float64 [F]."""

    luma: np.ndarray
    times: np.ndarray
    begins: float
    truncated: bool


def read(path: Path, **settings: object) -> Frames:
    """Reads all frames, with the settings of `decode.opened`."""
    with decode.opened(path, **settings) as video:
        luma = np.stack(list(video))
    return Frames(luma, np.array(video.times), video.begins, video.truncated)


def numbered(count: int, width: int = 160, height: int = 64) -> list[np.ndarray]:
    """Pictures that show their numbers as bars, uint8 [height, width]."""
    bits = np.arange(count)[:, None] >> np.arange(BARS) & 1
    rows = np.repeat(255 * bits.astype(np.uint8), width // BARS, axis=1)
    return [np.tile(row, (height, 1)) for row in rows]


def numbers(luma: np.ndarray) -> list[int]:
    """The numbers of pictures [F, H, W], read in the middle of each bar."""
    bars = luma.mean(axis=1).reshape(len(luma), BARS, -1)
    middle = bars.shape[2] // 4
    return ((bars[:, :, middle:-middle].mean(axis=2) > 127) << np.arange(BARS)).sum(axis=1).tolist()


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    begins: float = 0.0,
    sound: tuple[float, float] | None = None,
    gop: int = 50,
    encoder: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    matrix: Sequence[int] | None = None,
    **stream_settings: object,
) -> Path:
    """Writes pictures at 25 a second from second `begins` on, beside silence from and to the seconds of `sound`.

    The pictures are gray, [H, W], or RGB, [H, W, 3]; `matrix` is their display matrix.
    """
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=25, options=encoder or {})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.gop_size, stream.max_b_frames = gop, 2
        stream.set_display_matrix(matrix)
        for name, value in stream_settings.items():
            setattr(stream, name, value)
        audio = add_sound(container, path) if sound else None
        packets = encoded(stream, pictures, begins) + (silence(audio, sound) if sound else [])
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def write_timed(
    path: Path,
    stamps: Sequence[float],
    *,
    size: tuple[int, int] = SIZE,
    pictures: Sequence[np.ndarray] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    gop: int = 12,
    rate: float = 25,
    b_frames: int = 2,
) -> None:
    """Writes picture i at second `stamps[i]`, with uniform brightness 4 * (i % 63) unless given."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(rate).limit_denominator(1001), options={"crf": "1", "bf": str(b_frames)}
        )
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.codec_context.time_base = stream.time_base = Fraction(1, 90000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, stamp in enumerate(stamps):
            flat = np.full((size[1], size[0]), 4 * (index % 63), np.uint8)
            frame = av.VideoFrame.from_ndarray(pictures[index] if pictures else flat, format="gray")
            frame.pts, frame.time_base = round(stamp * 90000), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def shown(seen: Frames) -> list[int]:
    """The index of the picture in each frame of a video written by `write_timed`, by its brightness."""
    return [round(float(plane.mean()) / 4) for plane in seen.luma]


def reject(path: Path, reason: Reason, match: str, **settings: object) -> None:
    """Asserts that a video is refused with a reason, in words that name it."""
    with pytest.raises(ClipError, match=match) as error:
        read(path, **settings)
    assert error.value.reason is reason
    assert str(path) in error.value.detail


def encoded(stream: av.VideoStream, pictures: Sequence[np.ndarray], begins: float = 0.0) -> list[Packet]:
    """Packets of gray pictures [H, W] or RGB ones [H, W, 3]."""
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")
        frame.pts, frame.time_base = round(25 * begins) + number, Fraction(1, 25)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def add_sound(container: OutputContainer, path: Path) -> av.AudioStream:
    """Adds a stream of sound in a codec that the container of a file can hold."""
    return container.add_stream("mp2" if path.suffix in (".mpg", ".avi") else "aac", rate=SOUND_RATE, layout="mono")


def silence(stream: av.AudioStream, span: tuple[float, float]) -> list[Packet]:
    """Packets of silence from and to a second."""
    size, format = stream.codec_context.frame_size or 1152, stream.codec_context.format.name
    packets = []
    for begin in range(round(SOUND_RATE * span[0]), round(SOUND_RATE * span[1]), size):
        frame = av.AudioFrame(format=format, layout="mono", samples=size)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def copy(source: Path, path: Path, first: int = 0) -> Path:
    """Copies a video stream from packet `first` on, as a cut without encoding does."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.dts is not None and number >= first:
                packet.stream = stream
                container.mux(packet)
    return path
