"""Face landmarks to a smooth path of the mouth: poses, outliers, gaps, smoothing."""

import numpy as np

from pipeline.mouth import landmarks
from pipeline.schema import ClipError, Reason

# Both eyes' centres and the tip of the nose in a face seen from the front, in inter-ocular distances.
TEMPLATE = np.array([-0.5 + 0.0j, 0.5 + 0.0j, 0.0 + 0.57j])
OUTLIER = 0.25  # inter-ocular distances from the median of five poses: a landmark error, or too fast for `stride`


def poses(points: np.ndarray) -> np.ndarray:
    """Where the mouth is and how the face lies.

    The face's turn and size come from the least-squares similarity that lays `TEMPLATE` on both eyes and the
    tip of the nose: points that speech does not move, and three, so that a face turning aside does not seem
    to shrink as its eyes alone do. With template t and points p, both less their means, it is, in complex
    numbers, z = sum(conj(t) * p) / sum(|t|^2).

    Args:
      points: float [F, 468, 2], NaN where there is no face.

    Returns:
      complex128 [F, 2]: the point between the mouth's corners, and z, whose length is the inter-ocular
      distance in pixels and whose angle is the head's roll.
    """
    plane = points[..., 0] + 1j * points[..., 1]  # [F, 468, 2] -> [F, 468]
    eyes = [plane[:, list(eye)].mean(axis=1) for eye in (landmarks.RIGHT_EYE, landmarks.LEFT_EYE)]
    face = np.stack([*eyes, plane[:, landmarks.NOSE]], axis=1)
    template = TEMPLATE - TEMPLATE.mean()
    centred = face - face.mean(axis=1, keepdims=True)
    similarity = centred @ template.conj() / np.sum(np.abs(template) ** 2)
    return np.stack([plane[:, list(landmarks.MOUTH)].mean(axis=1), similarity], axis=1)


def without_outliers(path: np.ndarray) -> np.ndarray:
    """Blanks poses that jump: those further than `OUTLIER` from the median of the two before, themselves and two after.

    The poses are those of frames `stride` apart. Where a head does move so far between them, its blank pose makes
    `MouthCropper` take landmarks on every frame.
    """
    clean = path.copy()
    for index, pose in enumerate(path):
        near = path[max(0, index - 2) : index + 3]
        near = near[~np.isnan(near[:, 0])]
        if len(near) < 3:
            continue
        middle = np.median(near.real, axis=0) + 1j * np.median(near.imag, axis=0)
        if np.max(np.abs(pose - middle)) > OUTLIER * np.abs(middle[1]):
            clean[index] = np.nan
    return clean


def interpolate(path: np.ndarray, keys: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Fills the frames between and without poses linearly, and holds the first and last pose at the ends.

    Args:
      path: complex [K, 2], NaN where there is no face.
      keys: int [K], the frames of `path`, rising from 0 to frames - 1.
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
    """Refuses a clip with more than `max_gap` frames in a row that are not tracked.

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
    """Smooths [F, ...] along time with a Gaussian of `sigma` frames; the ends go on beyond the clip."""
    if sigma == 0:
        return path
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.concatenate([path[:1].repeat(reach, 0), path, path[-1:].repeat(reach, 0)])
    return sum(w * padded[i : i + len(path)] for i, w in enumerate(weights))
