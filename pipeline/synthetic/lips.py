"""Paints a drawn mouth: its shape in seven numbers, its outlines, and the pixels of lips, teeth and tongue.

Lengths are in *units* of half the width of the face; the origin is between the eyes, `u` points right, `v` down.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

UNIT = 75  # pixels
MOUTH_V = 1.02  # `v` of the closed lips
GAPE = 0.32  # the gap between the lips in the widest vowel
THROAT = (46, 16, 16)
TOOTH = (232, 226, 214)
TONGUE = (196, 98, 100)
REST_GAP = 0.012  # the gap between closed lips


class Mouth(NamedTuple):
    """The shape of a mouth; every number is in [0, 1], except `spread` in [-1, 1]."""

    open: float  # gap between the lips
    spread: float  # corners apart (1) or together (-1)
    round: float  # lips protruded and narrowed
    teeth: float  # visible part of the teeth
    tongue: float  # height of the tongue
    tuck: float  # lower lip under the upper teeth
    press: float  # lips pressed thin


class LipStyle(NamedTuple):
    """The constant features of a speaker's lips; sizes are factors near 1, the colour is RGB in 0..255."""

    width: float
    thickness: float
    colour: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Lips:
    """The outlines of a mouth: `v` of four curves over columns `u`, and the half widths of lips and gap, in units."""

    half_width: float
    inner_half_width: float
    outer_top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    outer_bottom: np.ndarray


def outline(style: LipStyle, mouth: Mouth, u: np.ndarray) -> Lips:
    """The outlines of `mouth` at columns `u` (units), each with the shape of `u`."""
    half_width = 0.37 * style.width * (1 + 0.16 * mouth.spread - 0.30 * mouth.round)
    inner_half_width = half_width * (0.93 - 0.13 * mouth.round)
    gap = REST_GAP + GAPE * mouth.open
    bow = np.clip(1 - (u / half_width) ** 2, 0, None)
    inner = np.clip(1 - (u / inner_half_width) ** 2, 0, None) ** (0.75 - 0.2 * mouth.round)
    middle = MOUTH_V - 0.035 * mouth.spread * (1 - bow) - 0.05 * mouth.tuck
    inner_top = middle - 0.3 * gap * inner
    inner_bottom = middle + 0.7 * gap * inner
    thick = style.thickness * (1 + 0.35 * mouth.round) * (1 - 0.5 * mouth.press)
    cupid = 1 - 0.16 * np.exp(-((u / 0.05) ** 2)) + 0.08 * np.exp(-(((np.abs(u) - 0.1) / 0.07) ** 2))
    upper = 0.115 * thick * bow**0.8 * cupid
    lower = 0.150 * thick * (1 - 0.45 * mouth.tuck) * bow**0.6
    return Lips(half_width, inner_half_width, inner_top - upper, inner_top, inner_bottom, inner_bottom + lower)


def soft(distance: np.ndarray, edge: float = 1 / UNIT) -> np.ndarray:
    """A mask: 1 inside, 0 outside, with a ramp of `edge` units where the signed `distance` is 0."""
    return np.clip(distance / edge + 0.5, 0, 1)


