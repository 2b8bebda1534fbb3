"""Each threshold with real faces on both sides of it."""

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pipeline.mouth import faces, landmarks, sighting
from pipeline.mouth.path import jumps

Clips = Callable[[str], np.ndarray]
TALKERS = ("brbk7n.mpg", "lbax4n.mpg", "lbbc2a.mpg", "lrwp9a.mpg", "lwbsza.mpg", "pwij3p.mpg", "swiz3n.mpg")
CORNERS = np.array([[0, 0, 1], [24, 0, 1], [24, 24, 1]]).T  # of a look
LUMA = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)


def test_likeness_is_that_of_the_half_that_changes_less() -> None:
    other = np.random.default_rng(1).integers(0, 256, (24, 24), np.uint8)
    assert sighting.likeness(LUMA, LUMA) == pytest.approx(1)
    assert sighting.likeness(LUMA, (LUMA / 2 + 60).astype(np.uint8)) > 0.99  # brightness and contrast do not count
    assert abs(sighting.likeness(LUMA, other)) < 0.2
    covered = LUMA.copy()
    covered[12:] = 160
    assert sighting.likeness(LUMA, covered) == pytest.approx(1)
    assert sighting.likeness(np.full_like(LUMA, 10), np.full_like(LUMA, 200)) == pytest.approx(1)  # nothing differs


def test_one_talker_is_alike_and_two_are_not(clip: Clips) -> None:
    """Five frames apart, or one in the place of the other."""
    first = {name: sighting.largest(0, clip(name)[30]) for name in TALKERS}
    same, different = [], []
    for name, other in itertools.permutations(TALKERS, 2):
        there, here = first[name], first[other]
        place = cv2.getAffineTransform(*(np.float32(seen.window @ CORNERS).T for seen in (here, there)))
        moved = cv2.warpAffine(clip(other)[30], place, (360, 288), borderMode=cv2.BORDER_REPLICATE)
        seen = sighting.follow(there, 1, moved)
        assert not sighting.is_alike(there, seen, moved)
        different.append(sighting.likeness(there.look, seen.look))
    for name in TALKERS:
        luma = clip(name)[35]
        seen = sighting.follow(first[name], 5, luma)
        assert sighting.is_alike(first[name], seen, luma)
        assert jumps(first[name].pose, seen.pose) < 0.15 < sighting.MAX_JUMP
        same.append(sighting.likeness(first[name].look, seen.look))
    assert max(different) < 0.87 < sighting.MIN_LIKENESS < 0.95 < min(same)


def test_pictures_between_two_of_a_talker_are_alike(clip: Clips) -> None:
    for name, other in itertools.pairwise(TALKERS):
        luma = clip(name)[20:26]
        seen = sighting.largest(0, luma[0])
        ends = luma[0], luma[5]
        assert sighting.are_alike(seen, luma[1:5], ends)
        for frame in (clip(other)[22], np.zeros_like(luma[0]), np.full_like(luma[0], 255), luma[2] // 2):
            assert not sighting.are_alike(seen, [luma[1], frame, luma[3], luma[4]], ends)


def test_the_mesh_is_surer_of_a_face_that_is_upright(clip: Clips) -> None:
    """The detector takes faces upside down for upright ones; the mesh tells which way up they are."""
    upright, upside_down = [], []
    for name in TALKERS:
        for luma in clip(name)[::25]:
            for picture in (luma, np.ascontiguousarray(luma[::-1, ::-1])):
                face = next(iter(faces.detectors()[0](picture)), None)
                if face is None:
                    continue
                fits = [landmarks.mesh()(picture, landmarks.square_of_face(face, turned)) for turned in (False, True)]
                assert (fits[0].logit > fits[1].logit) == (picture is luma)
                upside_down.append(min(fit.logit for fit in fits))
                upright.append(fits[0].logit if picture is luma else np.inf)
    assert max(upside_down) < 10 < sighting.FOUND_LOGIT < 20 < min(upright)


def test_the_nearest_face_comes_first(clip: Clips) -> None:
    anna, ben = clip(TALKERS[0])[0], clip(TALKERS[1])[0]
    both = np.concatenate([anna, ben], axis=1)
    for alone in (np.pad(anna, ((0, 0), (0, 360))), np.pad(ben, ((0, 0), (360, 0)))):
        before = sighting.largest(0, alone)
        near, far = itertools.islice(sighting.nearest(before, 1, both), 2)
        assert jumps(before.pose, near.pose) < 0.2
        assert jumps(before.pose, far.pose) > 5


def test_a_face_that_moves_on_smoothly_is_the_same(clip: Clips) -> None:
    """By 0.15 inter-ocular distances a frame; but not where it jumps by 0.75 at once."""
    luma = clip(TALKERS[0])[30]

    def moved(frame: int) -> np.ndarray:
        shift = np.float32([[1, 0, 7.2 * frame], [0, 1, 0]])
        return cv2.warpAffine(luma, shift, (360, 288), borderMode=cv2.BORDER_REPLICATE)

    history = [sighting.largest(0, luma)]
    for frame in range(1, 6):
        seen = sighting.follow(history[-1], frame, moved(frame))
        assert sighting.continues(history, seen, moved(frame))
        history.append(seen)
    assert jumps(history[0].pose, history[-1].pose) > sighting.MAX_JUMP
    assert not sighting.continues(history[:1], history[-1], moved(5))


@pytest.mark.parametrize("width", [130, 200, 360])
def test_a_small_face_is_placed_well_or_not_found(clip: Clips, width: int) -> None:
    """The detector places small faces by up to half an inter-ocular distance off."""
    found = 0
    for name in TALKERS:
        near, far = clip(name)[20], np.full((720, 1280), 120, np.uint8)
        far[400 : 400 + width * 4 // 5, 640 : 640 + width] = cv2.resize(
            near, (width, width * 4 // 5), interpolation=cv2.INTER_AREA
        )
        if (seen := sighting.largest(0, far)) is not None:
            found += 1
            want = sighting.largest(0, near).pose * (width / 360) + (640 + 400j, 0)
            assert jumps(want, seen.pose) < 0.25
    assert found >= {130: 3, 200: 6, 360: 7}[width]
