"""How doubtful the crops of a stretch are, and why.

Each cause has a measure. It is scaled so that a score of 0.5, from which on crops are doubtful, lies between the values
of sound clips (801 of GRID's first two talkers, ten of others, 60 drawn ones) and those of bad ones.
"""

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.mouth import path
from pipeline.mouth.sighting import Sighting
from pipeline.mouth.stretch import Stretch

HIDDEN = "the mouth is hidden"
FAINT = "hardly seen as a face"
FLAT = "hardly any contrast"
UNSTEADY = "the crop moves unusually"
TURNED = "the face is turned far"
CAUSES = (HIDDEN, FAINT, FLAT, UNSTEADY, TURNED)

# The value of each measure at a score of 0.5.
LIPS = 0.25  # of the crop's deviation. Sound: 0.39 and more. Behind a hand: 0.11 to 0.34; half behind a mask: 0.01.
LOGIT = 25.0  # of the mesh, median. Sound: 32 and more. Squeezed or masked faces, a mouth outside the picture: 2 to 25.
CONTRAST = 8.0  # gray levels, the crop's deviation. Sound: 13 and more. Against the light: 4.
MOTION = 0.25  # inter-ocular distances within five frames. Sound: 0.10 at most, but for damaged pictures. A cut: 0.5.
ROLL = np.pi / 3  # of the head. Sound: 6 degrees at most; people hardly tilt their heads further than 45.
YAW = 0.4  # the nose's way to one side, in inter-ocular distances. Sound: 0.10 at most; at 45 degrees about 0.4.

LOOK_EVERY = 5  # frames
HIDDEN_LOOKS = 4  # in a row: a mouth that is hidden for less than 16 frames is not doubtful
ROWS = slice(40, 76)  # of the crop: the lips
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
    """The doubt of a finished stretch: the cause with the largest score."""
    looks = _spread(stretch.sightings)
    crops = [stretch.crops[seen.frame - stretch.start] for seen in looks]
    deviations = np.array([cv2.meanStdDev(crop)[1].item() for crop in crops])
    shown = np.array([lip_contrast(crop) for crop in crops]) / (deviations + 1)
    points = np.stack([seen.points for seen in looks])
    poses = np.array(stretch.poses)
    turned = max(np.median(np.abs(np.angle(poses[:, 1]))) / ROLL, np.median(np.abs(yaw(points))) / YAW)
    scores = {
        HIDDEN: 1 - 0.5 * longest_low(shown, HIDDEN_LOOKS) / LIPS,
        FAINT: 1 - 0.5 * np.median([seen.logit for seen in looks]) / LOGIT,
        FLAT: 1 - 0.5 * np.median(deviations) / CONTRAST,
        UNSTEADY: 0.5 * max_jump(poses) / MOTION,
        TURNED: 0.5 * turned,
    }
    cause = max(CAUSES, key=scores.__getitem__)
    score = round(float(np.clip(scores[cause], 0, 1)), 3)
    return Doubt(score, cause if score >= 0.5 else "")


def _spread(sightings: list[Sighting]) -> list[Sighting]:
    """The first of some sightings, and each that is at least `LOOK_EVERY` frames after the one before."""
    looks = sightings[:1]
    for seen in sightings:
        if seen.frame - looks[-1].frame >= LOOK_EVERY:
            looks.append(seen)
    return looks


def lip_contrast(crop: np.ndarray) -> float:
    """How far lips and the line between them stand out from the skin, in the half of the mouth where they do less.

    The rows of each half are averaged, and their trend from top to bottom is taken out: what remains varies by 20 gray
    levels or so over lips, and little over a hand or a mask.

    Args:
      crop: uint8 [112, 112].

    Returns:
      Gray levels.
    """
    rows = [cv2.reduce(crop[ROWS, half], 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0] for half in HALVES]
    return float((np.stack(rows) @ DETREND).std(axis=1).min())


def longest_low(values: np.ndarray, count: int) -> float:
    """The level below which `count` of [N] values in a row stay, or all where there are fewer."""
    windows = np.lib.stride_tricks.sliding_window_view(values, min(count, len(values)))
    return float(windows.max(axis=1).min())


def max_jump(poses: np.ndarray) -> float:
    """The largest jump within five frames of complex [F, 2], in inter-ocular distances."""
    gaps = range(1, min(5, len(poses) - 1) + 1)
    return max((path.jumps(poses[:-gap], poses[gap:]).max() for gap in gaps), default=0.0)


def yaw(points: np.ndarray) -> np.ndarray:
    """How far the nose is to one side of the middle between the eyes, in inter-ocular distances: float [N].

    Args:
      points: landmarks, [N, 468, 2].
    """
    right, left, nose, _ = path.spots(points).T
    return ((nose - (right + left) / 2) / (left - right)).real
