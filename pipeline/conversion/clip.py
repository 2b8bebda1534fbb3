"""Converts one clip: decode, crop, label."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline import vocab
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource, printable
from pipeline.mouth.crop import Crops
from pipeline.schema import CONTEXT, Clip, ClipError, Reason, Word
from pipeline.video import decode

MAX_FRAMES_PAST_END = 3  # of a word, since alignments round


def convert_clip(
    source: ClipSource, root: Path, config: ConvertConfig, cropper: Callable[[Iterable[np.ndarray]], list[Crops]]
) -> Clip:
    """Decodes, crops and labels one clip.

    Raises:
      ClipError: it cannot be converted; the reason is one of `Reason`.
    """
    paths.check_video(source.video, root)
    truncates = config.overlong == "truncate"
    # With truncation, errors after the truncation point are ignored.
    text = normalised_text(source) if truncates else transcript(source, config)
    frames = {"fps": config.fps, "max_frames": config.max_frames, "truncate": truncates}
    with decode.opened(source.video, span=source.span, **frames) as video:
        luma = np.stack(list(video))
    if truncates:
        source = _truncate(source, config) if video.truncated else source
        text = transcript(source, config)
    windows = len(luma) - (CONTEXT - 1)
    if windows < 1:
        raise ClipError(Reason.TOO_SHORT, f"{len(luma)} frames, a window needs {CONTEXT}")
    if (needed := vocab.min_ctc_windows(text)) > windows:
        raise ClipError(Reason.TEXT_TOO_LONG, f"CTC needs {needed} windows for {text!r}, the clip has {windows}")
    [crops] = cropper(luma)
    return Clip(
        id=source.id,
        speaker=source.speaker,
        text=text,
        source=source_path(source, root),
        fps=config.fps,
        frames=crops.frames,
        tracked=crops.tracked,
        words=tuple(frame_words(source, config, len(crops.frames))),
    )


def source_path(source: ClipSource, root: Path) -> str:
    """Returns the path of a clip's video below the corpus root, as records and `rejected.csv` hold it."""
    return printable(source.video.relative_to(root).as_posix())


def transcript(source: ClipSource, config: ConvertConfig) -> str:
    """Returns the transcript of a clip as records hold it.

    Raises:
      ClipError: BAD_TRANSCRIPT or BAD_CHARACTER.
    """
    text = normalised_text(source)
    if config.unknown == "reject" and (foreign := sorted(set(text) - set(config.alphabet))):
        rule = f"not in the alphabet {config.alphabet!r} (--alphabet, --unknown)"
        raise ClipError(Reason.BAD_CHARACTER, f"{foreign[0]!r} in {text!r} is {rule}")
    return _replace_unknown(text, config)


def normalised_text(source: ClipSource) -> str:
    """Returns the transcript, whatever its characters.

    Raises:
      ClipError: BAD_TRANSCRIPT.
    """
    text = vocab.normalise(source.text)
    if source.problem or not text:
        raise ClipError(Reason.BAD_TRANSCRIPT, source.problem or "the transcript is empty")
    return text


def _replace_unknown(text: str, config: ConvertConfig) -> str:
    if config.unknown == "reject":
        return text
    return "".join(character if character in config.alphabet else vocab.UNKNOWN for character in text)


def _truncate(source: ClipSource, config: ConvertConfig) -> ClipSource:
    """Keeps the words within the first `max_frames` frames of a longer clip."""
    words = tuple(word for word in source.words if round(word.stop * config.fps) <= config.max_frames)
    if not words:
        why = "no word ends" if source.words else "without word times, nobody knows what is said"
        raise ClipError(Reason.TOO_LONG, f"{why} in its first {config.max_frames} frames, the limit")
    return dataclasses.replace(source, words=words, text=" ".join(word.text for word in words))


def frame_words(source: ClipSource, config: ConvertConfig, frames: int) -> Iterator[Word]:
    """Converts the words of a clip from seconds to frames.

    Raises:
      ClipError: BAD_TRANSCRIPT: a word lies beyond the end of the clip.
    """
    fps = config.fps
    for word in source.words:
        if word.start * fps >= frames or word.stop * fps > frames + MAX_FRAMES_PAST_END:
            said = f"{word.text!r} is said from {word.start:g} to {word.stop:g} s"
            raise ClipError(Reason.BAD_TRANSCRIPT, f"{said}, but the clip ends at {frames / fps:g} s")
        start = min(round(word.start * fps), frames - 1)
        stop = min(round(word.stop * fps), frames)
        yield Word(_replace_unknown(vocab.normalise(word.text), config), start, max(stop, start + 1))
