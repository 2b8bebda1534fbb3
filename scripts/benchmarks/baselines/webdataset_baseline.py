"""WebDataset: .npy files in tar shards, read one after another, shuffled in a buffer."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import webdataset as wds
from consumer import consume

SHUFFLE = 64  # clips in the buffer


def windows(frames: np.ndarray) -> np.ndarray:
    """uint8 [F, 112, 112] -> [F - 4, 112, 112, 5]."""
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(frames, 5, axis=0))


def collate(clips: list[tuple[np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Stacked, filled up with zeros where lengths differ; how many frames each has."""
    counts = np.array([len(pixels) for pixels, _ in clips])
    if len(set(counts.tolist())) == 1:
        return np.stack([pixels for pixels, _ in clips]), counts
    batch = np.zeros((len(clips), counts.max(), *clips[0][0].shape[1:]), np.uint8)
    for row, (pixels, _) in zip(batch, clips, strict=True):
        row[: len(pixels)] = pixels
    return batch, counts


def main(tar: str, layout: str, batch: int, workers: int, seconds: float) -> dict[str, float]:
    """Batches are made in the workers, as its documentation advises.

    Args:
      tar: directory of shards.
      layout: `frames` or `windows`.
      batch: clips.
      workers: processes; 0 for none beside this one.
      seconds: to measure.
    """
    urls = sorted(str(path) for path in Path(tar).glob("*.tar"))
    clips = wds.WebDataset(urls, shardshuffle=len(urls)).repeat().shuffle(SHUFFLE).decode().to_tuple("npy", "txt")
    clips = clips.map_tuple(windows, str) if layout == "windows" else clips
    batches = clips.batched(batch, collation_fn=collate, partial=False)
    if workers:
        batches = wds.WebLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4)
    fewer = 4 if layout == "frames" else 0

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for pixels, counts in batches:
            yield np.asarray(pixels), np.asarray(counts) - fewer

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
