"""Converts one video of any length, as a worker of the conversion does."""

import json
import sys
import time
from pathlib import Path

import tensorflow as tf

from pipeline.conversion.clip import convert_clip
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora.source import ClipSource
from pipeline.mouth.cropping import MouthCropper
from pipeline.records.example import to_example


def main(video: str) -> dict[str, float]:
    """Crops and encodes; the clock runs from the loaded models to the record."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    path, config = Path(video), ConvertConfig(name="memory", max_frames=1_000_000)
    cropper = MouthCropper(config.crop)
    began = time.monotonic()
    (clip,) = convert_clip(ClipSource("clip", path, None, "bin", (), ""), path.parent, config, cropper).clips
    to_example(clip, config.encoding)
    return {"items": len(clip.frames), "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
