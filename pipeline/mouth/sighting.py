"""A face in one frame: where it is, what it looks like, and whether it is the face of another frame."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.mouth import faces, landmarks
from pipeline.mouth.faces import Face
from pipeline.mouth.path import jumps, pose, spots, squares
from pipeline.mouth.warp import corners_of, cut, warp
from pipeline.video.opencv import cv2

# The mesh's logit. Faces have 22 to 53 in a square that fits; a square that is off, as the detector's of a small face,
# leaves 1 to 23, a face upside down up to 8, and what is no face up to 14.
CLEAR_LOGIT = 30.0  # below this the square around a detected face may be off
FOUND_LOGIT = 15.0  # below this a detected face is upside down, or none
MIN_LOGIT = 0.0  # of a face that is followed, a probability of 0.5: it may turn away, or hide behind a hand
REFITS = 4  # of the mesh, at most
LIPS = (*landmarks.MOUTH, 0, 17)  # mesh points at the mouth's corners, its top and its bottom
# In inter-ocular distances. Talkers move by 0.03 to 0.10 within five frames; other faces are 0.49 to 10 away.
MAX_JUMP = 0.5
HISTORY = 5  # frames within which a jump counts
LOOK_SIZE = 3.5  # side of the part of the picture that is compared, in inter-ocular distances: head and surroundings
LOOK_SIDE = 24  # pixels of the comparison
# Of a talker five frames apart at least 0.96; of two people, one in the other's place, at most 0.86.
MIN_LIKENESS = 0.89
FAST_STEP = 0.25  # inter-ocular distances from one frame to the next, from which on pictures are blurred
MIN_FAST_LIKENESS = 0.7  # of a head that is shaken at 0.2 to 0.7 a frame: 0.75 at least, median 0.96
# The mean square difference of pictures at most two frames apart, relative to their variance. Of a talker 0.05 at most,
# 0.015 in 99 of 100; of another person 0.43 and more, of black 10 and more.
MAX_CHANGE = 0.1
NOISE = 16.0  # square gray levels, added to covariance and variance: areas without contrast are alike


class Sighting(NamedTuple):
    """A face in one frame.

    Attributes:
      frame: its number.
      points: landmarks, float64 [468, 2].
      logit: of the mesh, that it is a face.
      pose: complex [2], as of `path.pose`.
      look: uint8 [24, 24], the head and its surroundings.
      window: [2, 3], the affine map from the pixels of `look` to those of the picture.
    """

    frame: int
    points: np.ndarray
    logit: float
    pose: np.ndarray
    look: np.ndarray
    window: np.ndarray


def follow(before: Sighting, frame: int, luma: np.ndarray) -> Sighting | None:
    """The face at the place of one that an earlier frame shows, or None: the mesh alone is run, without a detector.

    Args:
      before: the face in the earlier frame.
      frame: the number of this one.
      luma: its picture, uint8 [H, W].
    """
    return _sighting(frame, luma, landmarks.mesh()(luma, landmarks.square_of_points(before.points)))


def largest(frame: int, luma: np.ndarray) -> Sighting | None:
    """The largest face of a picture, or None where there is none or its mouth is outside."""
    for detector in faces.detectors():
        for face in sorted(detector(luma), key=lambda found: -found.size):
            if (fit := _fit(face, luma)) is not None:
                return _sighting(frame, luma, fit)
    return None


def nearest(before: Sighting, frame: int, luma: np.ndarray) -> Iterator[Sighting]:
    """Yields the faces of a picture by their distance, in place and size, to the one of an earlier frame."""
    low, high = before.points.min(axis=0), before.points.max(axis=0)
    centre, size = (low + high) / 2, max(high - low)

    def distance(face: Face) -> float:
        return np.hypot(*(face.centre - centre)) / size + abs(np.log(face.size / size))

    for detector in faces.detectors():
        for face in sorted(detector(luma), key=distance):
            if (fit := _fit(face, luma)) is not None and (seen := _sighting(frame, luma, fit)) is not None:
                yield seen


def _fit(face: Face, luma: np.ndarray) -> landmarks.Fit | None:
    """The mesh on a detected face, or None where it is no face after all.

    The detector may take a face upside down for an upright one, and places a small one roughly.
    """
    mesh = landmarks.mesh()
    fit = mesh(luma, landmarks.square_of_face(face))
    if fit.logit < FOUND_LOGIT:
        turned = mesh(luma, landmarks.square_of_face(face, turned=True))
        fit = max(fit, turned, key=lambda one: one.logit)
    for _ in range(REFITS):
        if MIN_LOGIT <= fit.logit < CLEAR_LOGIT:
            again = mesh(luma, landmarks.square_of_points(fit.points))
            fit = max(fit, again, key=lambda one: one.logit)
    return fit if fit.logit >= FOUND_LOGIT else None


def _sighting(frame: int, luma: np.ndarray, fit: landmarks.Fit) -> Sighting | None:
    """The sighting of a mesh, or None where the mesh sees no face or part of the mouth is outside of the picture."""
    lips = fit.points[list(LIPS)]
    if fit.logit < MIN_LOGIT or (lips < 0).any() or (lips > luma.shape[::-1]).any():
        return None
    posed = pose(fit.points)
    centre = spots(fit.points)[:3].mean() + 0.1j * posed[1]
    window = squares(centre[None], LOOK_SIZE * posed[1:], LOOK_SIDE)[0]
    return Sighting(frame, fit.points, fit.logit, posed, _look(luma, window), window)


def _look(luma: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The part of a picture that is compared, uint8 [24, 24]; `window` as in `Sighting`."""
    return warp(luma, window, LOOK_SIDE, cv2.INTER_LINEAR)


