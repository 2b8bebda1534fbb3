"""Reads the lips in video files.

    python -m scripts.transcribe --run=runs/sentences clip.mp4 other.mov
    python -m scripts.transcribe --run=runs/sentences --decoder=beam --lexicon=vocabulary clip.mp4

Videos are cropped and cut into windows exactly as the run's own data was. A sentence run prints the sentence; a word
run takes each video to hold one word, as LRW's do.
"""

from pathlib import Path

import tensorflow as tf
from absl import flags
from tqdm import tqdm

from model import alignment
from model.decoding import DecodeConfig, decode
from pipeline import video, windows
from pipeline.mouth import MouthCropper
from pipeline.schema import CONTEXT, BatchKey, ClipError, DataError, Reason
from pipeline.unit import ConvertConfig
from scripts import cli, decoders, runs

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_enum("weights", "best", ["best", "last"], "the best by validation, or the last")
flags.DEFINE_integer("max_frames", ConvertConfig.max_frames, "longer videos are refused", lower_bound=5)
DECODE = decoders.define()


def transcribe(
    opened: runs.Run, cropper: MouthCropper, path: Path, max_frames: int, how: DecodeConfig
) -> alignment.Reading:
    """What one video says.

    Raises:
      ClipError: it cannot be read, shows no face, or is shorter than a window.
    """
    luma = video.read(path, fps=opened.fps, max_frames=max_frames).luma
    if windows.count(len(luma), opened.data.edge) < 1:
        raise ClipError(Reason.TOO_SHORT, f"{len(luma)} frames, a window needs {CONTEXT}")
    frames = cropper(luma).frames
    cut = windows.make(tf.constant(frames)[None], edge=opened.data.edge)  # [F, 112, 112] -> [1, S, 112, 112, 5]
    steps = tf.shape(cut)[1]
    batch = {
        BatchKey.WINDOWS: cut,
        BatchKey.LENGTHS: steps[None],
        BatchKey.INSIDE: tf.ones([1, steps], tf.uint8),
        BatchKey.WEIGHTS: tf.ones([1]),
    }
    wanted = {key: batch[key] for key in (*opened.model.config.inputs, BatchKey.WEIGHTS)}
    logits, head, vocabulary = opened.model.infer(wanted).numpy(), opened.model.config.head, opened.data.vocabulary
    (hypothesis,) = decode(head, logits, [int(steps)], how)
    return alignment.read(head, logits[0], int(steps), hypothesis, vocabulary.decode, vocabulary.unit)


def main(argv: list[str]) -> None:
    if not argv:
        raise DataError("want video files to read (see --help)")
    opened = runs.open_run(Path(flags.FLAGS.run), flags.FLAGS.weights)
    how = decoders.build(DECODE, opened)
    cropper = MouthCropper(opened.crop)
    failed = []
    for name in tqdm(argv, unit="video", disable=len(argv) < 3):
        try:
            print(f"{name}: {transcribe(opened, cropper, Path(name), flags.FLAGS.max_frames, how).text}")
        except ClipError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise DataError(f"{len(failed)} of {len(argv)} videos not read: {'; '.join(failed)}")


if __name__ == "__main__":
    cli.run(main)
