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

from absl import flags

from scripts.common import cli

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_string("output", None, "directory to write", required=True)
flags.DEFINE_enum("weights", "best", ["best", "last"], "which checkpoint: the best by validation, or the last")
flags.DEFINE_bool("streaming", False, "also export start, step and finish for frames as they arrive")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    cli.check_local("run", "output")
    with cli.loading():
        from scripts.programs import export
    export.run()


if __name__ == "__main__":
    cli.run(main)
