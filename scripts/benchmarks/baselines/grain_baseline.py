"""Grain: records at random in an ArrayRecord file, read by threads or by processes."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import grain
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from consumer import consume

THREADS, AHEAD = 16, 32  # Grain's own: reading threads, elements ahead; a batch's clips are read by them side by side


def write(npy: Path, path: Path) -> None:
    """The clips as records: F (4 bytes), pixels, text; one record a group, so that each is read alone."""
    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for number, text in enumerate(json.loads((npy / "texts.json").read_text())):
        frames = np.load(npy / f"{number:05}.npy")
        writer.write(len(frames).to_bytes(4, "little") + frames.tobytes() + text.encode())
    writer.close()


def clip(record: bytes, layout: str) -> tuple[np.ndarray, int, str]:
    """uint8 frames [F, 112, 112] or windows [F - 4, 112, 112, 5], how many windows, and the text."""
    count = int.from_bytes(record[:4], "little")
    frames = np.frombuffer(record, np.uint8, count * 112 * 112, offset=4).reshape(count, 112, 112)
    text = record[4 + frames.size :].decode()
    if layout == "frames":
        return frames, count - 4, text
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(frames, 5, axis=0)), count - 4, text


def collate(clips: list[tuple[np.ndarray, int, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Stacked, filled up with zeros where lengths differ."""
    counts = np.array([count for _, count, _ in clips])
    if len(set(counts.tolist())) == 1:
        return np.stack([pixels for pixels, _, _ in clips]), counts
    longest = max(len(pixels) for pixels, _, _ in clips)
    batch = np.zeros((len(clips), longest, *clips[0][0].shape[1:]), np.uint8)
    for row, (pixels, _, _) in zip(batch, clips, strict=True):
        row[: len(pixels)] = pixels
    return batch, counts


def main(npy: str, layout: str, batch: int, workers: int, seconds: float) -> dict[str, float]:
    """Writes the records beside `npy` where they are not there yet, on no clock.

    Args:
      npy: directory of `00000.npy`, … and `texts.json`.
      layout: `frames` or `windows`.
      batch: clips.
      workers: processes; 0 for threads alone.
      seconds: to measure.
    """
    path = Path(npy).parent / "clips.arrayrecord"
    if not path.exists():
        write(Path(npy), path)
    source = grain.sources.ArrayRecordDataSource([str(path)])
    clips = grain.MapDataset.source(source).seed(0).shuffle().map(lambda record: clip(record, layout)).repeat()
    batches = clips.batch(batch, batch_fn=collate).to_iter_dataset(grain.ReadOptions(THREADS, AHEAD // batch or 1))
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))

    def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from batches

    return consume(stream(), seconds)


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
