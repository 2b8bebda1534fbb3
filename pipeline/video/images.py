"""Pictures: a directory of them to gray frames, a square cut from one, and the limits that all obey."""

import re
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.schema import ClipError, Reason

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
LONG_SIDE = 1280  # pixels: larger pictures are scaled down to it
MAX_PIXELS = 64_000_000  # a picture above this is refused before it is decoded


def is_directory(path: Path) -> bool:
    """Tells a directory from a regular file, and refuses all else (FIFO, device) without opening it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ClipError(Reason.UNREADABLE, f"{path}: cannot be opened ({_rule(error)})") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ClipError(Reason.UNREADABLE, f"{path}: neither a regular file nor a directory")
    return stat.S_ISDIR(mode)


def check_pixels(width: int, height: int, path: Path) -> None:
    """Refuses a picture of absurd size by its header alone."""
    if width * height > MAX_PIXELS:
        limit = f"the limit is {MAX_PIXELS // 1_000_000} megapixels"
        raise ClipError(Reason.UNREADABLE, f"{path}: {width}x{height} pixels, {limit}")


def fit(width: int, height: int) -> tuple[int, int]:
    """The size after scaling down to a long side of `LONG_SIDE`; smaller pictures keep theirs."""
    scale = min(1.0, LONG_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def listing(directory: Path) -> list[Path]:
    """The images of a directory in natural name order (img2 before img10), hidden files left out.

    Raises:
      ClipError: NO_VIDEO where there is none; UNREADABLE where the directory may not be listed.
    """
    try:
        paths = [p for p in directory.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, f"{directory}: cannot be listed ({_rule(error)})") from error
    if not paths:
        raise ClipError(Reason.NO_VIDEO, f"{directory}: no image in it, want {' '.join(SUFFIXES)}")
    return sorted(paths, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts names by the numbers in them."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], name


def read(paths: list[Path]) -> np.ndarray:
    """Reads images of one size as uint8 [F, H, W], full-range luma, upright.

    Raises:
      ClipError: UNREADABLE, naming the image that is damaged, of another size, or not 8 bits a channel.
    """
    planes: list[np.ndarray] = []
    for path in paths:
        planes.append(_read_one(path))
        if planes[-1].shape != planes[0].shape:
            here, first = (f"{p.shape[1]}x{p.shape[0]}" for p in (planes[-1], planes[0]))
            raise ClipError(Reason.UNREADABLE, f"{path}: {here} pixels, but the first image has {first}")
    return np.stack(planes)


def colour(path: Path) -> np.ndarray:
    """An image as `read` reads it, but in colour: uint8 [H, W, 3], red first.

    Raises:
      ClipError: as `read`.
    """
    return _read_one(path, "RGB")


def _read_one(path: Path, mode: str = "L") -> np.ndarray:
    if is_directory(path):
        raise ClipError(Reason.UNREADABLE, f"{path}: a directory where an image should be")
    try:
        with Image.open(path, formats=("JPEG", "PNG", "BMP")) as image:
            check_pixels(*image.size, path)
            if image.mode.startswith(("I", "F")):
                raise ClipError(Reason.UNREADABLE, f"{path}: mode {image.mode}, want 8 bits a channel")
            upright = ImageOps.exif_transpose(image).convert(mode)
            return np.asarray(upright.resize(fit(*upright.size), Image.Resampling.BOX))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClipError(Reason.UNREADABLE, f"{path}: not an image that can be read ({_rule(error)})") from error


def _rule(error: Exception) -> str:
    """What was wrong, without the path, which the message names already."""
    if isinstance(error, UnidentifiedImageError):
        return "neither JPEG, PNG nor BMP"
    return getattr(error, "strerror", None) or str(error)


def cut(
    luma: np.ndarray, affine: np.ndarray, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """Cuts a square, however it lies, from a picture.

    Pixels outside the picture repeat its border. Where the square is at least twice as large as the result,
    the picture is first reduced by box averaging, so that nothing aliases; then it is sampled.

    Args:
      luma: uint8 [H, W].
      affine: [2, 3], from result coordinates (x, y, 1) to picture coordinates; (0, 0) is a corner of a pixel.
      side: pixels of the result.
      resample: how to sample between pixels.

    Returns:
      uint8 [side, side].
    """
    corners = np.array([[0, 0, 1], [side, 0, 1], [side, side, 1], [0, side, 1]]) @ affine.T
    low = np.floor(corners.min(axis=0)).astype(int) - 2  # bicubic sampling reaches two pixels out
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    image = Image.fromarray(_part(luma, low, high))
    affine = affine - np.column_stack([np.zeros((2, 2)), low])
    factor = int(np.hypot(*affine[:, 0]))
    if factor >= 2:
        image, affine = image.reduce(factor), affine / factor
    to_picture = tuple(affine.ravel())
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, to_picture, resample))


def _part(luma: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Pixels `[low, high)` (x, y) of a picture whose border goes on for ever."""
    size = np.array(luma.shape[::-1])
    if (low >= 0).all() and (high <= size).all():
        return luma[low[1] : high[1], low[0] : high[0]]
    columns, rows = (np.arange(low[i], high[i]).clip(0, size[i] - 1) for i in (0, 1))
    return luma[rows][:, columns]  # a quarter of the time of luma[rows[:, None], columns]
