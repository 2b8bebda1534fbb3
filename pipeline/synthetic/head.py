"""Renders frames of a talking head: lowers the jaw, paints the mouth, and places the head in the picture."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.synthetic.face import BOTTOM, CHIN_V, LEFT, RIGHT, TOP, Identity, Light, paint_head, shade
from pipeline.synthetic.lips import GAPE, MOUTH_V, UNIT, Mouth, over, paint, soft, tint

PATCH = (-0.56, 0.76, 0.56, 1.64)  # left, top, right, bottom of the region that the mouth changes
PATCH_BOX = tuple(round((edge - origin) * UNIT) for edge, origin in zip(PATCH, (LEFT, TOP, LEFT, TOP), strict=True))


class Pose(NamedTuple):
    """The position of the head in the image."""

    x: float  # pixels: the point between the eyes
    y: float
    scale: float  # image pixels per canvas pixel
    angle: float  # radians, clockwise


class HeadRenderer:
    """Renders a lit speaker in front of a background, frame by frame."""

    def __init__(self, identity: Identity, light: Light, background: np.ndarray) -> None:
        """Lights the head and the background.

        Args:
          identity: the speaker.
          light: the light of the whole clip.
          background: unlit float32 `[3, height, width]` in 0..255, with the shoulders.
        """
        self._identity = identity
        brightness = shade(identity, light)
        heads = (paint_head(identity, lids) for lids in (1.0, 0.55, 0.05))
        self._heads = [_rgbx(np.concatenate([head[:3] * brightness, head[3:]])) for head in heads]
        self._background = _rgbx(np.concatenate([background * light.gain, np.full_like(background[:1], 255)]))
        rows, columns = PATCH_BOX[1::2], PATCH_BOX[0::2]
        self._patch_shade = brightness[slice(*rows), slice(*columns)].mean(axis=1, keepdims=True)

    def render(self, mouth: Mouth, pose: Pose, blink: float) -> np.ndarray:
        """Renders one frame.

        Args:
          mouth: the shape of the mouth.
          pose: the position of the head.
          blink: 0 for open eyes to 1 for closed eyes.

        Returns:
          uint8 `[height, width, 4]`: RGB and an unused byte.
        """
        head = self._heads[round(2 * blink)].copy()
        self._drop_jaw(head, mouth)
        self._paint_mouth(head, mouth)
        image = self._background.copy()
        _place(head, image, pose)
        return np.asarray(image)

    def _drop_jaw(self, head: Image.Image, mouth: Mouth) -> None:
        """Stretches the head below the lips, so that the chin follows the lower lip."""
        drop = 0.62 * GAPE * mouth.open / (CHIN_V - MOUTH_V)
        top, height = (MOUTH_V - TOP) * UNIT, head.height
        first = int(top)
        box = (0, first, head.width, first + (height - first) / (1 + drop))
        head.paste(head.resize((head.width, height - first), Image.Resampling.BILINEAR, box), (0, first))

    def _paint_mouth(self, head: Image.Image, mouth: Mouth) -> None:
        pixels = np.asarray(head.crop(PATCH_BOX)).transpose(2, 0, 1).astype(np.float32, order="C")
        paint(pixels[:3], PATCH[:2], self._identity.lips, mouth, self._patch_shade)
        head.paste(_rgbx(pixels), PATCH_BOX[:2])


def _rgbx(pixels: np.ndarray) -> Image.Image:
    """Converts `[4, H, W]` to an image whose last band is its mask; RGBA would be premultiplied at each step."""
    return Image.merge("RGBX", [Image.fromarray(band) for band in np.clip(pixels, 0, 255).astype(np.uint8)])


def _place(head: Image.Image, image: Image.Image, pose: Pose) -> None:
    """Pastes the canvas `head` into `image`, turned and scaled, with its origin at `pose`."""
    cos, sin = np.cos(pose.angle) / pose.scale, np.sin(pose.angle) / pose.scale
    reach = pose.scale * UNIT
    left, top = int(pose.x + LEFT * reach) - 6, int(pose.y + TOP * reach) - 6
    size = (int((RIGHT - LEFT) * reach) + 12, int((BOTTOM - TOP) * reach) + 12)
    x, y = left - pose.x, top - pose.y
    matrix = (cos, sin, cos * x + sin * y - LEFT * UNIT, -sin, cos, cos * y - sin * x - TOP * UNIT)
    turned = head.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    image.paste(turned, (left, top), turned.getchannel("X"))


def paint_background(identity: Identity, pose: Pose, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Paints the constant part of a clip: a wall of random colours, and the speaker's neck and shoulders.

    Args:
      identity: the speaker.
      pose: the position of the head in the first frame.
      size: height and width of the image.
      rng: draws the colours of the wall.

    Returns:
      Unlit float32 `[3, height, width]` in 0..255.
    """
    height, width = size
    corners = np.clip(rng.uniform(50, 210, 3) + rng.uniform(-35, 35, (2, 2, 3)), 0, 255).astype(np.uint8)
    wall = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    image = np.asarray(wall).transpose(2, 0, 1).astype(np.float32, order="C")
    u = ((np.arange(width, dtype=np.float32) + 0.5 - pose.x) / (pose.scale * UNIT))[None, :]
    v = ((np.arange(height, dtype=np.float32) + 0.5 - pose.y) / (pose.scale * UNIT))[:, None]
    neck = soft(0.56 + 0.25 * np.clip(v - 1.9, 0, None) ** 2 - np.abs(u), 0.03) * soft(v - 0.6)
    round_off = 0.96 - 0.25 * (u / 0.6) ** 2 - 0.30 * soft(2.0 - v, 0.5)
    over(image, tint(identity.skin, round_off), neck)
    shoulders = soft(1 - np.hypot(u / 2.3, (v - 3.9) / 1.75), 0.01) * soft(v - 2.45 + 0.6 * np.clip(u**2, 0, 0.6), 0.03)
    folds = 0.9 + 0.08 * np.sin(5 * u + 2 * v) - 0.10 * np.abs(u)
    over(image, tint(identity.shirt, folds), shoulders)
    return image
