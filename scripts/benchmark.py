"""Measures Lipflow against baselines for the same work, on your machine and your data.

python -m scripts.benchmark convert --source=GRID     videos -> mouth crops: frames a second, memory, where the time
                                                      goes, and how close the crops are; GRID's layout
python -m scripts.benchmark reuse --source=GRID       conversion from the videos, and with the crops of an earlier
                                                      dataset: seconds a thousand clips
python -m scripts.benchmark memory --source=GRID      memory of one process by the size and length of a video, up to
                                                      1,000 frames of 3840x2160
python -m scripts.benchmark encodings --data=DIR      raw, jpeg and png frames: bytes a clip, clips a second
python -m scripts.benchmark read --data=DIR           records -> batches: examples and windows a second, memory; of a
                                                      URL, such as s3://BUCKET/data, all of its split train
python -m scripts.benchmark sequence                  reshape, map_fn and TimeDistributed: training step, forward,
                                                      memory, tracing; random windows
python -m scripts.benchmark layers                    time of a training step by layer, ours and the usual Keras layers
python -m scripts.benchmark device --data=DIR         a training step fed from the shards: step alone, input alone, both
                                                      at once; milliseconds a batch
python -m scripts.benchmark train --data=DIR          training from the shards, words and sentences, with the loop of
                                                      today and one that waits for each step: steps a second, the shares
                                                      of the time that the device computes and that data is waited for
python -m scripts.benchmark scale                     an index of --rows clips, without their frames: listing, opening,
                                                      planning, first batch: seconds, memory; five minutes a round

Candidates run alternately, --rounds times each, each time in a process of its own. The Markdown tables show medians.
Baselines have environments of their own, which `make baselines` makes; without one the benchmark says so.
"""

import os

from absl import flags

from pipeline.records import storage
from pipeline.schema import DataError
from scripts.benchmarks import measure, sequence
from scripts.common import cli

flags.DEFINE_string("source", None, "convert, reuse, memory: directory of videos in GRID's layout")
flags.DEFINE_string(
    "data", None, "encodings, read, device, train: dataset directory; read: or a URL; encodings needs raw frames"
)
flags.DEFINE_integer("clips", 100, "number of clips to draw", lower_bound=2)
flags.DEFINE_integer("rows", 10_000_000, "scale: number of clips in the index", lower_bound=300)
flags.DEFINE_integer("seed", 0, "seed of the draw", lower_bound=0)
flags.DEFINE_integer("rounds", 5, "measurements of each candidate", lower_bound=1)
flags.DEFINE_integer(
    "workers",
    len(os.sched_getaffinity(0)),
    "processes of each candidate; encodings: threads; read: processes of the baselines that use any",
    lower_bound=1,
)
flags.DEFINE_list("batches", ["8", "32"], "read, sequence, device, train: batch sizes; layers: the first")
flags.DEFINE_list("lengths", ["25", "75"], "sequence: windows of the longest row; layers: the first")
flags.DEFINE_list("paddings", ["0", "0.5"], "sequence: shares of the windows that are padding")
flags.DEFINE_list("precisions", ["float32"], "sequence: precisions of VGG-M, as --precision of scripts.train")
flags.DEFINE_list(
    "variants", list(sequence.VARIANTS), "sequence: variants to measure, compared with reshape or else with the first"
)
flags.DEFINE_string("table", "B", "sequence, layers, device, train: layers of VGG-M, A, B or C")
flags.DEFINE_float("width", 0.125, "sequence, layers, device, train: factor on the channels of VGG-M", lower_bound=0.01)
flags.DEFINE_float("seconds", 4, "read, device, train: duration of each measurement", lower_bound=0.01)
flags.DEFINE_string("output", None, "JSON file to write: every measurement, the medians, the machine")

COMMANDS = {  # command -> the flag that it needs, and its flags of lists of numbers
    "convert": ("source", ()),
    "reuse": ("source", ()),
    "memory": ("source", ()),
    "encodings": ("data", ()),
    "read": ("data", ("batches",)),
    "sequence": (None, ("batches", "lengths", "paddings")),
    "layers": (None, ("batches", "lengths")),
    "device": ("data", ("batches",)),
    "train": ("data", ("batches",)),
    "scale": (None, ()),
}


def main(argv: list[str]) -> None:
    if len(argv) != 1 or argv[0] not in COMMANDS:
        raise DataError(f"want one of {', '.join(COMMANDS)}, got {' '.join(argv) or 'nothing'} (see --help)")
    (command,), values = argv, flags.FLAGS
    needed, listed = COMMANDS[command]
    output = values.output and storage.local(values.output)
    if output and (output.is_dir() or not os.access(output.absolute().parent, os.W_OK)):
        raise DataError(f"--output={output}: want a file in a directory that is there and may be written")
    if needed and not values[needed].value:
        raise DataError(f"missing: --{needed} (see --help)")
    if command != "read":
        cli.check_local("source", "data")
    lists = {name: _numbers(name) for name in listed}
    if command == "sequence":
        sequence.check(values.table, **lists, precisions=values.precisions, variants=values.variants)
    elif command in ("layers", "device", "train"):
        measure.check_table(values.table)
    with cli.loading():
        from scripts.programs import benchmark
    benchmark.run(command, lists, output)


def _numbers(name: str) -> list[int] | list[float]:
    given = flags.FLAGS[name].value
    if not given:
        raise DataError(f"--{name}: want at least one, got none")
    if name == "paddings":
        try:
            return [float(share) for share in given]
        except ValueError as error:
            raise DataError(f"--paddings: want numbers, {error}") from error
    if wrong := [value for value in given if not (value.isdecimal() and int(value))]:
        raise DataError(f"--{name}: want numbers of at least 1, got {wrong[0]!r}")
    return [int(value) for value in given]


if __name__ == "__main__":
    cli.run(main)
