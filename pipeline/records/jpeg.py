"""Decodes many small jpegs in one call, joined into one tall jpeg with a restart marker after each."""

import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

_SIZE = 94  # where the height lies, two bytes
_QUALITY = slice(20, 89)  # the quantization, which alone of the head depends on the quality
_SCAN = b"\xff\xda"  # begins the segment before the pixels
_SCAN_BYTES = 10
_RESTARTS = [bytes([0xFF, 0xD0 + number]) for number in range(8)]
_END = b"\xff\xd9"
MAX_ROWS = 65500  # of one jpeg, by libjpeg


def encode(image: np.ndarray, quality: int) -> bytes:
    """Uint8 [H, W] -> a gray baseline jpeg with the standard Huffman tables."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=quality)
    return buffer.getvalue()


def decode_alike(values: Sequence[bytes], side: int) -> np.ndarray | None:
    """Jpegs that `encode` made of squares at one quality -> uint8 [n, side, side]; None where they are others.

    To the bit what decoding each gives: blocks do not know their neighbours, and a restart forgets the level before.

    Args:
      values: n jpegs, at least one.
      side: pixels, a multiple of 8.

    Raises:
      OSError, ValueError: a jpeg is damaged behind its head.
    """
    sample = _sample(side)
    head = values[0][: len(sample)]
    alike = all(value.startswith(head) and value.endswith(_END) for value in values)
    known = head[: _QUALITY.start] == sample[: _QUALITY.start] and head[_QUALITY.stop :] == sample[_QUALITY.stop :]
    if not (alike and known and side * len(values) <= MAX_ROWS):
        return None
    scans = bytearray()
    for number, value in enumerate(values):
        scans += value[len(head) : -len(_END)] + _RESTARTS[number % 8]
    scans[-len(_END) :] = _END
    if _markers(scans) != len(values):  # a damaged one has another, which would move those behind it
        return None
    every = b"\xff\xdd\0\x04" + (side * side // 64).to_bytes(2, "big")  # a restart after each, counted in blocks
    height = (side * len(values)).to_bytes(2, "big")
    rest = len(sample) - _SCAN_BYTES
    tall = b"".join([head[:_SIZE], height, head[_SIZE + 2 : rest], every, head[rest:], scans])
    with Image.open(io.BytesIO(tall), formats=["JPEG"]) as image:
        return np.asarray(image).reshape(len(values), side, side)  # [n*side, side] -> [n, side, side]


@functools.cache
def _sample(side: int) -> bytes:
    """What a jpeg holds before its pixels."""
    value = encode(np.zeros([side, side], np.uint8), 92)
    return value[: value.index(_SCAN) + _SCAN_BYTES]


def _markers(scan: bytearray) -> int:
    """How often 255 is followed by another byte than 0."""
    data = np.frombuffer(scan, np.uint8)
    return np.count_nonzero(data[1:][data[:-1] == 255])
