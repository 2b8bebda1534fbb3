"""Paints a drawn head without its mouth: skin, eyes, nose and hair, and the light on them.

The head is painted once per speaker and lit once per clip, from the slopes of a height field (Lambert's law). Lengths
are in the units of `lips`. Colours are planar, `[3, H, W]`, which takes NumPy a third of the time.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.synthetic.lips import MOUTH_V, UNIT, LipStyle, over, soft, tint

LEFT, TOP, RIGHT, BOTTOM = -1.32, -1.84, 1.32, 2.00  # the canvas
CHIN_V = 1.62

SKIN = np.array([(236, 196, 170), (222, 176, 146), (198, 148, 114), (164, 116, 86), (128, 88, 66)], np.float32)
HAIR = np.array([(38, 28, 24), (72, 48, 34), (112, 78, 48), (168, 130, 84), (120, 116, 114)], np.float32)
IRIS = np.array([(70, 48, 32), (84, 108, 128), (82, 100, 66)], np.float32)


@dataclasses.dataclass(frozen=True)
class Identity:
    """The constant features of a speaker's face; lengths are factors near 1, colours RGB in 0..255."""

    skin: tuple[float, ...]
    hair: tuple[float, ...]
    iris: tuple[float, ...]
    lips: LipStyle
    shirt: tuple[float, ...]
    long_hair: bool
    jaw: float  # exponent of the chin's outline: larger is squarer
    eye_gap: float
    nose: float
    brow: float
    stubble: float  # 0..1
    hairline: float  # units
    texture: int  # seed of the skin's grain

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Identity":
        """Draws a random speaker."""
        skin = _between(SKIN, rng.uniform(0, len(SKIN) - 1))
        hair = _between(HAIR, rng.uniform(0, len(HAIR) - 1))
        redden = np.array((0.80, 0.52, 0.54)) * rng.uniform(0.94, 1.06, 3)
        long_hair = bool(rng.random() < 0.5)
        return cls(
            skin=tuple(skin),
            hair=tuple(hair),
            iris=tuple(IRIS[rng.integers(len(IRIS))]),
            lips=LipStyle(rng.uniform(0.9, 1.12), rng.uniform(0.85, 1.25), tuple(skin * redden)),
            shirt=tuple(rng.uniform(40, 200, 3)),
            long_hair=long_hair,
            jaw=rng.uniform(2.2, 2.9),
            eye_gap=rng.uniform(0.94, 1.06),
            nose=rng.uniform(0.88, 1.15),
            brow=rng.uniform(0.7, 1.3),
            stubble=0.0 if long_hair else rng.uniform(0, 0.5),
            hairline=rng.uniform(-1.05, -0.85),
            texture=int(rng.integers(2**31)),
        )


class Light(NamedTuple):
    """The direction and strength of the light."""

    side: float  # -1 left .. 1 right
    above: float  # 0 level .. 1 from above
    gain: float  # brightness; 1 as painted


def _between(table: np.ndarray, at: float) -> np.ndarray:
    low = min(int(at), len(table) - 2)
    return table[low] + (at - low) * (table[low + 1] - table[low])


@functools.cache
def _canvas() -> tuple[np.ndarray, np.ndarray]:
    """`u` `[1, W]` and `v` `[H, 1]` of the canvas's pixel centres."""
    width, height = round((RIGHT - LEFT) * UNIT), round((BOTTOM - TOP) * UNIT)
    u = LEFT + (np.arange(width, dtype=np.float32) + 0.5) / UNIT
    v = TOP + (np.arange(height, dtype=np.float32) + 0.5) / UNIT
    return u[None, :], v[:, None]


def _region(level: np.ndarray, edge: float = 1.5 / UNIT) -> np.ndarray:
    """The soft mask of `level < 1`, its distance estimated as (1 - level) / |gradient|."""
    down, right = np.gradient(level, 1 / UNIT)
    return soft((1 - level) / np.maximum(np.hypot(down, right), 1e-3), edge)


