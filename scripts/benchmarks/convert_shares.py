"""Times the stages of our conversion, one after another in one process."""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.mouth import faces, landmarks
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.records.codecs import Encoding
from pipeline.records.example import to_example
from pipeline.records.tfrecord import ShardWriter
from pipeline.schema import Clip, ClipError
from pipeline.video import decode

STAGES = ("decode", "mouth", "encode", "write")


def main(videos: list[str], scratch: str) -> dict[str, float]:
    """Times each stage; the first video warms up.

    Args:
      videos: paths.
      scratch: a directory for the output, which is removed.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    faces.detectors()
    landmarks.mesh()
    with tempfile.TemporaryDirectory(dir=scratch) as output, ShardWriter(Path(output) / "shard") as writer:
        timed = [_clip(path, writer) for path in videos]
    clips = [clip for clip in timed[1:] if clip]
    totals = {f"{name}_s": sum(times[k] for _, times in clips) for k, name in enumerate(STAGES)}
    return {"items": sum(frames for frames, _ in clips), "seconds": sum(totals.values()), **totals}


def _clip(path: str, writer: ShardWriter) -> tuple[int, list[float]] | None:
    """Returns the frames of a clip and the seconds of each stage; None if the clip cannot be converted."""
    cropper = MouthCropper(CropSettings())
    at = [time.perf_counter()]
    try:
        with decode.opened(Path(path)) as video:
            luma = np.stack(list(video))
        at.append(time.perf_counter())
        [crops] = cropper(luma)
    except ClipError:
        return None
    at.append(time.perf_counter())
    clip = Clip("s1/id", "s1", "bin blue", "s1/id.mp4", 25.0, crops.frames, crops.tracked, ())
    record = to_example(clip, Encoding())
    at.append(time.perf_counter())
    writer.write(record)
    at.append(time.perf_counter())
    return len(luma), [stop - start for start, stop in itertools.pairwise(at)]


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
