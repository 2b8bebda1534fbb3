"""Converts one clip: decode, crop, label."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline import vocab
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora import paths
from pipeline.corpora.source import ClipSource, SpokenWord, printable
from pipeline.mouth.cropping import Crops
from pipeline.schema import CONTEXT, Clip, ClipError, Reason, Word
from pipeline.video import decode

MAX_FRAMES_OUTSIDE = 3  # by which a word may begin before a clip or end after it, since alignments round
MAX_LABELS_OFF_S = 1.0  # between the ends of a clip and of labels that cover it
Cropper = Callable[[Iterable[np.ndarray]], list[Crops]]  # as `MouthCropper`


@dataclasses.dataclass(frozen=True)
class Shown:
    """What was read of a video for a clip.

    Attributes:
      frames: their number.
      begins: second of the container's clock at which the first is shown.
      truncated: whether further ones were left out.
    """

    frames: int
    begins: float
    truncated: bool


@dataclasses.dataclass(frozen=True)
class Converted:
    """What has become of a clip.

    Attributes:
      shown: what was read of its video.
      clips: the clip, or those of its stretches with a face that are kept; at least one.
      left_out: the first frame of every other part of it, and why it is not kept.
    """

    shown: Shown
    clips: tuple[Clip, ...]
    left_out: tuple[tuple[int, ClipError], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether one clip holds all frames."""
        return len(self.clips[0].frames) == self.shown.frames


def convert_clip(source: ClipSource, root: Path, config: ConvertConfig, cropper: Cropper) -> Converted:
    """Decodes, crops and labels one clip.

    A clip that `cropper` has split into stretches becomes a clip `id@frame` for each of them, with the words that lie
    in it.

    Raises:
      ClipError: it cannot be converted; the reason is one of `Reason`.
    """
    paths.check_video(source.video, root)
    check_text(source, config)
    limit = {"fps": config.fps, "max_frames": config.max_frames, "truncate": config.overlong == "truncate"}
    with decode.opened(source.video, span=source.span, **limit) as video:
        stretches = cropper(video)
    shown = Shown(len(video.times), video.begins, video.truncated)
    text, words = label(source, config, shown)
    if len(stretches) == 1 and len(stretches[0].frames) == shown.frames:
        return Converted(shown, (_labelled(source, root, config, stretches[0], text, words),))
    return _split(source, root, config, stretches, words, shown)


def check_text(source: ClipSource, config: ConvertConfig) -> None:
    """Checks what can be checked of a transcript before the video is read.

    With truncation, errors after the truncation point are ignored.

    Raises:
      ClipError: BAD_TRANSCRIPT or BAD_CHARACTER.
    """
    if config.overlong == "truncate":
        normalised_text(source)
    else:
        transcript(source, config)


def label(source: ClipSource, config: ConvertConfig, shown: Shown) -> tuple[str, tuple[Word, ...]]:
    """Returns the transcript of a clip and its words with their frames.

    Raises:
      ClipError: TOO_SHORT; BAD_TRANSCRIPT or BAD_CHARACTER; TOO_LONG where it is truncated and no word is left.
    """
    source = _from_first_frame(source, shown.begins)
    source = _truncate(source, config) if shown.truncated else source
    text = transcript(source, config)
    if shown.frames < CONTEXT:
        raise ClipError(Reason.TOO_SHORT, f"{shown.frames} frames, a window needs {CONTEXT}")
    if not shown.truncated:
        _check_end(source, shown.begins + shown.frames / config.fps)
    return text, tuple(frame_words(source, config, shown.frames))


def _from_first_frame(source: ClipSource, begins: float) -> ClipSource:
    """Moves the times of words that are on the video's clock to the first frame's."""
    if source.times_from_first_frame:
        return source
    moved = (dataclasses.replace(word, start=word.start - begins, stop=word.stop - begins) for word in source.words)
    return dataclasses.replace(source, words=tuple(moved))