def continues(history: Sequence[Sighting], seen: Sighting, luma: np.ndarray) -> bool:
    """Whether a face is the one seen before.

    It is, where it looks as in one of the sightings, or stays where it was in a picture that looks as before. A head
    that moves fast, or a camera that shakes, may go further than `MAX_JUMP`, up to twice as far as in one of the steps
    before; and it is blurred, so that less likeness will do.

    Args:
      history: sightings of at most five frames before, or the last one, in order.
      seen: the face.
      luma: its picture.
    """
    last = history[-1]
    step = max((jumps(one.pose, other.pose) for one, other in itertools.pairwise(history)), default=0.0)
    slow = MAX_JUMP * max(1.0, (seen.frame - last.frame) / HISTORY)
    if jumps(last.pose, seen.pose) > max(slow, 2 * step):
        return False
    enough = MIN_LIKENESS if step < FAST_STEP else MIN_FAST_LIKENESS
    if any(likeness(one.look, seen.look) >= enough for one in history):
        return True
    stays = all(jumps(one.pose, seen.pose) <= MAX_JUMP for one in history)
    return stays and is_alike(last, seen, luma)


def is_alike(before: Sighting, seen: Sighting, luma: np.ndarray) -> bool:
    """Whether head or surroundings look as before: around the face, which may move, or at the same place."""
    if likeness(before.look, seen.look) >= MIN_LIKENESS:
        return True
    return likeness(before.look, _look(luma, before.window)) >= MIN_LIKENESS


def are_alike(seen: Sighting, between: Sequence[np.ndarray], ends: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether, around a face, each picture between two others differs little from one of them.

    Stricter and cheaper than `is_alike`: light and contrast count too.

    Args:
      seen: the face in the first picture.
      between: uint8 [H, W] each.
      ends: the pictures before and after, uint8 [H, W].
    """
    corners, factor = corners_of(seen.window, LOOK_SIDE), max(1, int(np.hypot(*seen.window[:, 0])))
    low, high = corners.min(axis=0), corners.max(axis=0)
    first = cut(ends[0], low, high, factor)[0]
    limit = MAX_CHANGE * (cv2.meanStdDev(first)[1].item() ** 2 + NOISE) * first.size

    def far(pictures: Iterable[np.ndarray], end: np.ndarray) -> list[np.ndarray]:
        return [one for one in pictures if cv2.norm(end, one, cv2.NORM_L2SQR) > limit]

    changed = far((cut(picture, low, high, factor)[0] for picture in between), first)
    return not changed or not far(changed, cut(ends[1], low, high, factor)[0])


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two looks are, as of `likenesses`."""
    return float(likenesses(np.stack([one, other]))[0, 1])


def likenesses(looks: np.ndarray) -> np.ndarray:
    """How alike each two of some looks are: the correlation of their upper or lower halves, whichever is larger.

    A hand hides only one of them.

    Args:
      looks: uint8 [N, 24, 24].

    Returns:
      float32 [N, N], up to 1.
    """
    halves = looks.reshape(len(looks), 2, -1).swapaxes(0, 1).astype(np.float32)
    halves -= halves.mean(axis=2, keepdims=True)
    covariances = halves @ halves.swapaxes(1, 2) / halves.shape[2]
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    return np.max((covariances + NOISE) / (deviations[:, :, None] * deviations[:, None] + NOISE), axis=0)
