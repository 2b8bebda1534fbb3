"""Turns face landmarks into a smooth path of the mouth: poses, outliers, gaps, smoothing."""

import numpy as np

from pipeline.mouth import landmarks
from pipeline.schema import ClipError, Reason

# The centres of both eyes and the tip of the nose in a frontal face, in inter-ocular distances.
TEMPLATE = np.array([-0.5 + 0.0j, 0.5 + 0.0j, 0.0 + 0.57j])
# In inter-ocular distances from the median of five poses; a larger jump is an error, or too fast for `stride`.
MAX_JUMP = 0.25


def poses(points: np.ndarray) -> np.ndarray:
    """The position of the mouth, and the scale and roll of the face.

    Scale and roll come from the least-squares similarity that maps `TEMPLATE` to both eyes and the tip of the nose.
    Speech does not move these points, and with the nose a face turning aside shrinks less than with the eyes alone.
    With template t and points p as complex numbers, both minus their means, z = sum(conj(t) * p) / sum(|t|^2).

    Args:
      points: float [F, 468, 2], NaN where there is no face.

    Returns:
      complex128 [F, 2]: the point between the mouth's corners, and z. The length of z is the inter-ocular distance in
      pixels, its angle is the head's roll.
    """
    plane = points[..., 0] + 1j * points[..., 1]  # [F, 468, 2] -> [F, 468]
    eyes = [plane[:, list(eye)].mean(axis=1) for eye in (landmarks.RIGHT_EYE, landmarks.LEFT_EYE)]
    face = np.stack([*eyes, plane[:, landmarks.NOSE]], axis=1)
    template = TEMPLATE - TEMPLATE.mean()
    centred = face - face.mean(axis=1, keepdims=True)
    similarity = centred @ template.conj() / np.sum(np.abs(template) ** 2)
    return np.stack([plane[:, list(landmarks.MOUTH)].mean(axis=1), similarity], axis=1)


def mask_outliers(path: np.ndarray) -> np.ndarray:
    """Sets poses to NaN that are further than `MAX_JUMP` from the median of five: two before, itself, two after.

    The poses are `stride` frames apart. Where a head really moves so far, the NaN makes `MouthCropper` compute
    landmarks on every frame.
    """
    clean = path.copy()
    for index, pose in enumerate(path):
        near = path[max(0, index - 2) : index + 3]
        near = near[~np.isnan(near[:, 0])]
        if len(near) < 3:
            continue
        middle = np.median(near.real, axis=0) + 1j * np.median(near.imag, axis=0)
        if np.max(np.abs(pose - middle)) > MAX_JUMP * np.abs(middle[1]):
            clean[index] = np.nan
    return clean


def interpolate(path: np.ndarray, keys: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolates poses linearly for every frame, and repeats the first and last pose at the ends.

    Args:
      path: complex [K, 2], NaN where there is no face.
      keys: int [K], the frames of `path`, increasing from 0 to frames - 1.
      frames: F.

    Returns:
      complex [F, 2], and tracked, bool [F]: whether the frame, or both key frames around it, had a face.

    Raises:
      ClipError: NO_FACE where all of `path` is NaN.
    """
    known = ~np.isnan(path[:, 0])
    if not known.any():
        raise ClipError(Reason.NO_FACE, f"no face in any of {frames} frames")
    every = np.arange(frames)
    tracked = np.interp(every, keys, known) == 1
    columns = [np.interp(every, keys[known], column[known]) for column in path.T]
    return np.stack(columns, axis=1), tracked


def check_gaps(tracked: np.ndarray, max_gap: int) -> None:
    """Checks that no more than `max_gap` frames in a row are untracked, in bool [F].

    Raises:
      ClipError: FACE_LOST, naming the frames of the longest gap.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[True], tracked, [True]]).astype(int)))
    starts, stops = edges[::2], edges[1::2]
    longest = np.argmax(stops - starts) if len(starts) else None
    if longest is not None and stops[longest] - starts[longest] > max_gap:
        gap = f"frames {starts[longest]} to {stops[longest] - 1}"
        raise ClipError(Reason.FACE_LOST, f"no face in {gap} of {len(tracked)}, at most {max_gap} are bridged")


def smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """Smooths [F, ...] over time with a Gaussian of `sigma` frames; the end values are repeated beyond the clip."""
    if sigma == 0:
        return path
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.concatenate([path[:1].repeat(reach, 0), path, path[-1:].repeat(reach, 0)])
    return sum(w * padded[i : i + len(path)] for i, w in enumerate(weights))
