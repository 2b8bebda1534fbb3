"""PyTorch: a map-style dataset of .npy files behind a DataLoader with worker processes."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from consumer import consume
from torch.utils.data import DataLoader, Dataset, default_collate


class Clips(Dataset):
    """uint8 frames [F, 112, 112] or windows [F - 4, 112, 112, 5] of a clip, how many windows, and its text."""

    def __init__(self, root: Path, layout: str) -> None:
        self._texts = json.loads((root / "texts.json").read_text())
        self._root = root
        self._layout = layout

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int, str]:
        frames = torch.from_numpy(np.load(self._root / f"{number:05}.npy"))
        windows = frames.unfold(0, 5, 1)  # a view [F - 4, 112, 112, 5]
        pixels = frames if self._layout == "frames" else windows.contiguous()
        return pixels, len(windows), self._texts[number]


def collate(clips: list[tuple[torch.Tensor, int, str]]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """PyTorch's own collation, which writes into shared memory; padding where lengths differ."""
    pixels, counts, texts = zip(*clips, strict=True)
    alike = len(set(counts)) == 1
    stacked = default_collate(pixels) if alike else torch.nn.utils.rnn.pad_sequence(pixels, batch_first=True)
    return stacked, torch.tensor(counts), list(texts)


def stream(loader: DataLoader) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Epoch after epoch."""
    while True:
        for pixels, counts, _ in loader:
            yield pixels.numpy(), counts.numpy()


def main(npy: str, layout: str, batch: int, workers: int, seconds: float) -> dict[str, float]:
    """Workers outlive an epoch and are four batches ahead.

    Args:
      npy: directory of `00000.npy`, … and `texts.json`.
      layout: `frames` or `windows`.
      batch: clips.
      workers: processes.
      seconds: to measure.
    """
    loader = DataLoader(
        Clips(Path(npy), layout),
        batch,
        shuffle=True,
        drop_last=True,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )
    torch.set_num_threads(1)
    return consume(stream(loader), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
