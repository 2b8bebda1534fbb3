"""Reads the lips in videos, and prints or writes what was read."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import tensorflow as tf
from absl import flags
from tqdm import tqdm

from model import alignment, decoding
from model.lipreader import input_keys
from pipeline.corpora.source import printable
from pipeline.loading import windows
from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.records import storage
from pipeline.schema import CONTEXT, BatchKey, ClipError, DataError, Reason
from pipeline.video import decode
from scripts.common import cli, decoders, experiment, inputs, overlay, subtitles
from scripts.common.bars import bar
from scripts.common.subtitles import Transcript

FORMATS: dict[str, Callable[[Transcript], str]] = {
    "text": lambda read: f"{read.id}: {read.text}\n",
    "json": lambda read: json.dumps(read.as_json(), ensure_ascii=False) + "\n",
    "srt": lambda read: subtitles.srt(read.words),
}
WORD_S = 2.0  # seconds of a video above which one word is hardly all that is said


@dataclasses.dataclass(frozen=True)
class Read:
    """The transcript of a video and the stretches that it was read from.

    Attributes:
      stretches: their mouth crops, in order.
      frames: the number of frames of the video.
      begins: the time of its first frame, in seconds.
    """

    transcript: Transcript
    stretches: list[Crops]
    frames: int
    begins: float


def read(
    opened: experiment.Run, cropper: MouthCropper, name: str, path: Path, max_frames: int, how: decoding.DecodeConfig
) -> Read:
    """Reads the lips in one video.

    Raises:
      ClipError: the video cannot be read, shows no face, or is shorter than a window.
    """
    with decode.opened(path, fps=opened.fps, max_frames=max_frames) as video:
        stretches = [crops for crops in cropper(video) if windows.count(len(crops.frames), opened.data.padding) > 0]
    frames, begins = len(video.times), video.begins
    if not stretches:
        raise ClipError(Reason.TOO_SHORT, f"{frames} frames, a window needs {CONTEXT}")
    parts = []
    for crops in stretches:
        reading = _reading(opened, tf.constant(crops.frames), how)
        start = begins + crops.start / opened.fps
        parts.append(subtitles.timed(printable(name), reading, opened.data.padding, opened.fps, start))
    return Read(subtitles.joined(parts), stretches, frames, begins)


def _parts(read: Read, fps: float) -> str:
    """Describes the stretches of a video in seconds, if they are not one that is all of it; else empty."""
    if len(read.stretches) == 1 and len(read.stretches[0].frames) == read.frames:
        return ""
    spans = [(crops.start, crops.start + len(crops.frames)) for crops in read.stretches]
    seconds = ", ".join(f"{read.begins + start / fps:.2f} to {read.begins + stop / fps:.2f}" for start, stop in spans)
    return f"read from second {seconds}; elsewhere no face can be followed, and between two another face may follow"


def _too_much(read: Read, opened: experiment.Run) -> str:
    """Says that a video is long for the one word that a word run names; else empty."""
    seconds = read.frames / opened.fps
    if opened.model.config.head != "word" or seconds <= WORD_S:
        return ""
    return f"{seconds:.1f} s for the one word that a word run names; cut the words out, or use a sentence run"


def _reading(opened: experiment.Run, frames: tf.Tensor, how: decoding.DecodeConfig) -> alignment.Reading:
    cut = windows.make(frames[None], padding=opened.data.padding)  # [F, 112, 112] -> [1, S, 112, 112, 5]
    steps = tf.shape(cut)[1]
    batch = {
        BatchKey.WINDOWS: cut,
        BatchKey.LENGTHS: steps[None],
        BatchKey.IN_WORD: tf.ones([1, steps], tf.uint8),
        BatchKey.WEIGHTS: tf.ones([1]),
    }
    wanted = {key: batch[key] for key in (*input_keys(opened.model.config), BatchKey.WEIGHTS)}
    logits, head, vocabulary = opened.model.infer(wanted).numpy(), opened.model.config.head, opened.data.vocabulary
    (hypothesis,) = decoding.decode(head, logits, [int(steps)], how)
    return alignment.read(head, logits[0], int(steps), hypothesis, vocabulary, alignment.motion(cut)[0])


def run(names: list[str], options: cli.Options) -> None:
    """Reads the videos of these names with the run of the flags; `options` say how it is decoded."""
    values = flags.FLAGS
    opened = experiment.open_run(storage.local(values.run), values.weights)
    decoders.take_defaults(opened, lexicon="vocabulary")
    how, cropper, failed = decoders.build(options, opened), MouthCropper(opened.crop, "split"), []
    with _printer(values.output) as out:
        for name in bar(names, unit="video", disable=len(names) < 3):
            try:
                with inputs.at_hand(name, values.seconds) as path:
                    one = read(opened, cropper, name, path, values.max_frames, how)
                    out.write(FORMATS[values.format](one.transcript))
                    for doubt in filter(None, (_parts(one, opened.fps), _too_much(one, opened))):
                        tqdm.write(f"{printable(name)}: {doubt}", file=sys.stderr)
                    if values.overlay:
                        words, output = one.transcript.words, storage.local(values.overlay)
                        overlay.write(path, one.stretches, words, opened.fps, one.begins, output)
                        print(f"overlay: {output}", file=sys.stderr)
            except ClipError as error:
                detail = error.detail.removeprefix(f"{name}: ")
                failed.append(f"{printable(name)}: {error.reason}: {printable(detail)}")
    if failed:
        raise DataError(f"{len(failed)} of {len(names)} videos could not be read: {'; '.join(failed)}")


@contextlib.contextmanager
def _printer(output: str | None) -> Iterator[TextIO]:
    """Yields the standard output, or a file that gets its name once all is written."""
    if output is None:
        yield sys.stdout
        return
    with storage.replacing(storage.local(output)) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file
    print(f"output: {output}", file=sys.stderr)
