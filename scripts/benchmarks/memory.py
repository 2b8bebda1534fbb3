"""Memory of one conversion process by the size and the length of a video."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from pipeline.corpora import grid
from pipeline.schema import DataError
from pipeline.video import decode
from pipeline.video.opencv import cv2
from scripts.benchmarks import measure
from scripts.benchmarks.measure import Measurement
from scripts.common.bars import bar

VIDEOS = ((360, 288, 75), (512, 512, 4500), (1920, 1080, 1000), (3840, 2160, 1000))  # width, height, frames


def run(source: Path, rounds: int) -> list[Measurement]:
    """Converts videos made of a clip of `source`, enlarged and repeated; prints a table.

    Raises:
      DataError: `source` is no corpus in GRID's layout.
    """
    clip = next(iter(grid.clips(source.absolute())), None)
    if clip is None:
        raise DataError(f"--source={source}: holds no clip; want GRID's layout")
    with decode.opened(clip.video) as video:
        pictures = list(video)
    with tempfile.TemporaryDirectory() as scratch:
        candidates = []
        for width, height, frames in bar(VIDEOS, unit="video", desc="making videos"):
            path = Path(scratch) / f"{width}x{height}.mp4"
            write(path, itertools.islice(_there_and_back(pictures), frames), (width, height))
            name = f"{width}x{height}, {frames:,} frames"
            candidates.append(measure.variant(name, "scripts.benchmarks.memory_variant", {"video": str(path)}))
        total = rounds * len(candidates)
        measured = list(bar(measure.alternate(candidates, rounds), total=total, unit="run"))
    print(measure.table(measured, candidates[0].name, "frames"))
    return measured


def _there_and_back(pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Repeats pictures without end and without a cut."""
    return itertools.cycle([*pictures, *pictures[-2:0:-1]])


def write(path: Path, pictures: Iterator[np.ndarray], size: tuple[int, int]) -> None:
    """Writes gray pictures, enlarged to a size (width, height) and padded at the sides, as H.264 at 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for picture in pictures:
            scale = size[1] / picture.shape[0]
            large = cv2.resize(picture, None, fx=scale, fy=scale)[:, : size[0]]
            padded = np.pad(large, ((0, 0), (0, size[0] - large.shape[1])), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="gray")))
        container.mux(stream.encode(None))
