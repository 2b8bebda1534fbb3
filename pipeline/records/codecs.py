"""Encodes frames as bytes and decodes them: raw, or as tall jpeg or png images with one frame below the other."""

import dataclasses
import io
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.schema import CROP

MAX_ROWS = 65500  # of a jpeg, by libjpeg
FRAMES_PER_IMAGE = MAX_ROWS // CROP
JPEG_END = b"\xff\xd9"


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How the frames of a record are stored.

    An image holds up to 584 frames, one below the other: [F*112, 112]. 112 is a multiple of 8, so that no block of a
    jpeg spans two frames. All images of a record but the last are full.

    Attributes:
      name: `raw` (uint8, 12,544 bytes a frame), `jpeg` (lossy) or `png` (lossless).
      quality: of jpeg, 1 to 100.

    Raises:
      ValueError: a field has another value.
    """

    name: Literal["raw", "jpeg", "png"] = "raw"
    quality: int = 92

    def __post_init__(self) -> None:
        if self.name not in ("raw", "jpeg", "png"):
            raise ValueError(f"encoding: want raw, jpeg or png, got {self.name!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: want 1 to 100, got {self.quality}")

    def encode(self, frames: np.ndarray) -> list[bytes]:
        """Encodes uint8 [F, 112, 112] as one value (raw) or as images of up to 584 frames."""
        if self.name == "raw":
            return [frames.tobytes()]
        starts = range(0, len(frames), FRAMES_PER_IMAGE)
        return [self._image(frames[start : start + FRAMES_PER_IMAGE]) for start in starts]

    def decode(self, values: list[bytes]) -> np.ndarray:
        """Decodes values of `encode` to uint8 [F, 112, 112].

        Raises:
          ValueError: a value is not an image of this encoding, size and mode, or is damaged.
        """
        if self.name == "raw":
            if len(values) > 1:
                raise ValueError(f"want one value, got {len(values)}")
            return np.frombuffer(b"".join(values), np.uint8).reshape(-1, CROP, CROP)
        self.count(values)
        try:
            images = [np.asarray(Image.open(io.BytesIO(value), formats=[self.name])) for value in values]
        except (OSError, SyntaxError) as error:
            raise ValueError(str(error)) from error
        return np.concatenate([image.reshape(-1, CROP, CROP) for image in images])  # [F*112, 112] -> [F, 112, 112]

    def count(self, values: list[bytes]) -> int:
        """The number of frames in jpeg or png values of `encode`, by their headers; no pixel is decoded.

        Raises:
          ValueError: a value is not an image of this encoding, size and mode, is cut short, or is not full.
        """
        counts = [self._frames(value) for value in values]
        if not counts or any(count != FRAMES_PER_IMAGE for count in counts[:-1]):
            raise ValueError(f"want images of {FRAMES_PER_IMAGE} frames and a last one, got {counts}")
        return sum(counts)

    def _frames(self, value: bytes) -> int:
        try:
            with Image.open(io.BytesIO(value), formats=[self.name]) as image:  # reads the header alone
                size, mode, animated = image.size, image.mode, getattr(image, "n_frames", 1)
                image.verify()  # the checksums of a png
        except UnidentifiedImageError as error:
            raise ValueError(f"cannot identify image as {self.name}") from error
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(str(error)) from error
        frames, rest = divmod(size[1], CROP)
        if size[0] != CROP or rest or not 0 < frames <= FRAMES_PER_IMAGE or mode != "L":
            raise ValueError(f"an image of {size[0]}x{size[1]}, mode {mode}")
        if animated > 1:
            raise ValueError(f"an animation of {animated} frames")
        if self.name == "jpeg" and not value.endswith(JPEG_END):
            raise ValueError("a jpeg that is cut short")
        return frames

    def _image(self, frames: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        options = {"quality": self.quality} if self.name == "jpeg" else {}
        Image.fromarray(frames.reshape(-1, CROP)).save(buffer, self.name, **options)  # [F, 112, 112] -> [F*112, 112]
        return buffer.getvalue()
