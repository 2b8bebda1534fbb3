"""MediaPipe: OpenCV decodes every frame to RGB, MediaPipe finds the face in it.

Needs nothing but its own environment. The crop's geometry is ours: a square of 1.6 inter-ocular distances around
the mouth, turned as the similarity that lays three template points on the eyes and the tip of the nose.
"""

import functools
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np

CROP, MARGIN = 112, 1.6
TEMPLATE = np.array([-0.5 + 0.0j, 0.5 + 0.0j, 0.0 + 0.57j])  # both eyes, the tip of the nose
EYES, NOSE, MOUTH = ((33, 133), (362, 263)), 4, (61, 291)


@functools.cache
def face_mesh() -> mp.solutions.face_mesh.FaceMesh:
    """The one mesh of this process, which follows a face from frame to frame."""
    return mp.solutions.face_mesh.FaceMesh(max_num_faces=1)


def convert(job: tuple[int, str], output: Path) -> int:
    """Writes the crops uint8 [F, 112, 112] and their corners [F, 4, 2] of one numbered video; returns F."""
    number, video = job
    face_mesh().reset()
    capture = cv2.VideoCapture(video)
    crops, corners = [], []
    while True:
        there, bgr = capture.read()
        if not there:
            break
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        faces = face_mesh().process(rgb).multi_face_landmarks
        corner = np.full((4, 2), np.nan)
        if faces:
            height, width = rgb.shape[:2]
            corner = square(np.array([(p.x * width + 1j * p.y * height) for p in faces[0].landmark]))
        corners.append(corner)
        crops.append(cut(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), corner))
    np.save(output / f"{number}.npy", np.stack(crops))
    np.save(output / f"{number}.corners.npy", np.stack(corners))
    return len(crops)


def square(points: np.ndarray) -> np.ndarray:
    """The corners [4, 2] of the mouth's square, from landmarks complex [468]."""
    face = np.array([points[list(EYES[0])].mean(), points[list(EYES[1])].mean(), points[NOSE]])
    template = TEMPLATE - TEMPLATE.mean()
    similarity = (face - face.mean()) @ template.conj() / np.sum(np.abs(template) ** 2)
    half = similarity * MARGIN / 2
    around = points[list(MOUTH)].mean() + half * np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])
    return np.stack([around.real, around.imag], axis=1)


def cut(gray: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """uint8 [112, 112]; black where no face is seen."""
    if np.isnan(corner).any():
        return np.zeros((CROP, CROP), np.uint8)
    target = np.array([[0, 0], [CROP, 0], [CROP, CROP]], np.float32) - 0.5  # OpenCV counts from pixels' centres
    affine = cv2.getAffineTransform(corner[:3].astype(np.float32) - 0.5, target)
    return cv2.warpAffine(gray, affine, (CROP, CROP), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def begin() -> None:
    """One core a process."""
    cv2.setNumThreads(1)
    face_mesh()


def main(videos: list[str], workers: int, scratch: str, keep: str | None = None) -> dict[str, float]:
    """All videos; the clock runs from the first one done to the last.

    Args:
      videos: paths, of unlike stems.
      workers: processes.
      scratch: a directory for the output, which is removed.
      keep: a directory in which the output stays.
    """
    with (
        tempfile.TemporaryDirectory(dir=scratch) as directory,
        multiprocessing.get_context("spawn").Pool(workers, begin) as pool,
    ):
        frames = 0
        began = None
        work = functools.partial(convert, output=Path(keep or directory))
        for done in pool.imap_unordered(work, enumerate(videos)):
            if began is None:
                began = time.monotonic()
            else:
                frames += done
        seconds = time.monotonic() - began
    return {"items": frames, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
