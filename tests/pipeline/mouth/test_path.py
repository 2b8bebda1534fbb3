import numpy as np
import pytest

from pipeline.mouth import landmarks, path
from pipeline.mouth.path import crop_affines
from pipeline.mouth.warp import warp


def face(similarity: complex, origin: complex, mouth_at: complex = 1.1j) -> np.ndarray:
    """Landmarks [468, 2] whose eyes and nose are the template, rotated, scaled and moved."""
    points = np.full(468, origin)
    right_eye, left_eye, nose = path.TEMPLATE
    for index, at in (
        *((i, right_eye + d) for i, d in zip(landmarks.RIGHT_EYE, (-0.15, 0.15), strict=True)),
        *((i, left_eye + d) for i, d in zip(landmarks.LEFT_EYE, (-0.15, 0.15), strict=True)),
        (landmarks.NOSE, nose),
        *((i, mouth_at + d) for i, d in zip(landmarks.MOUTH, (-0.4, 0.4), strict=True)),
    ):
        points[index] = origin + similarity * at
    return np.stack([points.real, points.imag], axis=1)


@pytest.mark.parametrize("roll", [0.0, 0.3, -1.2, 3.0])
@pytest.mark.parametrize("size", [20.0, 75.0])
def test_the_similarity_is_recovered(roll: float, size: float) -> None:
    similarity = size * np.exp(1j * roll)
    got = path.pose(face(similarity, 120 + 80j))
    assert got.shape == (2,)
    np.testing.assert_allclose(got, [120 + 80j + 1.1j * similarity, similarity])


def test_the_mouth_moves_the_centre_but_not_the_scale() -> None:
    np.testing.assert_allclose(path.pose(face(50, 0j)), [55j, 50])
    np.testing.assert_allclose(path.pose(face(50, 0j, mouth_at=1.3j)), [65j, 50])


def test_yaw_shrinks_the_crop_less_than_the_eyes() -> None:
    turned = face(50, 0j)
    turned[:, 0] *= np.cos(np.pi / 4)
    assert 0.71 < abs(path.pose(turned)[1]) / 50 < 1


def test_spots_of_several_faces() -> None:
    got = path.spots(np.stack([face(50, 0j), face(20j, 3j)]))
    np.testing.assert_allclose(got, [[-25, 25, 28.5j, 55j], [-7j, 13j, 3j - 11.4, 3j - 22]], atol=1e-9)


@pytest.mark.parametrize(
    ("other", "far"),
    [((30 + 40j, 100), 0.5), ((0, 50), 1.0), ((0, 100j), 2**0.5), ((60, 120), 0.6), ((10j, 100), 0.1)],
)
def test_a_jump_is_the_largest_of_place_size_and_roll(other: tuple[complex, complex], far: float) -> None:
    one = np.array([0, 100 + 0j])
    assert path.jumps(one, np.array(other)) == path.jumps(np.array(other), one) == pytest.approx(far)


def test_smoothing_keeps_constants_and_steady_movements() -> None:
    constant = np.full((7, 2), 3 + 4j)
    np.testing.assert_allclose(path.smooth(constant, 2.0), constant)
    line = np.stack([np.arange(40) * (1 + 2j), np.arange(40) * 1j], axis=1)
    np.testing.assert_allclose(path.smooth(line, 2.0)[6:-6], line[6:-6])
    np.testing.assert_array_equal(path.smooth(line, 0), line)


def test_smoothing_is_a_gaussian() -> None:
    impulse = np.zeros((21, 1))
    impulse[10] = 1
    got = path.smooth(impulse, 1.0)[:, 0]
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    np.testing.assert_allclose(got[7:14], weights / weights.sum())
    assert got[:7].max() == got[14:].max() == 0


def test_a_tilted_pattern_comes_out_upright_and_centred() -> None:
    """A dot at the mouth and a dot above it, in a rotated picture, are upright in the crop."""
    y, x = np.mgrid[:200, :240] + 0.5
    for roll in (0.0, 0.5, -0.7):
        similarity = 60 * np.exp(1j * roll)
        centre = 130 + 90j
        above = centre - 0.4j * similarity
        dots = sum(np.exp(-((x - p.real) ** 2 + (y - p.imag) ** 2) / 20) for p in (centre, above))
        affine = crop_affines(np.array([[centre, similarity]]), 2.0)[0]
        crop = warp((250 * dots).astype(np.uint8), affine, 112)
        scale = 112 / 120  # crop pixels a picture pixel: a side of 2 x 60
        for row in (56.0, 56 - 0.4 * 60 * scale):
            near = crop[int(row) - 6 : int(row) + 6, 50:62].astype(float)
            rows, columns = np.mgrid[int(row) - 6 : int(row) + 6, 50:62] + 0.5
            assert np.average(rows, weights=near) == pytest.approx(row, abs=0.4)
            assert np.average(columns, weights=near) == pytest.approx(56, abs=0.4)
