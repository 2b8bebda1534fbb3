"""Encodes frames as bytes and decodes them: raw, jpeg or png."""

import dataclasses
import io
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.records import jpeg
from pipeline.schema import CROP


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How the frames of a record are stored.

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
        """Encodes uint8 [F, 112, 112] as one value (raw) or F images."""
        if self.name == "raw":
            return [frames.tobytes()]
        return [self._image(frame) for frame in frames]

    def decode(self, values: list[bytes]) -> np.ndarray:
        """Decodes values of `encode` to uint8 [F, 112, 112].

        Raises:
          ValueError: a value is not an image of this encoding, size and mode, or is damaged.
        """
        if self.name == "raw":
            return np.frombuffer(b"".join(values), np.uint8).reshape(-1, CROP, CROP)
        try:
            alike = jpeg.decode_alike(values, CROP) if self.name == "jpeg" and values else None
            return np.stack([self._pixels(value) for value in values]) if alike is None else alike
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(str(error)) from error

    def _pixels(self, value: bytes) -> np.ndarray:
        try:
            image = Image.open(io.BytesIO(value), formats=[self.name])  # reads the header alone
        except UnidentifiedImageError as error:
            raise ValueError(f"cannot identify image as {self.name}") from error
        with image:
            if image.size != (CROP, CROP) or image.mode != "L":
                raise ValueError(f"an image of {image.size[0]}x{image.size[1]}, mode {image.mode}")
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"an animation of {image.n_frames} frames")
            return np.asarray(image)

    def _image(self, frame: np.ndarray) -> bytes:
        if self.name == "jpeg":
            return jpeg.encode(frame, self.quality)
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, self.name)
        return buffer.getvalue()
