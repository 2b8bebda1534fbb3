"""Our networks on every frame: decoded to RGB, a face sought in each, crops as .npy files."""

import functools
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import tensorflow as tf
from PIL import Image

from pipeline.mouth import faces, landmarks, sighting
from pipeline.mouth.path import crop_affines, crop_corners
from pipeline.mouth.settings import CropSettings
from pipeline.mouth.warp import warp
from pipeline.schema import CROP


def convert(job: tuple[int, str], output: Path) -> int:
    """Writes the crops uint8 [F, 112, 112] and their corners [F, 4, 2] of one numbered video; returns F.

    Where no face is seen the crop is black and its corners are NaN.
    """
    number, video = job
    settings = CropSettings()
    crops, affines = [], []
    with av.open(video) as container:
        for frame in container.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24")
            gray = np.asarray(Image.fromarray(rgb).convert("L"))
            seen = sighting.largest(0, gray)  # nothing is followed
            pose = np.full(2, np.nan + 0j) if seen is None else seen.pose
            affines.append(crop_affines(pose[None], settings.margin)[0])
            crops.append(np.zeros((CROP, CROP), np.uint8) if seen is None else warp(gray, affines[-1], CROP))
    np.save(output / f"{number}.npy", np.stack(crops))
    np.save(output / f"{number}.corners.npy", crop_corners(np.stack(affines)))
    return len(crops)


def begin() -> None:
    """Limits a process to one core."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    faces.detectors()
    landmarks.mesh()


def main(videos: list[str], workers: int, scratch: str, keep: str | None = None) -> dict[str, float]:
    """All videos; the clock runs from the first one done to the last.

    Args:
      videos: paths.
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