def _check_end(source: ClipSource, end: float) -> None:
    """Checks that labels which cover a whole clip end with it, at second `end`.

    Raises:
      ClipError: BAD_TRANSCRIPT.
    """
    if source.labels_end is not None and abs(source.labels_end - end) > MAX_LABELS_OFF_S:
        advice = "another video's, or another unit? End them with a line of silence where the clip ends"
        detail = f"the labels end at {source.labels_end:g} s, the clip at {end:g} s: {advice}"
        raise ClipError(Reason.BAD_TRANSCRIPT, detail)


def _split(
    source: ClipSource, root: Path, config: ConvertConfig, stretches: list[Crops], words: tuple[Word, ...], shown: Shown
) -> Converted:
    """Labels each stretch with the words in it; names the others, and what lies between them."""
    stretches = [_trimmed(crops, words) for crops in stretches]
    stretches = [crops for crops in stretches if len(crops.frames) >= CONTEXT]
    clips, left_out = [], list(_gaps(stretches, words, shown.frames))
    for crops in stretches:
        part = dataclasses.replace(source, id=f"{source.id}@{crops.start}")
        try:
            own = _words_within(words, crops)
            clips.append(_labelled(part, root, config, crops, " ".join(word.text for word in own), own))
        except ClipError as error:
            left_out.append((crops.start, error))
    if not clips:
        raise left_out[-1][1]
    return Converted(shown, tuple(clips), tuple(sorted(left_out, key=lambda part: part[0])))


def _trimmed(crops: Crops, words: tuple[Word, ...]) -> Crops:
    """A stretch without the frames of words that are only in part within it."""
    start, stop = crops.start, crops.start + len(crops.frames)
    first = max((word.stop for word in words if word.start < start < word.stop), default=start)
    last = min((word.start for word in words if word.start < stop < word.stop), default=stop)
    kept = slice(first - start, max(first, last) - start)
    arrays = {name: getattr(crops, name)[kept] for name in ("frames", "tracked", "corners")}
    return dataclasses.replace(crops, **arrays, start=first)


def _gaps(stretches: list[Crops], words: tuple[Word, ...], frames: int) -> Iterator[tuple[int, ClipError]]:
    """The first frame of what lies before, between and after stretches, and an error that says so."""
    spans = [(crops.start, crops.start + len(crops.frames)) for crops in stretches]
    for (_, begin), (end, _) in itertools.pairwise([(0, 0), *spans, (frames, frames)]):
        if begin < end:
            said = " ".join(word.text for word in words if word.start < end and begin < word.stop)
            where = f"in frames {begin} to {end - 1} of {frames}{said and f', in which {said!r} is said'}"
            what = f"no stretch of {CONTEXT} frames with a face and whole words"
            yield begin, ClipError(Reason.FACE_LOST, f"{what} {where}")


def _words_within(words: tuple[Word, ...], crops: Crops) -> tuple[Word, ...]:
    """The words that lie in a stretch, in its own frames.

    Raises:
      ClipError: BAD_TRANSCRIPT: there are none.
    """
    start, stop = crops.start, crops.start + len(crops.frames)
    own = [word for word in words if start <= word.start and word.stop <= stop]
    if not own:
        why = "no word lies in" if words else "without word times, nobody knows what is said in"
        raise ClipError(Reason.BAD_TRANSCRIPT, f"{why} frames {start} to {stop - 1}, a stretch with a face")
    return tuple(dataclasses.replace(word, start=word.start - start, stop=word.stop - start) for word in own)


def _labelled(
    source: ClipSource, root: Path, config: ConvertConfig, crops: Crops, text: str, words: tuple[Word, ...]
) -> Clip:
    """Joins crops and labels.

    Raises:
      ClipError: TEXT_TOO_LONG for so few frames.
    """
    check_fits(text, len(crops.frames))
    return Clip(
        id=source.id,
        speaker=source.speaker,
        text=text,
        source=source_path(source, root),
        fps=config.fps,
        frames=crops.frames,
        tracked=crops.tracked,
        words=words,
        doubt=crops.doubt.score if config.crop.mode == "face" else None,
        doubt_cause=crops.doubt.cause,
        columns=source.columns,
    )


