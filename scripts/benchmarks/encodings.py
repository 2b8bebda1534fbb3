"""Encodings of frames: bytes a clip, speed of encoding and decoding, loss of jpeg."""

import numpy as np

from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from scripts.benchmarks import measure
from scripts.benchmarks.measure import Measurement
from scripts.common.bars import bar

VARIANTS = (("raw", 92), ("jpeg", 75), ("jpeg", 85), ("jpeg", 92), ("jpeg", 97), ("png", 92))  # encoding, quality
COLUMNS = {"bytes": "bytes a clip", "encode_rate": "encoded clips/s, one core", "psnr": "PSNR dB"}


def run(dataset: DatasetDir, clips: int, seed: int, workers: int, rounds: int) -> list[Measurement]:
    """Measures every encoding on the same drawn clips, prints the table, and returns every measurement.

    Raises:
      DataError: the frames of `dataset` are not raw.
    """
    if dataset.encoding.name != "raw":
        raise DataError(f"--data={dataset.root}: want raw frames to encode, these are {dataset.encoding.name}")
    records = np.random.default_rng(seed).permutation(len(dataset.index))[:clips].tolist()
    argument = {"data": str(dataset.root.absolute()), "records": records, "workers": workers}
    variants = [
        measure.variant(
            f"{name} {quality}" if name == "jpeg" else name,
            "scripts.benchmarks.encodings_variant",
            {**argument, "encoding": name, "quality": quality},
        )
        for name, quality in VARIANTS
    ]
    measured = list(bar(measure.alternate(variants, rounds), total=rounds * len(variants), unit="run"))
    print(measure.table(measured, "raw", "decoded clips", COLUMNS))
    return measured
