"""Cuts a recording into the clips that its labels make."""

import dataclasses
import itertools
from collections.abc import Iterator

from pipeline.corpora.labels import Labels
from pipeline.corpora.source import ClipSource

PAD_S = 0.2  # seconds of picture before and after a phrase, since lips move before the sound
DIGITS = 6  # of seconds after the point


def cut(labels: Labels, recording: ClipSource, name: str, file: str, pad_s: float = PAD_S) -> Iterator[ClipSource]:
    """Yields the clips of a recording: one a phrase, or one with all of its words where it has no phrases.

    A phrase is shown with `pad_s` seconds before and after it, but at most up to the middle of the gap to its
    neighbour, so that clips share no frames; not before 0 s, nor beyond the end of the labels. Behind the last phrase
    of labels that do not say their end there is nothing, since the video may end there.

    Args:
      labels: those of the recording.
      recording: the clip, without words, that is the recording or, if it has a span, a part of it. Phrases and words
        are kept if they lie in the span. Its speaker goes before the labels' own.
      name: of the video, with which the ids of its phrases begin.
      file: of the labels, for messages. A clip without words has them in its `problem`.
      pad_s: 0 or more.
    """
    whole = not labels.phrases and not labels.faulty
    spoken = [_whole(labels, recording, file)] if whole else list(_phrases(labels, recording, name, file, pad_s))
    faulty = list(_faulty(labels, recording, name))
    if not faulty and (not spoken or not (spoken[0].text or spoken[0].problem)):
        within = f" within {recording.span[0]:g} to {recording.span[1]:g} s" if recording.span else ""
        spoken = [dataclasses.replace(recording, problem=f"{file}: no words{within}; correct it, or remove the row")]
    yield from [*spoken, *faulty]


def _whole(labels: Labels, recording: ClipSource, file: str) -> ClipSource:
    speaker = recording.speaker or labels.speaker
    if recording.span is None:
        return dataclasses.replace(
            recording, text=labels.text, words=labels.words, labels_end=labels.end, speaker=speaker
        )
    start, stop = recording.span
    if labels.text and not labels.words:
        unknown = f"no times of words, so nobody knows which are said from {start:g} to {stop:g} s"
        return dataclasses.replace(recording, problem=f"{file}: {unknown}; put them into the column text")
    words = tuple(word for word in labels.words if start <= word.start and word.stop <= stop)
    text = " ".join(word.text for word in words)
    return dataclasses.replace(recording, text=text, words=words, speaker=speaker)


def _phrases(labels: Labels, recording: ClipSource, name: str, file: str, pad_s: float) -> Iterator[ClipSource]:
    start, stop = recording.span or (0.0, float("inf"))
    for phrase, (begin, end) in zip(labels.phrases, _spans(labels, pad_s), strict=True):
        if start <= phrase.start and phrase.stop <= stop:
            yield dataclasses.replace(
                recording,
                id=f"{name}@{round(phrase.start, DIGITS)}-{round(phrase.stop, DIGITS)}",
                span=(round(max(begin, start), DIGITS), round(min(end, stop), DIGITS)),
                text=phrase.text,
                words=phrase.words,
                speaker=recording.speaker or phrase.speaker or labels.speaker,
                untimed=phrase.untimed and f"{file}: {phrase.untimed}",
            )


def _faulty(labels: Labels, recording: ClipSource, name: str) -> Iterator[ClipSource]:
    """Yields a clip, to be rejected by name, for each phrase that cannot be used."""
    start, stop = recording.span or (0.0, float("inf"))
    for number, phrase in enumerate(labels.faulty, start=1):
        if start <= phrase.start <= stop:
            own = {"span": (min(phrase.start, phrase.stop), max(phrase.start, phrase.stop)), "text": phrase.text}
            clip_id = f"{name}@{round(phrase.start, DIGITS)}-{round(phrase.stop, DIGITS)}#{number}"
            yield dataclasses.replace(recording, id=clip_id, **own, problem=phrase.problem)


def _spans(labels: Labels, pad_s: float) -> Iterator[tuple[float, float]]:
    """The seconds that are shown of each phrase."""
    phrases = labels.phrases
    last = phrases[-1].stop if labels.end is None else max(labels.end, phrases[-1].stop)
    middles = [(before.stop + after.start) / 2 for before, after in itertools.pairwise(phrases)]
    for phrase, least, most in zip(phrases, [0.0, *middles], [*middles, last], strict=True):
        yield max(least, phrase.start - pad_s), min(most, phrase.stop + pad_s)
