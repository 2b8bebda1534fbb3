"""The speech of a drawn face: GRID's sentences, the visemes of their words, and the shapes of the mouth over time.

The words can be told apart by the lips alone: no two share a sequence of visemes, and their shapes clearly differ.
Between phonemes the mouth follows the dominance model of Cohen and Massaro, "Modeling coarticulation in synthetic
visual speech", 1993: each phoneme pulls every number of the mouth's shape towards its target, most strongly in the
middle of its own time.
"""

import dataclasses
import math

import numpy as np

from pipeline.synthetic.lips import Mouth

SILENCE = "sil"  # as in GRID's alignments

# Viseme: (target, dominance, relative duration). Phonemes that look alike share a viseme.
VISEMES = {
    "SIL": (Mouth(0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.5, 1.0),
    "P": (Mouth(0.00, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), 4.0, 1.0),  # p b m
    "F": (Mouth(0.10, 0.1, 0.0, 1.0, 0.0, 1.0, 0.0), 4.0, 1.1),  # f v
    "TH": (Mouth(0.28, 0.1, 0.0, 0.6, 1.0, 0.0, 0.0), 3.0, 1.1),  # th dh
    "T": (Mouth(0.16, 0.4, 0.0, 1.0, 0.0, 0.0, 0.0), 1.6, 1.0),  # t d n s z
    "L": (Mouth(0.42, 0.1, 0.0, 0.4, 0.85, 0.0, 0.0), 2.5, 1.0),  # l
    "K": (Mouth(0.30, 0.1, 0.0, 0.2, 0.4, 0.0, 0.0), 0.7, 0.9),  # k g
    "CH": (Mouth(0.26, -0.3, 0.7, 1.0, 0.0, 0.0, 0.0), 2.5, 1.2),  # ch jh
    "R": (Mouth(0.24, -0.2, 0.5, 0.2, 0.0, 0.0, 0.0), 1.2, 0.9),  # r
    "W": (Mouth(0.05, -0.4, 1.0, 0.0, 0.0, 0.0, 0.0), 3.0, 1.0),  # w
    "A": (Mouth(1.00, 0.0, 0.0, 0.5, 0.3, 0.0, 0.0), 1.4, 1.5),  # aa ah, and the start of ay aw
    "E": (Mouth(0.60, 0.4, 0.0, 0.6, 0.2, 0.0, 0.0), 1.4, 1.4),  # ae eh ax, and the start of ey
    "I": (Mouth(0.28, 1.0, 0.0, 0.8, 0.1, 0.0, 0.0), 1.4, 1.3),  # iy ih, and the end of ay ey
    "O": (Mouth(0.55, -0.3, 0.8, 0.0, 0.1, 0.0, 0.0), 1.6, 1.4),  # ao, and the start of ow
    "U": (Mouth(0.15, -0.3, 0.95, 0.0, 0.0, 0.0, 0.0), 1.6, 1.3),  # uw, and the end of aw ow
}

# GRID's words, one row per slot: `character=word:visemes`, with the character of the word in file names. Eight letters
# are used; most of the others look like one of them (p like b), like another word (z like "set"), or like each other.
SLOTS = (
    "b=bin:P I T, l=lay:L E I, p=place:P L E I T, s=set:T E T",
    "b=blue:P L U, g=green:K R I T, r=red:R E T, w=white:W A I T",
    "a=at:E T, b=by:P A I, i=in:I T, w=with:W I TH",
    "b=b:P I, f=f:E F, h=h:E I CH, j=j:CH E I, l=l:E L, m=m:E P, o=o:O U, r=r:A",
    "z=zero:T I R O U, 1=one:W A T, 2=two:T U, 3=three:TH R I, 4=four:F O, "
    "5=five:F A I F, 6=six:T I K T, 7=seven:T E F E T, 8=eight:E I T, 9=nine:T A I T",
    "a=again:E K E T, n=now:T A U, p=please:P L I T, s=soon:T U T",
)


def _slot(row: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    entries = (entry.split("=") for entry in row.split(", "))
    return {code: (spoken.split(":")[0], tuple(spoken.split(":")[1].split())) for code, spoken in entries}


WORDS = tuple(_slot(row) for row in SLOTS)  # per slot: character -> (word, its visemes)
SENTENCES = math.prod(len(slot) for slot in WORDS)


# A phoneme pulls at full strength around its middle; farther away its pull falls off as a Gaussian.
HOLD = 0.2  # of its duration, to either side of the middle
FALLOFF = 0.42  # of its duration: standard deviation
MAX_FALLOFF_S = 0.05  # long silences do not smear


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The words and visemes of a clip with their times.

    Attributes:
      words: (word, first frame, frame after its last), with silence at both ends; they cover the clip.
      visemes: (viseme, start, stop) in fractional frames.
    """

    words: tuple[tuple[str, int, int], ...]
    visemes: tuple[tuple[str, float, float], ...]

    @property
    def frames(self) -> int:
        """The number of frames of the clip."""
        return self.words[-1][2]


def time_sentence(code: str, word_frames: float, rng: np.random.Generator) -> Timeline:
    """Draws the times of a sentence; words with more visemes take longer.

    Args:
      code: one character per slot of `WORDS`, such as `bbaf2n`.
      word_frames: the mean number of frames per word.
      rng: varies every duration.
    """
    spoken = [slot[character] for slot, character in zip(WORDS, code, strict=True)]
    sequence = [(SILENCE, ("SIL",)), *spoken, (SILENCE, ("SIL",))]
    words, visemes, start = [], [], 0
    for word, names in sequence:
        shares = np.array([VISEMES[name][2] for name in names])
        factor = rng.uniform(0.5, 0.9) if word == SILENCE else (0.62 + 0.1 * shares.sum()) * rng.uniform(0.94, 1.06)
        stop = start + max(2, round(word_frames * factor))
        edges = start + (stop - start) * np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
        visemes += [(name, *edge) for name, *edge in zip(names, edges[:-1], edges[1:], strict=True)]
        words.append((word, start, stop))
        start = stop
    return Timeline(tuple(words), tuple(visemes))


def mouth_shapes(timeline: Timeline, fps: float) -> list[Mouth]:
    """The shape of the mouth in the middle of each frame."""
    targets = np.array([VISEMES[name][0] for name, _, _ in timeline.visemes])  # [V, 7]
    strength = np.array([VISEMES[name][1] for name, _, _ in timeline.visemes])
    start, stop = np.array([span for _, *span in timeline.visemes]).T
    length = stop - start
    fall = np.minimum(FALLOFF * length, MAX_FALLOFF_S * fps)
    times = np.arange(timeline.frames)[:, None] + 0.5
    away = np.maximum(
        np.abs(times - (start + stop) / 2) - np.where(length > 4 * fall, length / 2 - fall, HOLD * length), 0
    )
    pull = strength * np.exp(-0.5 * (away / fall) ** 2) + 1e-9  # [F, V]
    shapes = pull @ targets / pull.sum(axis=1, keepdims=True)
    return [Mouth(*shape) for shape in shapes.tolist()]
