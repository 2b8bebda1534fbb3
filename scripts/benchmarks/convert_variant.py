"""Our conversion: the real job, from the first finished clip to the manifest."""

import json
import sys
import tempfile
import time
from pathlib import Path

from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import convert
from pipeline.corpora import grid
from pipeline.corpora.splits import SplitRule, assign
from pipeline.records.directory import open_dataset


def main(source: str, videos: list[str], workers: int, scratch: str, reuse: str = "") -> dict[str, float]:
    """Converts shards of the default size.

    Args:
      source: a directory in GRID's layout.
      videos: paths below it.
      workers: processes.
      scratch: a directory for the output, which is removed.
      reuse: a dataset whose crops are taken; none if empty.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as output:
        seconds = made(Path(source), videos, workers, Path(output), reuse)
        frames = open_dataset(Path(output)).index.frames
    clips = len(frames) - 1  # all but the first
    return {"items": float(frames.mean() * clips), "clips": clips, "seconds": seconds}


def made(source: Path, videos: list[str], workers: int, output: Path, reuse: str = "") -> float:
    """Makes a dataset; returns the seconds from its first finished clip on."""
    chosen, config = set(videos), ConvertConfig(name="grid")
    clips = assign([clip for clip in grid.clips(source) if str(clip.video) in chosen], SplitRule(val="0", test="0"))
    old = Path(reuse) if reuse else None
    began = None
    for state in convert(clips, source, output, config, workers=workers, max_reject_fraction=1, reuse=old):
        if began is None and state.converted:
            began = time.monotonic()
    return time.monotonic() - began


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
