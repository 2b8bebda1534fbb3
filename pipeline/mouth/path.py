"""The path of a mouth: a pose for each frame, smoothed over time, and the square that a pose cuts out."""

import numpy as np

from pipeline.mouth import landmarks
from pipeline.mouth.warp import corners_of
from pipeline.schema import CROP

# The centres of both eyes and the tip of the nose in a frontal face, in inter-ocular distances.
TEMPLATE = np.array([-0.5 + 0.0j, 0.5 + 0.0j, 0.0 + 0.57j])
_CENTRED = TEMPLATE - TEMPLATE.mean()
MAX_LAG = 0.4  # inter-ocular distances: twice as much, and a mouth is half outside its crop
MAX_STRETCH = 0.2  # of the scale and the roll
# The weights [4, 468] of the landmarks in the centres of the right and the left eye, the tip of the nose and the mouth.
WEIGHTS = np.zeros((4, landmarks.POINTS))
for _row, _spots in enumerate((landmarks.RIGHT_EYE, landmarks.LEFT_EYE, (landmarks.NOSE,), landmarks.MOUTH)):
    WEIGHTS[_row, list(_spots)] = 1 / len(_spots)


def pose(points: np.ndarray) -> np.ndarray:
    """The position of the mouth, and the scale and roll of the face.

    Scale and roll come from the least-squares similarity that maps `TEMPLATE` to both eyes and the tip of the nose.
    Speech does not move these points, and with the nose a face turning aside shrinks less than with the eyes alone.
    With points p and template t, minus its mean, as complex numbers, z = sum(conj(t) * p) / sum(|t|^2).

    Args:
      points: float [468, 2].

    Returns:
      complex128 [2]: the point between the mouth's corners, and z. The length of z is the inter-ocular distance in
      pixels, its angle is the head's roll.
    """
    found = spots(points)
    return np.array([found[3], np.vdot(_CENTRED, found[:3]) / np.vdot(_CENTRED, _CENTRED)])


def spots(points: np.ndarray) -> np.ndarray:
    """The centres of right and left eye, the tip of the nose and the mouth, complex [..., 4], of [..., 468, 2]."""
    return (WEIGHTS @ points) @ (1, 1j)


def jumps(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far the mouth moves, or the face grows or rolls, between poses [..., 2]; in inter-ocular distances."""
    apart = np.abs(ones - others).max(axis=-1)
    return apart / np.minimum(np.abs(ones[..., 1]), np.abs(others[..., 1]))


def smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """Smooths [F, ...] over time with a Gaussian of `sigma` frames; the end values are repeated beyond the clip."""
    if sigma == 0:
        return path
    width = reach(sigma)
    weights = np.exp(-0.5 * (np.arange(-width, width + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.concatenate([path[:1].repeat(width, 0), path, path[-1:].repeat(width, 0)])
    return sum(w * padded[i : i + len(path)] for i, w in enumerate(weights))


def steady(poses: np.ndarray, sigma: float) -> np.ndarray:
    """Smooths poses [F, 2] as `smooth` does, but changes none by more than `MAX_LAG` and `MAX_STRETCH`.

    A mouth that moves fast so stays in the crop, however long the smoothing.
    """
    away = smooth(poses, sigma) - poses
    most = np.abs(poses[:, 1:]) * (MAX_LAG, MAX_STRETCH)
    return poses + away * most / np.maximum(np.abs(away), most)


def reach(sigma: float) -> int:
    """The frames on each side that `smooth` mixes into one."""
    return int(np.ceil(3 * sigma))


def crop_affines(path: np.ndarray, margin: float) -> np.ndarray:
    """The affine maps [F, 2, 3] from crop pixels to picture pixels, for poses complex [F, 2]."""
    return squares(path[:, 0], path[:, 1] * margin, CROP)


def crop_corners(affines: np.ndarray) -> np.ndarray:
    """The picture coordinates, float32 [F, 4, 2], of the crop's corners, clockwise from the top left."""
    return corners_of(affines, CROP).astype(np.float32)


def squares(centres: np.ndarray, edges: np.ndarray, pixels: int) -> np.ndarray:
    """The affine maps [F, 2, 3] from the pixels of a square's grid to those of the picture.

    Args:
      centres: complex [F].
      edges: complex [F], the upper edge of each square, from left to right.
      pixels: on each side of the grid.
    """
    step = edges / pixels
    corner = centres - edges * (1 + 1j) / 2
    rows = [[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]]
    return np.moveaxis(np.array(rows), 2, 0)
