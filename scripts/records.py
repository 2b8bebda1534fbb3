"""Looks into a dataset directory.

python -m scripts.records stats --data=DIR                   counts, lengths, speakers, vocabulary, bytes
python -m scripts.records verify --data=DIR                  every record against manifest and index
python -m scripts.records show --data=DIR --id=s1/bbaf2n     one record in words
python -m scripts.records preview --data=DIR --output=P.png  lip frames with the words under them
"""

from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image
from tqdm import tqdm

from pipeline import preview, shards, stats
from pipeline.schema import DataError
from scripts import cli

flags.DEFINE_string("data", None, "dataset directory", required=True)
flags.DEFINE_string("id", None, "show, preview: this clip; default: the first (show), a draw (preview)")
flags.DEFINE_integer("clips", 4, "preview: how many clips to draw", lower_bound=1, upper_bound=100)
flags.DEFINE_integer("seed", 0, "preview: of the draw", lower_bound=0)
flags.DEFINE_string("output", "preview.png", "preview: the picture to write")


def _stats(dataset: shards.DatasetDir) -> None:
    cli.table(stats.summary(dataset))


def _verify(dataset: shards.DatasetDir) -> None:
    checks = tqdm(shards.verify(dataset), total=len(dataset.shards) + len(dataset.index), unit="check")
    problems = [problem for problem in checks if problem]
    for problem in problems:
        print(problem)
    if problems:
        raise DataError(f"{dataset.root}: {len(problems)} problems; restore the shards or convert anew")
    print(f"{dataset.root}: {len(dataset.shards)} shards, {len(dataset.index)} records, all as written")


def _show(dataset: shards.DatasetDir) -> None:
    record = _find(dataset, flags.FLAGS.id) if flags.FLAGS.id else 0
    clip, row = shards.read_record(dataset, record), dataset.index.row(record)
    place = f"{dataset.shards[dataset.index.shard[record]].name} offset {row.offset}, {row.length:,} bytes"
    frames = clip.frames
    cli.table(
        [
            ("id", clip.id),
            ("speaker", clip.speaker),
            ("text", clip.text),
            ("source", clip.source),
            ("record", place),
            ("frames", f"{len(frames)} at {clip.fps:g} fps, uint8 {frames.min()} to {frames.max()}"),
            ("tracked", f"{int(clip.tracked.sum())} of {len(frames)}"),
            *[(f"  {word.text}", f"frames {word.start} to {word.stop - 1}") for word in clip.words],
        ]
    )


def _preview(dataset: shards.DatasetDir) -> None:
    if flags.FLAGS.id:
        chosen = [_find(dataset, flags.FLAGS.id)]
    else:
        chosen = np.random.default_rng(flags.FLAGS.seed).permutation(len(dataset.index))[: flags.FLAGS.clips]
    clips = [shards.read_record(dataset, int(record)) for record in chosen]
    output = Path(flags.FLAGS.output)
    kind = Image.registered_extensions().get(output.suffix.lower())
    if kind is None:
        raise DataError(f"--output={output}: unknown file extension; want a picture such as preview.png")
    with shards.replacing(output) as temporary:
        preview.contact_sheet(clips).save(temporary, kind)
    print(f"{output}: {', '.join(clip.id for clip in clips)}")


def _find(dataset: shards.DatasetDir, name: str) -> int:
    found = np.flatnonzero(dataset.index.id == name)
    if not len(found):
        raise DataError(f"--id: no clip {name!r} in {dataset.root}; ids look like {dataset.index.id[0]}")
    return int(found[0])


COMMANDS = {"stats": _stats, "verify": _verify, "show": _show, "preview": _preview}


def main(argv: list[str]) -> None:
    if len(argv) != 1 or argv[0] not in COMMANDS:
        raise DataError(f"want one of {', '.join(COMMANDS)}, got {' '.join(argv) or 'nothing'} (see --help)")
    COMMANDS[argv[0]](shards.open_dataset(Path(flags.FLAGS.data)))


if __name__ == "__main__":
    cli.run(main)