def _blob(at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    u, v = _canvas()
    return np.exp(-0.5 * ((u - at[0]) / size[0]) ** 2) * np.exp(-0.5 * ((v - at[1]) / size[1]) ** 2)


def _pair(at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    return _blob(at, size) + _blob((-at[0], at[1]), size)


def _disc(at: tuple[float, float], radius: tuple[float, float], edge: float = 1.5 / UNIT) -> np.ndarray:
    u, v = _canvas()
    reach = np.hypot((u - at[0]) / radius[0], (v - at[1]) / radius[1])
    return soft((1 - reach) * min(radius), edge)


def _face_level(identity: Identity) -> np.ndarray:
    """Below 1 inside the outline of the face."""
    u, v = _canvas()
    return u**2 + np.where(v < 0, (v / 1.68) ** 2, np.abs(v / CHIN_V) ** identity.jaw)


def _height(identity: Identity) -> np.ndarray:
    """The relief of the head towards the viewer, in units."""
    u, v = _canvas()
    base = 0.95 * np.sqrt(np.maximum(1 - (u / 1.12) ** 2 - ((v - 0.05) / 1.85) ** 2, 0.02))
    wide = identity.nose
    ridge = np.exp(-0.5 * (u / (0.09 * wide)) ** 2) * soft(v + 0.12, 0.3) * soft(0.60 - v, 0.12)
    relief = 0.10 * ridge * (1 + 1.2 * np.clip(v, 0, 0.6))
    relief = relief + 0.15 * _blob((0, 0.54), (0.12 * wide, 0.10)) + 0.06 * _pair((0.17 * wide, 0.60), (0.07, 0.07))
    relief = relief + 0.05 * _pair((0.42, -0.24), (0.25, 0.08)) - 0.09 * _pair((0.45, -0.02), (0.20, 0.11))
    relief = relief + 0.06 * _pair((0.55, 0.42), (0.22, 0.18)) + 0.09 * _blob((0, 1.45), (0.22, 0.12))
    return base + relief + 0.07 * _blob((0, MOUTH_V), (0.36, 0.22)) - 0.02 * _blob((0, 0.80), (0.035, 0.08))


def shade(identity: Identity, light: Light) -> np.ndarray:
    """The brightness of each pixel of the canvas in this light, float32 `[H, W]` near 1."""
    down, right = np.gradient(_height(identity), 1 / UNIT)
    towards = np.array((light.side, -light.above, 1.0))
    towards = towards / np.linalg.norm(towards)
    facing = (-right * towards[0] - down * towards[1] + towards[2]) / np.sqrt(1 + right**2 + down**2)
    return (light.gain * (0.42 + 0.68 * np.maximum(facing, 0))).astype(np.float32)


def _grain(identity: Identity) -> np.ndarray:
    """Blotches and pores of the skin, `[H, W]`, a factor near 1."""
    rng = np.random.default_rng(identity.texture)
    height, width = _canvas()[1].size, _canvas()[0].size
    coarse = Image.fromarray(rng.normal(0, 1, (12, 9)).astype(np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return 1 + 0.018 * np.asarray(coarse) + rng.normal(0, 0.012, (height, width))


@functools.lru_cache(maxsize=3)
def paint_head(identity: Identity, lids: float) -> np.ndarray:
    """The unlit head without its mouth, float32 `[4, H, W]` in 0..255: RGB and the mask."""
    u, v = _canvas()
    skin = np.array(identity.skin, np.float32)
    level = _face_level(identity)
    face = _region(level)
    ears = _disc((1.02, 0.12), (0.13, 0.30)) + _disc((-1.02, 0.12), (0.13, 0.30))
    image = tint(skin, _grain(identity))
    over(image, skin * 0.72, 0.7 * _pair((1.05, 0.12), (0.05, 0.16)))
    over(image, skin * (1.02, 0.84, 0.82), 0.45 * _pair((0.58, 0.50), (0.22, 0.18)))
    over(image, skin * 0.62, identity.stubble * soft(v + 0.25 * u**2 - 0.82, 0.35) * soft(level - 0.15, 0.5))
    _paint_nose(image, identity)
    for side in (-1, 1):
        _paint_eye(image, identity, side, lids)
    skin_mask = np.maximum(face, np.clip(ears, 0, 1))
    hair_mask = _hair_mask(identity, level)
    over(image, _hair_colour(identity), np.maximum(hair_mask, 1 - skin_mask))  # no skin shows at the edges of the hair
    return np.concatenate([image, 255 * np.maximum(skin_mask, hair_mask)[None]]).astype(np.float32)


def _paint_nose(image: np.ndarray, identity: Identity) -> None:
    skin, wide = np.array(identity.skin, np.float32), identity.nose
    over(image, skin * 0.66, 0.55 * _blob((0, 0.70), (0.17 * wide, 0.035)))
    over(image, skin * 0.70, 0.45 * _pair((0.25 * wide, 0.60), (0.025, 0.07)))
    over(image, skin * 0.80, 0.35 * _pair((0.13, 0.05), (0.05, 0.16)))
    over(image, skin * 0.25, 0.85 * np.clip(_pair((0.095 * wide, 0.665), (0.04, 0.022)), 0, 1))
    over(image, skin * 0.76, 0.30 * _pair((0.36, 0.82), (0.035, 0.13)))
    over(image, skin * 1.12, 0.50 * _blob((0, 0.50), (0.05, 0.06)))


def _paint_eye(image: np.ndarray, identity: Identity, side: int, lids: float) -> None:
    u, v = _canvas()
    skin, hair = np.array(identity.skin, np.float32), np.array(identity.hair, np.float32)
    centre = 0.45 * identity.eye_gap * side
    across = (u - centre) * side  # towards the temple
    lid = np.clip(1 - (across / 0.215) ** 2, 0, None)
    tilt = -0.06 * across
    bottom = 0.058 * lid**0.8 + tilt
    top = bottom - lids * (0.058 * lid**0.8 + 0.095 * lid**0.7)
    over(image, skin * 0.72, 0.40 * _blob((centre, -0.06), (0.22, 0.09)))
    over(image, skin * 0.80, 0.30 * _blob((centre, 0.14), (0.16, 0.04)))
    between = soft(v - top) * soft(bottom - v) * (lid > 0)
    over(image, (226, 222, 218), between)
    over(image, identity.iris, between * _disc((centre, -0.015), (0.102, 0.102)))
    over(image, (16, 12, 12), between * _disc((centre, -0.015), (0.046, 0.046)))
    over(image, (250, 250, 250), between * _disc((centre + 0.03, -0.05), (0.022, 0.022)))
    over(image, skin * 0.4, 0.55 * between * soft(top + 0.035 - v, 0.05))
    over(image, hair * 0.3 + skin * 0.08, 0.9 * np.exp(-(((v - top) / 0.022) ** 2)) * (lid > 0))
    over(image, skin * 0.55, 0.5 * np.exp(-(((v - bottom) / 0.016) ** 2)) * (lid > 0))
    crease = top - 0.055 * lids * lid**0.5 - 0.02
    over(image, skin * 0.58, 0.5 * np.exp(-(((v - crease) / 0.016) ** 2)) * (lid > 0))
    arc = -0.29 - 0.05 * np.clip(1 - ((across - 0.02) / 0.36) ** 2, 0, None)
    thick = 0.050 * identity.brow * np.clip(1 - ((across + 0.02) / 0.33) ** 2, 0, None) ** 0.6
    over(image, hair * 0.75, 0.85 * soft(thick - np.abs(v - arc), 0.03) * (thick > 0.005))


def _hair_mask(identity: Identity, level: np.ndarray) -> np.ndarray:
    u, v = _canvas()
    cap = _region((u / 1.16) ** 2 + ((v + 0.1) / 1.72) ** 2)
    above = soft(identity.hairline + 0.95 * np.abs(u) ** 3.2 - v, 0.06)
    mask = cap * above * soft(0.15 - v, 0.15)
    if not identity.long_hair:
        return mask
    fall = _region((u / (1.15 + 0.12 * np.clip(v + 0.8, 0, 1))) ** 2 + np.abs((v - 0.1) / 1.80) ** 4)
    beside = soft(level - 1.0, 0.06) * soft(np.abs(u) - 0.62 - 0.1 * np.sin(3 * v), 0.08)
    return np.maximum(mask, fall * beside)


def _hair_colour(identity: Identity) -> np.ndarray:
    """The colour of hair at each pixel, `[3, H, W]`."""
    u, v = _canvas()
    strands = 1 + 0.13 * np.sin(46 * u + 5 * np.sin(2.1 * v + 3 * u)) * np.cos(7 * u - 2 * v)
    sheen = 1 + 0.35 * np.exp(-(((v + 1.25 - 0.2 * u**2) / 0.16) ** 2))
    return tint(identity.hair, strands * sheen)
