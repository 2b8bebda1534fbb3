"""Where videos to read come from: files, directories, a camera, the standard input."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from pipeline.corpora import paths
from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

STDIN = "-"
CLOCK = Fraction(1, 90_000)  # seconds, of a recording


def listed(names: Sequence[str]) -> list[str]:
    """What is to be read: a directory is replaced by the videos in it, in natural order, whatever their depth.

    Left out are hidden files and directories, and links to directories. A directory of images, and of no videos, is a
    video itself.

    Raises:
      DataError: a directory holds neither.
    """
    return [each for name in names for each in (_below(Path(name)) if Path(name).is_dir() else [name])]


def _below(directory: Path) -> list[str]:
    found = sorted(_videos(directory), key=lambda path: images.natural(path.relative_to(directory).as_posix()))
    if not found:
        raise DataError(f"{directory}: holds neither videos nor images; name a directory that does")
    return [str(path) for path in found]


def _videos(directory: Path) -> Iterator[Path]:
    files = [path for path in paths.videos(directory) if not path.is_dir()]
    pictures = any(entry.suffix.lower() in images.SUFFIXES for entry in paths.entries(directory))
    yield from files or [directory] * pictures
    for folder in paths.folders(directory):
        if not folder.is_symlink():
            yield from _videos(folder)


@contextlib.contextmanager
def at_hand(name: str, seconds: float) -> Iterator[Path]:
    """The path of a video for as long as it is needed: a recording, or the standard input, is kept till then.

    Args:
      name: of a file or directory; `-`, the standard input; or the number of a camera, where no file is called so.
      seconds: how long a camera records.

    Raises:
      ClipError: there is no such camera, or it does not work.
    """
    if name != STDIN and not is_camera(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="lipflow-") as directory:
        path = Path(directory) / "recorded"
        if name == STDIN:
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            record(f"/dev/video{name}", path, seconds, "v4l2")
        try:
            yield path
        except ClipError as error:  # told of what the user knows
            raise ClipError(error.reason, error.detail.replace(str(path), "the recording")) from error


def is_camera(name: str) -> bool:
    """Whether a name is the number of a camera."""
    return name.isdecimal() and not Path(name).exists()


def record(device: str, path: Path, seconds: float, format: str) -> None:
    """Keeps the first pictures of a device in a file, without loss.

    Args:
      device: such as `/dev/video0`.
      path: the file to write.
      seconds: how long.
      format: libav's name for the kind of device, such as `v4l2`.

    Raises:
      ClipError: UNREADABLE: there is no such device, or it gives no pictures.
    """
    try:
        with av.open(device, format=format) as camera, av.open(str(path), "w", format="matroska") as file:
            source = camera.streams.video[0]
            stream = file.add_stream("ffv1", rate=source.average_rate)
            stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = CLOCK
            for frame in _first(camera.decode(source), seconds):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise ClipError(Reason.UNREADABLE, f"{device}: no camera that can be read ({error.strerror})") from error


def _first(frames: Iterator[av.VideoFrame], seconds: float) -> Iterator[av.VideoFrame]:
    """The frames of the first `seconds`, timed from 0 on: a camera's clock may have begun long ago."""
    begins = None
    for frame in frames:
        begins = frame.pts if begins is None else begins
        if (frame.pts - begins) * frame.time_base >= seconds:
            return
        frame.pts -= begins
        yield frame
