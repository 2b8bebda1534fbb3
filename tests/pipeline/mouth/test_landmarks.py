import numpy as np
import pytest

from pipeline.mouth import landmarks
from pipeline.mouth.faces import Face


def apply(affine: np.ndarray, x: float, y: float) -> np.ndarray:
    return affine @ np.array([x, y, 1.0])


@pytest.mark.parametrize("turn", [0.0, 0.4, 3.0])
def test_a_square_maps_the_mesh_input_onto_itself(turn: float) -> None:
    across = 7 * np.array([np.cos(turn), np.sin(turn)])
    affine = landmarks.square(np.array([100.0, 50.0]), 60.0, across)
    side = landmarks.MESH_SIDE
    np.testing.assert_allclose(apply(affine, side / 2, side / 2), [100, 50])
    np.testing.assert_allclose(apply(affine, side, 0) - apply(affine, 0, 0), 60 * across / 7)
    down = 60 * np.array([-np.sin(turn), np.cos(turn)])
    np.testing.assert_allclose(apply(affine, 0, side) - apply(affine, 0, 0), down, atol=1e-9)


def test_the_square_of_a_face_turns_with_its_eyes() -> None:
    face = Face(np.array([50.0, 60.0]), 40.0, np.array([40.0, 50.0]), np.array([60.0, 50.0]))
    side = landmarks.MESH_SIDE
    for turned, first, last in ((False, [20, 30], [80, 90]), (True, [80, 90], [20, 30])):
        affine = landmarks.square_of_face(face, turned)
        np.testing.assert_allclose(apply(affine, 0, 0), first)
        np.testing.assert_allclose(apply(affine, side, side), last)


def test_the_next_square_is_one_and_a_half_times_the_landmarks() -> None:
    points = np.full((landmarks.POINTS, 2), [60.0, 60.0])
    points[0], points[1] = [20.0, 40.0], [120.0, 100.0]  # 100 wide, 60 high, centred on 70, 70
    points[list(landmarks.LEFT_EYE)] = [90.0, 60.0]
    affine = landmarks.square_of_points(points)
    np.testing.assert_allclose(apply(affine, 0, 0), [-5, -5])
    np.testing.assert_allclose(apply(affine, landmarks.MESH_SIDE, landmarks.MESH_SIDE), [145, 145])


def test_a_process_shares_one_mesh() -> None:
    assert landmarks.mesh() is landmarks.mesh()
