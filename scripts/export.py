"""Writes a run as a TensorFlow SavedModel: mouth frames in, text out, with nothing of this project needed to read it.

    python -m scripts.export --run=runs/sentences --output=exported

    read = tf.saved_model.load("exported").signatures["serving_default"]
    read(frames=frames, lengths=lengths)        # {"text": string [B], "score": float32 [B]}

frames is uint8 [B, F, 112, 112], mouths cut out as the run's own data was (input.json in the output says how); lengths
is int32 [B], how many frames of each row count. Runs trained with --use_in_word also take in_word, uint8 [B, F], 1 at
the frames of the word itself. score is the log probability of the word, or of the best path through the text; texts are
read greedily.

With --streaming there are also start, step and finish, which take frames as they come (--nobidirectional runs):

    state = start(streams=tf.constant(1))
    state = step(frames=frames, **state)        # any number of frames; state["text"], state["score"]: so far
    state = finish(**state)
"""

import dataclasses
import functools
from pathlib import Path

from absl import flags

from model import export
from model.streaming import Stream
from pipeline.loading import windows
from pipeline.schema import CONTEXT
from scripts.common import cli, experiment

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("output", None, "directory to write", required=True)
flags.DEFINE_enum("weights", "best", ["best", "last"], "the best by validation, or the last")
flags.DEFINE_bool("streaming", False, "also for frames as they come; the run has to be of one direction")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    opened, output = experiment.open_run(Path(flags.FLAGS.run), flags.FLAGS.weights), Path(flags.FLAGS.output)
    model, data = opened.model, opened.data
    known = (data.vocabulary.symbols, data.vocabulary.unit)
    graphs = {"serving_default": export.whole(model, *known, functools.partial(windows.make, padding=data.padding))}
    if flags.FLAGS.streaming:
        border = CONTEXT // 2 if data.padding == "same" else 0
        graphs |= Stream(model, *known, windows.make, border).signatures()
    about = {"fps": opened.fps, "crop": dataclasses.asdict(opened.crop), "padding": data.padding, "symbols": known[0]}
    export.save(model, graphs, about, output)
    print(f"{output}: a SavedModel with {', '.join(graphs)}; {export.ABOUT} says what its frames have to look like")


if __name__ == "__main__":
    cli.run(main)
