"""Inputs of `scripts.transcribe`: files, directories, a camera, the standard input."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from pipeline.corpora import paths
from pipeline.records import storage
from pipeline.schema import ClipError, DataError, Reason
from pipeline.video import images

STDIN = "-"
TIME_BASE = Fraction(1, 90_000)  # seconds


def listed(names: Sequence[str]) -> list[str]:
    """Replaces each directory by the videos below it, in natural order.

    Hidden files, hidden directories and links to directories are skipped. A directory of images is a video.

    Raises:
      DataError: a directory holds neither videos nor images.
    """
    places = {name: storage.local(name) for name in names}
    return [each for name in names for each in (_below(places[name]) if places[name].is_dir() else [name])]


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
    """Yields the path of a video; a recording or the standard input is kept in a temporary file until the block ends.

    Args:
      name: a file or directory; `-` for the standard input; or the number of a camera, if no file has that name.
      seconds: length of a camera's recording.

    Raises:
      ClipError: the camera does not exist or does not work.
    """
    if name != STDIN and not is_camera(name):
        yield storage.local(name)
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
        except ClipError as error:  # the user does not know the temporary file
            raise ClipError(error.reason, error.detail.replace(str(path), "the recording")) from error


def is_camera(name: str) -> bool:
    """Returns whether a name is the number of a camera."""
    return name.isdecimal() and not Path(name).exists()


def record(device: str, path: Path, seconds: float, format: str) -> None:
    """Records a device into a file, without loss.

    Args:
      device: such as `/dev/video0`.
      path: the file to write.
      seconds: length of the recording.
      format: FFmpeg's name for the kind of device, such as `v4l2`.

    Raises:
      ClipError: UNREADABLE: the device does not exist, or gives no pictures.
    """
    try:
        with av.open(device, format=format) as camera, av.open(str(path), "w", format="matroska") as file:
            source = camera.streams.video[0]
            stream = file.add_stream("ffv1", rate=source.average_rate)
            stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = TIME_BASE
            for frame in _first(camera.decode(source), seconds):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise ClipError(Reason.UNREADABLE, f"{device}: no camera that can be read ({error.strerror})") from error


def _first(frames: Iterator[av.VideoFrame], seconds: float) -> Iterator[av.VideoFrame]:
    """Yields the frames of the first `seconds`, with times from 0; a camera's clock starts anywhere."""
    begins = None
    for frame in frames:
        begins = frame.pts if begins is None else begins
        if (frame.pts - begins) * frame.time_base >= seconds:
            return
        frame.pts -= begins
        yield frame
