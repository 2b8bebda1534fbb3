"""One encoding of frames: bytes, speed of encoding and decoding, loss of jpeg."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline.records.codecs import Encoding
from pipeline.records.directory import open_dataset, read_record
from pipeline.records.example import from_example, to_example


def main(data: str, records: list[int], encoding: str, quality: int, workers: int) -> dict[str, float]:
    """Encodes clips of a raw dataset on one core, and decodes them in `workers` threads; an item is a clip."""
    dataset, variant = open_dataset(Path(data)), Encoding(encoding, quality)
    clips = [read_record(dataset, record) for record in records]
    began = time.perf_counter()
    encoded = [to_example(clip, variant) for clip in clips]
    encode_s = time.perf_counter() - began
    with ThreadPoolExecutor(workers) as threads:
        began = time.perf_counter()
        decoded = list(threads.map(lambda record: from_example(record, variant).frames, encoded))
        seconds = time.perf_counter() - began
    errors = [np.square(a.astype(np.float64) - b.frames).mean() for a, b in zip(decoded, clips, strict=True)]
    figures = {"encode_rate": len(clips) / encode_s, "bytes": float(np.mean([len(record) for record in encoded]))}
    loss = {"psnr": 10 * float(np.log10(255**2 / np.mean(errors)))} if np.any(errors) else {}
    return {"items": len(clips), "seconds": seconds, **figures, **loss}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