def check_fits(text: str, frames: int) -> None:
    """Checks that CTC can emit a transcript in the windows of so many frames.

    Raises:
      ClipError: TEXT_TOO_LONG.
    """
    windows = frames - (CONTEXT - 1)
    if (needed := vocab.min_ctc_windows(text)) > windows:
        raise ClipError(Reason.TEXT_TOO_LONG, f"CTC needs {needed} windows for {text!r}, the clip has {windows}")


def source_path(source: ClipSource, root: Path) -> str:
    """Returns the path of a clip's video below the corpus root, as records and `rejected.csv` hold it."""
    return printable(source.video.relative_to(root).as_posix())


def transcript(source: ClipSource, config: ConvertConfig) -> str:
    """Returns the transcript of a clip as records hold it.

    Raises:
      ClipError: BAD_TRANSCRIPT or BAD_CHARACTER.
    """
    text = ruled_text(source, config)
    if config.unknown == "reject" and (foreign := foreign_characters(text, config)):
        are = f"{'is' if len(foreign) == 1 else 'are'} not in the alphabet {config.alphabet!r} (--alphabet, --unknown)"
        raise ClipError(Reason.BAD_CHARACTER, f"{', '.join(map(repr, foreign))} in {text!r} {are}")
    return _replace_unknown(text, config)


def foreign_characters(text: str, config: ConvertConfig) -> list[str]:
    """Returns the characters of a text that are not in the alphabet, each once, sorted."""
    return sorted(character for character in set(text) if character not in config.alphabet)


def ruled_text(source: ClipSource, config: ConvertConfig) -> str:
    """Returns the transcript by the rule `config.text`, whatever its characters.

    Raises:
      ClipError: BAD_TRANSCRIPT.
    """
    text = normalised_text(source)
    if config.text == "as_is":
        return text
    if not (said := vocab.spoken(text)):
        raise ClipError(Reason.BAD_TRANSCRIPT, f"of the transcript {text!r} nothing is left (--text=spoken)")
    return said


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
    """Keeps the words of a longer clip up to the first that does not lie within `max_frames` frames."""

    def lies_within(word: SpokenWord) -> bool:
        return word.start * config.fps < config.max_frames and round(word.stop * config.fps) <= config.max_frames

    words = tuple(itertools.takewhile(lies_within, source.words))
    if not words:
        why = "no word ends" if source.words else "without word times, nobody knows what is said"
        raise ClipError(Reason.TOO_LONG, f"{why} in its first {config.max_frames} frames, the limit")
    return dataclasses.replace(source, words=words, text=" ".join(word.text for word in words))


def frame_words(source: ClipSource, config: ConvertConfig, frames: int) -> Iterator[Word]:
    """Converts the words of a clip, in seconds from its first frame, to frames, by the rule `config.text`.

    Raises:
      ClipError: BAD_TRANSCRIPT: a word lies before the clip or beyond its end.
    """
    fps = config.fps
    for word in source.words if config.text == "as_is" else _spoken_words(source.words):
        said = f"{word.text!r} is said from {word.start:g} to {word.stop:g} s"
        if word.stop <= 0 or word.start * fps < -MAX_FRAMES_OUTSIDE:
            raise ClipError(Reason.BAD_TRANSCRIPT, f"{said} after the first picture, that is before it")
        if word.start * fps >= frames or word.stop * fps > frames + MAX_FRAMES_OUTSIDE:
            raise ClipError(Reason.BAD_TRANSCRIPT, f"{said}, but the clip ends at {frames / fps:g} s")
        start = max(0, min(round(word.start * fps), frames - 1))
        stop = min(round(word.stop * fps), frames)
        yield Word(_replace_unknown(vocab.normalise(word.text), config), start, max(stop, start + 1))


def _spoken_words(words: Iterable[SpokenWord]) -> Iterator[SpokenWord]:
    """Words by the rule `spoken`: one that becomes several shares its time among them by their numbers of letters."""
    for word in words:
        parts = vocab.spoken(word.text).split()
        letters = [0, *itertools.accumulate(map(len, parts))]
        shares = [count / max(1, letters[-1]) for count in letters]
        times = [word.start * (1 - share) + word.stop * share for share in shares]
        for part, (start, stop) in zip(parts, itertools.pairwise(times), strict=True):
            yield SpokenWord(part, start, stop)
