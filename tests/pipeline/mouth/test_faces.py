import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.mouth import faces, sighting
from tests import face_package
from tests.face_package import FaceDetectionModel

THEIRS = {
    "face_detection_short_range": FaceDetectionModel.SHORT,
    "face_detection_back": FaceDetectionModel.BACK_CAMERA,
}


@pytest.mark.parametrize("name", faces.DETECTORS)
def test_a_detector_finds_what_the_package_finds(talkers: list[np.ndarray], name: str) -> None:
    """The package prepares the picture and reads the output with Pillow and in Python, which takes much longer."""
    theirs, ours = face_package.FaceDetection(THEIRS[name]), faces.Detector(name)
    for luma in (talkers[0][0], talkers[1][7][:, 40:300], np.pad(talkers[1][20], ((0, 150), (0, 0)))):
        (want,), (got,) = theirs(Image.fromarray(luma).convert("RGB")), ours(luma)
        want = want.scaled(luma.shape[::-1])
        box = want.bbox
        assert got.size == pytest.approx(max(box.width, box.height), rel=0.05)
        middle = [(box.xmin + box.xmax) / 2, (box.ymin + box.ymax) / 2]
        for one, other in ((got.centre, middle), (got.right_eye, want[0]), (got.left_eye, want[1])):
            assert np.hypot(*np.subtract(one, other)) < 0.04 * got.size


@pytest.mark.parametrize("name", faces.DETECTORS)
def test_anchors_are_those_of_the_package(name: str) -> None:
    np.testing.assert_array_equal(faces.Detector(name).anchors, face_package.FaceDetection(THEIRS[name]).anchors)


def test_overlapping_detections_join_as_in_the_package() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 60):
        points = rng.random((count, faces.ROWS, 2), np.float32)
        points[:, 1] = points[:, 0] + 0.1 + 0.3 * points[:, 1]
        scores = rng.random(count, np.float32)
        found = [face_package.Detection(one, score) for one, score in zip(points, scores, strict=True)]
        theirs = face_package.non_maximum_suppression(found, faces.MAX_OVERLAP, None, weighted=True)
        ours = list(faces.joined(points, scores))
        assert len(ours) == len(theirs)
        np.testing.assert_allclose([*ours], [one.data for one in theirs], rtol=1e-6)


def test_a_detection_without_an_area_is_one_of_its_own() -> None:
    points = np.zeros((2, faces.ROWS, 2), np.float32)
    points[:, 1] = 1e-30
    with np.errstate(invalid="ignore"):
        assert len(list(faces.joined(points, np.float32([0.9, 0.8])))) == 2


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
