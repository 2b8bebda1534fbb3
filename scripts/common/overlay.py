"""Writes a video with a box around the mouth, the words below the picture as they are read, and its sound."""

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video import VideoStream
from PIL import Image, ImageDraw, ImageFont

from pipeline.mouth.cropping import Crops
from pipeline.records.storage import replacing
from pipeline.schema import DataError
from pipeline.video import decode
from scripts.common import sound, subtitles
from scripts.common.sound import Sound
from scripts.common.subtitles import Line, Word

FOUND, LOST = (60, 220, 120), (235, 60, 50)  # box colours: a face was found; the place was interpolated
BAND, PAST, LAST = (18, 20, 24), (190, 195, 202), (255, 214, 80)  # background, earlier words, newest word
SIDE_MARGIN = 8  # pixels left and right of a line
ENCODER = {"crf": "20"}
Box = tuple[list[tuple[float, float]], tuple[int, int, int]]  # its corners, and its colour


def write(
    path: Path, stretches: Sequence[Crops], words: Sequence[Word], fps: float, begins: float, output: Path
) -> None:
    """Writes H.264 in MP4 at the run's frame rate, with all of the video's sound, copied or as AAC, in time with it.

    Where the sound begins before the first picture, the file begins with it, and the pictures follow.

    Args:
      path: the video that was read.
      stretches: its mouth crops.
      words: its transcript.
      fps: frames a second.
      begins: time of the first frame, in seconds.
      output: the file to write.

    Raises:
      ClipError: the video can no longer be read.
      DataError: the file cannot be written.
    """
    seconds = (begins + number / fps for number in itertools.count())
    pictures = drawn(decode.read_color(path, fps=fps), stretches, subtitles.lines(words), seconds)
    try:
        with sound.opened(path) as heard, replacing(output) as temporary:
            _encode(pictures, fps, begins, heard, temporary)
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"{output}: cannot be written ({error.strerror}); make room, or name another file") from error


def _encode(pictures: Iterator[Image.Image], fps: float, begins: float, heard: Sound | None, path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=ENCODER)
        first = next(pictures)
        (stream.width, stream.height), stream.pix_fmt = first.size, "yuv420p"
        early = math.ceil((begins - heard.begins) * fps - 1e-6) if heard else 0
        delay = max(0, early)  # frames before the first picture
        packets = [_shown(itertools.chain([first], pictures), stream, delay)]
        if heard:
            packets.append(heard.packets(heard.add_to(container), delay / fps - begins))
        for packet in heapq.merge(*packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)


def _shown(pictures: Iterable[Image.Image], stream: VideoStream, delay: int) -> Iterator[Packet]:
    for number, picture in enumerate(pictures, delay):
        frame = av.VideoFrame.from_image(picture)
        frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
        yield from stream.encode(frame)
    yield from stream.encode(None)


def drawn(
    pictures: Iterable[np.ndarray], stretches: Sequence[Crops], lines: Sequence[Line], seconds: Iterable[float]
) -> Iterator[Image.Image]:
    """Draws box and words on pictures, uint8 [H, W, 3] at `seconds`; yields RGB images of even sides.

    There is no box outside of the stretches.
    """
    font = None
    boxes = {crops.start + place: box for crops in stretches for place, box in enumerate(_boxes(crops))}
    for number, (picture, second) in enumerate(zip(pictures, seconds, strict=False)):
        font = font or _font(lines, picture.shape)
        yield _page(picture, boxes.get(number), _line_at(lines, second), second, font)


def _boxes(crops: Crops) -> Iterator[Box]:
    for corners, tracked in zip(crops.corners.tolist(), crops.tracked, strict=True):
        yield [tuple(corner) for corner in corners], FOUND if tracked else LOST


def _font(lines: Sequence[Line], shape: tuple[int, ...]) -> ImageFont.FreeTypeFont:
    """Returns a font of a fourteenth of the picture's height, or smaller so that the longest line fits."""
    size = max(10, shape[0] // 14)
    max_length = max((ImageFont.load_default(size).getlength(line.text) for line in lines), default=0)
    return ImageFont.load_default(min(size, max(8, size * (shape[1] - 2 * SIDE_MARGIN) / max(max_length, 1))))


def _line_at(lines: Sequence[Line], second: float) -> Line | None:
    return next((line for line in lines if line.start <= second < line.stop), None)


def _page(
    picture: np.ndarray, box: Box | None, line: Line | None, second: float, font: ImageFont.FreeTypeFont
) -> Image.Image:
    height, width = picture.shape[:2]
    below = height + round(2 * font.size)
    page = Image.new("RGB", (width + width % 2, below + below % 2), BAND)  # H.264 halves the sides for colour
    page.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(page)
    if box is not None:
        outline, colour = box
        draw.line([*outline, outline[0]], colour, max(1, round(height / 144)), "curve")
    draw.rectangle((0, height, width, below), BAND)  # the box may extend beyond the picture
    if line is not None:
        _draw_words(draw, line, second, ((width - font.getlength(line.text)) / 2, height + font.size / 2), font)
    return page


def _draw_words(
    draw: ImageDraw.ImageDraw, line: Line, second: float, corner: tuple[float, float], font: ImageFont.FreeTypeFont
) -> None:
    """Draws the words of a line that have started, each at its place in the line, the newest in another colour."""
    begun = [word.text for word in line.words if word.start <= second]
    for number, text in enumerate(begun):
        before = " ".join([*begun[:number], ""])
        colour = LAST if number == len(begun) - 1 else PAST
        draw.text((corner[0] + font.getlength(before), corner[1]), text, colour, font)