def tint(colour: tuple[float, ...] | np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Multiplies `colour` `[3]` by the brightness `tone` `[h, w]`: float32 `[3, h, w]`."""
    return np.multiply.outer(np.asarray(colour, np.float32), tone.astype(np.float32))


def over(image: np.ndarray, colour: np.ndarray | tuple[float, ...], mask: np.ndarray) -> None:
    """Paints `colour`, `[3]` or `[3, h, w]`, over `image` `[3, h, w]` where `mask` `[h, w]` is 1."""
    colour = np.asarray(colour, np.float32)
    image += mask * (colour.reshape(3, 1, 1) if colour.ndim == 1 else colour) - mask * image


def paint(image: np.ndarray, corner: tuple[float, float], style: LipStyle, mouth: Mouth, shade: np.ndarray) -> None:
    """Paints lips, and the teeth and tongue between them, over lit skin, in place.

    Args:
      image: float32 `[3, h, w]`, RGB in 0..255.
      corner: `(u, v)` of its upper left corner.
      style: the lips of the speaker.
      mouth: the shape of the mouth.
      shade: the brightness of each row, `[h, 1]`.
    """
    height, width = image.shape[1:]
    u = corner[0] + (np.arange(width, dtype=np.float32)[None, :] + 0.5) / UNIT  # [1, w]
    v = corner[1] + (np.arange(height, dtype=np.float32)[:, None] + 0.5) / UNIT  # [h, 1]
    shape = outline(style, mouth, u)
    _paint_folds(image, shape, u, v)
    _paint_skin(image, style, mouth, shape, u, v, shade)
    gap = soft(v - shape.inner_top) * soft(shape.inner_bottom - v) * (np.abs(u) < shape.inner_half_width)
    inside = np.empty_like(image)
    inside[:] = np.reshape(THROAT, (3, 1, 1))
    _paint_teeth(inside, mouth, shape, u, v)
    _paint_tongue(inside, mouth, shape, u, v)
    over(image, inside * shade, gap)


def _paint_folds(image: np.ndarray, shape: Lips, u: np.ndarray, v: np.ndarray) -> None:
    """Darkens the hollow below the lower lip and the corners of the mouth."""
    below = np.exp(-(((v - shape.outer_bottom - 0.05) / 0.045) ** 2)) * np.exp(-((u / 0.24) ** 2))
    corner = np.exp(-(((np.abs(u) - shape.half_width - 0.01) / 0.035) ** 2)) * np.exp(-(((v - MOUTH_V) / 0.05) ** 2))
    image *= (1 - 0.20 * below) * (1 - 0.28 * corner)


def _paint_skin(
    image: np.ndarray, style: LipStyle, mouth: Mouth, shape: Lips, u: np.ndarray, v: np.ndarray, shade: np.ndarray
) -> None:
    upper = np.clip((v - shape.outer_top) / np.maximum(shape.inner_top - shape.outer_top, 1e-3), 0, 1)
    lower = np.clip((v - shape.inner_bottom) / np.maximum(shape.outer_bottom - shape.inner_bottom, 1e-3), 0, 1)
    bulge = 4 * lower * (1 - lower)
    gloss = bulge**4 * np.exp(-((u / 0.13) ** 2)) * (0.18 + 0.1 * mouth.round)
    tone = np.where(v < shape.inner_top, 0.98 - 0.24 * upper, 0.90 + 0.28 * bulge - 0.12 * lower + gloss)
    mask = soft(v - shape.outer_top, 0.025) * soft(shape.outer_bottom - v, 0.025) * (np.abs(u) < shape.half_width)
    over(image, tint(style.colour, tone * shade), mask)


def _paint_teeth(inside: np.ndarray, mouth: Mouth, shape: Lips, u: np.ndarray, v: np.ndarray) -> None:
    side = 1 - 0.55 * (u / shape.half_width) ** 2
    seam = 1 - 0.10 * np.abs(np.sin(u * np.pi / 0.10)) ** 12
    colour = tint(TOOTH, side * seam)
    upper = MOUTH_V + mouth.teeth * 0.085 - 0.05 * (u / shape.half_width) ** 2
    over(inside, colour, soft(upper - v) * min(1.0, 4 * mouth.teeth))
    lower = upper + 0.018 + 0.55 * GAPE * max(0.0, mouth.open - 0.2)
    over(inside, 0.86 * colour, soft(v - lower, 0.02) * np.clip(2 * mouth.teeth - 1, 0, 1))


def _paint_tongue(inside: np.ndarray, mouth: Mouth, shape: Lips, u: np.ndarray, v: np.ndarray) -> None:
    gap = shape.inner_bottom - shape.inner_top
    top = shape.inner_bottom - 0.92 * mouth.tongue * gap + 0.6 * u**2
    body = soft(v - top, 0.03) * min(1.0, 3 * mouth.tongue) * soft(0.72 * shape.inner_half_width - np.abs(u), 0.05)
    over(inside, tint(TONGUE, 0.80 + 0.3 * soft(v - top - 0.03, 0.12)), body)
