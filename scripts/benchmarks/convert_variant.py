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


def main(source: str, videos: list[str], workers: int, scratch: str) -> dict[str, float]:
    """Converts shards of the default size.

    Args:
      source: a directory in GRID's layout.
      videos: paths below it.
      workers: processes.
      scratch: a directory for the output, which is removed.
    """
    root, chosen = Path(source), set(videos)
    clips = assign([clip for clip in grid.clips(root) if str(clip.video) in chosen], SplitRule(val="0", test="0"))
    config = ConvertConfig(name="grid")
    with tempfile.TemporaryDirectory(dir=scratch) as output:
        began = None
        for state in convert(clips, root, Path(output), config, workers=workers, max_reject_fraction=1):
            if began is None and state.converted:
                began = time.monotonic()
        seconds = time.monotonic() - began
        frames = open_dataset(Path(output)).index.frames
    return {"items": float(frames.mean() * (len(frames) - 1)), "seconds": seconds}  # all but the first clip


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
