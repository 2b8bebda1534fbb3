"""How doubtful the crops of a stretch are, and why.

Each cause has a measure. It is scaled so that a score of 0.5, from which on crops are doubtful, lies between the values
of sound clips (801 of GRID's first two talkers, ten of others, 60 drawn ones) and those of bad ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.mouth import path
from pipeline.mouth.sighting import Sighting, likenesses
from pipeline.mouth.stretch import Stretch
from pipeline.schema import CROP, DOUBTFUL
from pipeline.video.opencv import cv2

HIDDEN = "the mouth is hidden"
FAINT = "hardly seen as a face"
FLAT = "hardly any contrast"
UNSTEADY = "the crop moves unusually"
TURNED = "the face is turned far"
STILL = "the lips do not move"
CHANGED = "one face turns into another"
SELDOM = "the face is seldom seen"
CAUSES = (HIDDEN, FAINT, FLAT, TURNED, STILL, CHANGED, UNSTEADY, SELDOM)  # the most telling first

# The value of each measure at a score of 0.5.
LIPS = 0.25  # of the crop's deviation. Sound: 0.39 and more. Behind a hand: 0.11 to 0.34; half behind a mask: 0.01.
CHANGE = 0.12  # of the crop's deviation, a fifth of the time. Sound: 0.16 and more. Stills: 0 to 0.11, by compression.
UNLIKE = 0.14  # 1 less the likeness over a second. Sound: 0.07 at most, 0.05 in 99 of 100. Dissolves: 0.15 and more.
LOGIT = 25.0  # of the mesh, median. Sound: 32 and more. Squeezed or masked faces, a mouth outside the picture: 2 to 25.
CONTRAST = 8.0  # gray levels, the crop's deviation. Sound: 13 and more. Against the light: 4.
LAG = 0.15  # inter-ocular distances. Sound: 0.03 at most. A nod: 0.06; a head that is shaken, or jumps: 0.2 and more.
ROLL = np.pi / 3  # of the head. Sound: 6 degrees at most; people hardly tilt their heads further than 45.
YAW = 0.4  # the nose's way to one side, in inter-ocular distances. Sound: 0.10 at most; at 45 degrees about 0.4.

LOOK_EVERY = 5  # frames
LAG_SIGMA = 2.0  # frames of smoothing for which the lag is taken
CHANGES = 8  # between looks: a talker may be silent for a second
APART = 5  # looks, a second: a dissolve takes about as long
MOST_LOOKS = 500  # that are compared with each other
HIDDEN_LOOKS = 4  # in a row: a mouth that is hidden for less than 16 frames is not doubtful
ROWS = slice(40, 76)  # of the crop: the lips
LIP_CELLS = (slice(5, 11), slice(2, 12))  # rows and columns around the lips, of a crop reduced to 14x14
STEPS = np.arange(ROWS.stop - ROWS.start) - (ROWS.stop - ROWS.start - 1) / 2
DETREND = np.eye(len(STEPS)) - 1 / len(STEPS) - np.outer(STEPS, STEPS) / (STEPS @ STEPS)  # takes mean and slope out
HALVES = (slice(32, 54), slice(58, 80))  # columns of the crop: the mouth's halves, without its middle


class Doubt(NamedTuple):
    """How likely the crops of a stretch do not show what they should.

    Attributes:
      score: 0 for certain crops to 1 for useless ones; from 0.5 on they are doubtful.
      cause: one of `CAUSES`, or "" where the crops are not doubtful.
    """

    score: float
    cause: str


CERTAIN = Doubt(0.0, "")


def of(stretch: Stretch) -> Doubt:
    """The doubt of a finished stretch: the largest score of all causes, and the first cause that makes it doubtful."""
    looks = _spread(stretch.sightings)
    crops = np.stack([stretch.crops[seen.frame - stretch.start] for seen in looks])
    deviations = np.array([cv2.meanStdDev(crop)[1].item() for crop in crops])
    shown = lip_contrast(crops) / (deviations + 1)
    points = np.stack([seen.points for seen in looks])
    poses = np.array(stretch.poses)
    turned = max(np.median(np.abs(np.angle(poses[:, 1]))) / ROLL, np.median(np.abs(yaw(points))) / YAW)
    scores = {
        HIDDEN: 1 - 0.5 * longest_low(shown, HIDDEN_LOOKS) / LIPS,
        FAINT: 1 - 0.5 * np.median([seen.logit for seen in looks]) / LOGIT,
        FLAT: 1 - 0.5 * np.median(deviations) / CONTRAST,
        UNSTEADY: 0.5 * lag(poses) / LAG,
        TURNED: 0.5 * turned,
        STILL: 1 - 0.5 * lip_change(crops) / CHANGE,
        CHANGED: 0.5 * (1 - likeness_over_time([seen.look for seen in looks])) / UNLIKE,
        SELDOM: 1 - np.mean(stretch.tracked),
    }
    score = float(np.clip(max(scores.values()), 0, 1))
    return Doubt(round(score, 3), next((cause for cause in CAUSES if scores[cause] >= DOUBTFUL), ""))


def _spread(sightings: list[Sighting]) -> list[Sighting]:
    """The first of some sightings, and each that is at least `LOOK_EVERY` frames after the one before."""
    looks = sightings[:1]
    for seen in sightings:
        if seen.frame - looks[-1].frame >= LOOK_EVERY:
            looks.append(seen)
    return looks


def lip_contrast(crops: np.ndarray) -> np.ndarray:
    """How far lips and the line between them stand out from the skin, in the half of the mouth where they do less.

    The rows of each half are averaged, and their trend from top to bottom is taken out: what remains varies by 20 gray
    levels or so over lips, and little over a hand or a mask.

    Args:
      crops: uint8 [N, 112, 112].

    Returns:
      Gray levels, float [N].
    """
    rows = np.stack([crops[:, ROWS, half].mean(axis=2) for half in HALVES])
    return (rows @ DETREND).std(axis=2).min(axis=0)


def longest_low(values: np.ndarray, count: int) -> float:
    """The level below which `count` of [N] values in a row stay, or all where there are fewer."""
    windows = np.lib.stride_tricks.sliding_window_view(values, min(count, len(values)))
    return float(windows.max(axis=1).min())


def lip_change(crops: np.ndarray) -> float:
    """How much the lips change from one crop to the next.

    Args:
      crops: uint8 [N, 112, 112], `LOOK_EVERY` frames apart.

    Returns:
      Root mean square, relative to the crop's deviation, that a fifth of the changes exceed; infinity where there are
      fewer than `CHANGES`.
    """
    if len(crops) <= CHANGES:
        return np.inf
    small = cv2.resize(crops.reshape(-1, CROP), (14, 14 * len(crops)), interpolation=cv2.INTER_AREA)
    small = small.reshape(-1, 14, 14).astype(np.float32)
    lips = small[:, *LIP_CELLS] - small[:, *LIP_CELLS].mean(axis=(1, 2), keepdims=True)
    changes = np.sqrt(np.mean(np.diff(lips, axis=0) ** 2, axis=(1, 2)))
    return float(np.quantile(changes / (small[1:].std(axis=(1, 2)) + 1), 0.8))


def likeness_over_time(looks: Sequence[np.ndarray]) -> float:
    """How alike the looks before and after some second are, at the second where they are least.

    Of those looks the two that are most alike count: a head that is turned aside turns back.

    Args:
      looks: uint8 [24, 24] each, `LOOK_EVERY` frames apart.

    Returns:
      Up to 1, as of `likenesses`; 1 where there are too few looks.
    """
    looks = looks[:: 1 + len(looks) // MOST_LOOKS]
    if len(looks) <= APART:
        return 1.0
    before = np.maximum.accumulate(likenesses(np.stack(looks)), axis=0)
    both = np.maximum.accumulate(before[:, ::-1], axis=1)[:, ::-1]
    return float(np.diagonal(both, APART).min())


def lag(poses: np.ndarray) -> float:
    """How far a smoothed crop is from the mouth, poses complex [F, 2], at most; in inter-ocular distances."""
    return float(path.jumps(path.smooth(poses, LAG_SIGMA), poses).max())


def yaw(points: np.ndarray) -> np.ndarray:
    """How far the nose is to one side of the middle between the eyes, in inter-ocular distances: float [N].

    Args:
      points: landmarks, [N, 468, 2].
    """
    right, left, nose, _ = path.spots(points).T
    return ((nose - (right + left) / 2) / (left - right)).real
