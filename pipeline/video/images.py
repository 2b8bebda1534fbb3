"""Reads images from files and directories, and limits the size of pictures."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.schema import ClipError, Reason

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MAX_PIXELS = 64_000_000  # a larger picture is refused before it is decoded


def is_directory(path: Path) -> bool:
    """Whether a path is a directory (True) or a regular file (False).

    Raises:
      ClipError: UNREADABLE where it is anything else, such as a FIFO or a device; it is not opened.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ClipError(Reason.UNREADABLE, f"{path}: cannot be opened ({_cause(error)})") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ClipError(Reason.UNREADABLE, f"{path}: neither a regular file nor a directory")
    return stat.S_ISDIR(mode)


def check_pixels(width: int, height: int, path: Path) -> None:
    """Checks the size that a picture's header states.

    Raises:
      ClipError: UNREADABLE where it has more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        limit = f"the limit is {MAX_PIXELS // 1_000_000} megapixels"
        raise ClipError(Reason.UNREADABLE, f"{path}: {width}x{height} pixels, {limit}")


def list_images(directory: Path) -> list[Path]:
    """Lists the images of a directory in natural order of names (img2 before img10), without hidden files.

    Raises:
      ClipError: NO_VIDEO where there are none; UNREADABLE where the directory cannot be listed.
    """
    try:
        paths = [p for p in directory.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{directory}: cannot be listed ({_cause(error)})") from error
    if not paths:
        raise ClipError(Reason.NO_VIDEO, f"{directory}: no image in it, want {' '.join(SUFFIXES)}")
    return sorted(paths, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key that compares the digits in names as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], name


def read(paths: list[Path]) -> Iterator[np.ndarray]:
    """Yields images of one size as upright luma of full range, uint8 [H, W].

    Raises:
      ClipError: UNREADABLE, naming an image that is damaged, of another size, or not of 8 bits per channel.
    """
    shape = None
    for path in paths:
        luma = _read_image(path, "L")
        if luma.shape != (shape := shape or luma.shape):
            here, first = (f"{width}x{height}" for height, width in (luma.shape, shape))
            raise ClipError(Reason.UNREADABLE, f"{path}: {here} pixels, but the first image has {first}")
        yield luma


def read_color(path: Path) -> np.ndarray:
    """Reads an upright image as RGB, uint8 [H, W, 3].

    Raises:
      ClipError: as `read`.
    """
    return _read_image(path, "RGB")


def _read_image(path: Path, mode: str) -> np.ndarray:
    if is_directory(path):
        raise ClipError(Reason.UNREADABLE, f"{path}: a directory where an image should be")
    try:
        with Image.open(path, formats=("JPEG", "PNG", "BMP")) as image:
            check_pixels(*image.size, path)
            if image.mode.startswith(("I", "F")):
                raise ClipError(Reason.UNREADABLE, f"{path}: mode {image.mode}, want 8 bits a channel")
            return np.asarray(ImageOps.exif_transpose(image).convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClipError(Reason.UNREADABLE, f"{path}: not an image that can be read ({_cause(error)})") from error


def _cause(error: Exception) -> str:
    """The cause of an error without the path, which the message already names."""
    if isinstance(error, UnidentifiedImageError):
        return "neither JPEG, PNG nor BMP"
    return getattr(error, "strerror", None) or str(error)
