"""Reads the lips in videos.

    python -m scripts.transcribe --run=runs/sentences clip.mp4 other.mov
    python -m scripts.transcribe --run=runs/sentences --format=json recordings > read.jsonl
    python -m scripts.transcribe --run=runs/sentences --format=srt --output=clip.srt --overlay=seen.mp4 clip.mp4
    python -m scripts.transcribe --run=runs/sentences --decoder=greedy 0

Inputs are files; directories, with all videos below them (a directory of images is one video); `-`, a video on the
standard input; and cameras by number, 0 for /dev/video0, which record for --seconds.

Videos are cropped and windowed as the run's own data was. A sentence run prints the sentence: one that reads characters
takes words of its training data alone (--lexicon=none reads any text). A word run expects one word in each video, as
in LRW. Of a video in which the face is lost, the stretches with a face are read, and a line says
what is left out. Videos that cannot be read are named at the end, and the exit code is 1.

--format=text prints `VIDEO: transcript`. --format=json prints one object a line: {"id", "text", "score", "words":
[{"word", "start", "stop", "score"}]}, with times in seconds, word scores from 0 to 1, and the log probability of the
text. --format=srt prints subtitles of one video. --overlay writes an MP4 file with the sound of the one video.
"""

import os
from pathlib import Path

from absl import flags

from pipeline.conversion.config import ConvertConfig
from pipeline.records import storage
from pipeline.schema import DataError
from scripts.common import cli, decoding_flags, inputs

FORMATS = ("text", "json", "srt")

flags.DEFINE_string("run", None, "run directory, made by scripts.train", required=True)
flags.DEFINE_enum("weights", "best", ["best", "last"], "which checkpoint: the best by validation, or the last")
flags.DEFINE_integer(
    "max_frames",
    ConvertConfig.max_frames,
    "largest number of frames in a video; longer ones are refused",
    lower_bound=5,
)
flags.DEFINE_enum("format", "text", FORMATS, "what to print; srt takes one video")
flags.DEFINE_string("output", None, "file to write instead of printing")
flags.DEFINE_string(
    "overlay", None, "mp4 file to write: the one video and its sound, with a box around the mouth and the words below"
)
flags.DEFINE_float("seconds", 5.0, "length of a camera's recording", lower_bound=0.5)
DECODE = decoding_flags.define()
decoding_flags.describe_defaults(lexicon="vocabulary")


def main(argv: list[str]) -> None:
    if not argv:
        raise DataError("give video files to read (see --help)")
    names = inputs.listed(argv)
    _check(names)
    with cli.loading():
        from scripts.programs import transcribe
    transcribe.run(names, DECODE)


def _check(names: list[str]) -> None:
    """Refuses flags that contradict each other or the inputs, before anything is read."""
    values = flags.FLAGS
    cli.check_local("run")
    decoding_flags.check(DECODE, of_run=True)
    for flag, asked in (("--format=srt", values.format == "srt"), ("--overlay", values.overlay)):
        if asked and len(names) != 1:
            raise DataError(f"{flag}: takes one video, got {len(names)}; read them one at a time")
    if values["seconds"].present and not any(map(inputs.is_camera, names)):
        raise DataError(
            f"--seconds={values.seconds:g}: is the length of a camera's recording, and no camera is read; leave it out"
        )
    if values.overlay and Path(values.overlay).suffix.lower() != ".mp4":
        raise DataError(f"--overlay={values.overlay}: want a name that ends in .mp4, such as seen.mp4")
    read = list(map(storage.local, names))
    for flag in ("output", "overlay"):
        if values[flag].value:
            written = storage.local(values[flag].value)
            _check_file(flag, written, read)
            read.append(written)


def _check_file(flag: str, path: Path, others: list[Path]) -> None:
    """Refuses an output file that cannot be written, or is one of `others`."""
    if path.is_dir():
        raise DataError(f"--{flag}={path}: is a directory; name a file")
    if not path.parent.is_dir():
        raise DataError(f"--{flag}={path}: no such directory {path.parent}; make it, or name another")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"--{flag}={path}: {path.parent} is not writable; name another directory")
    if path.resolve() in [other.resolve() for other in others]:
        raise DataError(f"--{flag}={path}: would overwrite an input or another output; name another file")


if __name__ == "__main__":
    cli.run(main)
