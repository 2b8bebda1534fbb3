"""Exports a run as a TensorFlow SavedModel: mouth frames in, text out. It runs without Lipflow.

    python -m scripts.export --run=runs/sentences --output=exported

    read = tf.saved_model.load("exported").signatures["serving_default"]
    read(frames=frames, lengths=lengths)        # {"text": string [B], "score": float32 [B]}

frames: uint8 [B, F, 112, 112], mouth crops as input.json in the output describes them. lengths: int32 [B], valid
frames of each row. in_word, for runs trained with --use_in_word: uint8 [B, F], 1 at the frames of the word itself.
score: log probability of the word, or of the best path. Texts are decoded greedily.

--streaming adds start, step and finish, which read frames as they arrive. It needs a run trained with
--nobidirectional:

    state = start(streams=tf.constant(1))
    state = step(frames=frames, **state)        # any number of frames; state["text"] and state["score"] so far
    state = finish(**state)
"""

import dataclasses
import functools

from absl import flags

from model import export
from model.streaming import Stream
from pipeline.loading import windows
from pipeline.records import storage
from pipeline.schema import CONTEXT
from scripts.common import cli, experiment

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("output", None, "directory to write", required=True)
flags.DEFINE_enum("weights", "best", ["best", "last"], "which checkpoint: the best by validation, or the last")
flags.DEFINE_bool("streaming", False, "also export start, step and finish for frames as they arrive")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    run, output = storage.local(flags.FLAGS.run), storage.local(flags.FLAGS.output)
    opened = experiment.open_run(run, flags.FLAGS.weights)
    model, data = opened.model, opened.data
    known = (data.vocabulary.symbols, data.vocabulary.unit)
    graphs = {"serving_default": export.whole(model, *known, functools.partial(windows.make, padding=data.padding))}
    if flags.FLAGS.streaming:
        border = CONTEXT // 2 if data.padding == "same" else 0
        graphs |= Stream(model, *known, windows.make, border).signatures()
    inputs = ["frames", "lengths", *["in_word"] * model.config.use_in_word]
    about = {
        "inputs": inputs,
        "fps": opened.fps,
        "crop": dataclasses.asdict(opened.crop),
        "padding": data.padding,
        "symbols": known[0],
    }
    export.save(model, graphs, about, output)
    print(f"{output}: a SavedModel with {', '.join(graphs)}; takes {', '.join(inputs)}, which {export.ABOUT} describes")


if __name__ == "__main__":
    cli.run(main)
