"""A dataset in numbers, from its index alone."""

from collections import Counter

import numpy as np

from pipeline.shards import DatasetDir


def summary(dataset: DatasetDir) -> list[tuple[str, str]]:
    """What the dataset holds, as rows `(what, value)`; no shard is read."""
    index, conversion = dataset.index, dataset.manifest["conversion"]
    rows = [("records", f"{len(index)} in {len(dataset.shards)} shards")]
    for number, split in enumerate(dataset.splits):
        chosen = np.flatnonzero(index.split == number)
        speakers = len(set(index.speaker[chosen].tolist()))
        rows.append((f"  {split}", f"{len(chosen)} records, {speakers} speakers"))
    rows.append(("frames", _lengths(index.frames, conversion["fps"])))
    rows.append(("tracked", f"{index.tracked.sum() / max(index.frames.sum(), 1):.2%} of {index.frames.sum()} frames"))
    rows.append(
        (
            "bytes a record",
            f"{index.length.mean() if len(index) else 0:,.0f} ({conversion['encoding']['name']})",
        )
    )
    rows.append(("speakers", _most_common(index.speaker)))
    rows.append(("words", f"{len(index.word_text)} aligned, {len(dataset.manifest['vocabulary']['words'])} distinct"))
    rows.append(("  of them", _most_common(index.word_text) or "none aligned"))
    rows.append(("word frames", _lengths(index.word_stop - index.word_start, conversion["fps"])))
    rejected = dataset.manifest["rejected"]
    rows.append(("rejected", ", ".join(f"{n} {reason}" for reason, n in rejected.items()) or "none"))
    return rows


def _lengths(frames: np.ndarray, fps: float) -> str:
    if not len(frames):
        return "none"
    median = int(np.median(frames))
    return f"{frames.min()} to {frames.max()}, median {median} ({median / fps:.2f} s at {fps:g} fps)"


def _most_common(names: np.ndarray, most: int = 10) -> str:
    counts = Counter(names.tolist()).most_common()
    shown = ", ".join(f"{name} {n}" for name, n in counts[:most])
    return shown + (f", and {len(counts) - most} more" if len(counts) > most else "")
