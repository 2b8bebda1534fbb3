import dataclasses
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import cutting
from pipeline.corpora.labels import Labels, Phrase
from pipeline.corpora.source import ClipSource, SpokenWord

WHOLE = ClipSource("a.mp4", Path("a.mp4"), None, "", (), "")
MORNING, NOON = Phrase("good morning", 1.0, 2.0), Phrase("at noon", 2.5, 3.0, speaker="bob")
WORDS = (SpokenWord("good", 0.5, 0.8), SpokenWord("day", 0.8, 1.25), SpokenWord("ann", 2.0, 2.5))


def cut(labels: Labels, recording: ClipSource = WHOLE, pad_s: float = 0.2) -> list[ClipSource]:
    return list(cutting.cut(labels, recording, "a.mp4", "a.srt", pad_s))


@pytest.mark.parametrize(
    ("phrases", "end", "pad_s", "spans"),
    [
        ((MORNING, NOON), None, 0.2, [(0.8, 2.2), (2.3, 3.0)]),  # the video may end at 3
        ((MORNING, NOON), 9.0, 0.2, [(0.8, 2.2), (2.3, 3.2)]),
        ((MORNING, NOON), 3.1, 0.2, [(0.8, 2.2), (2.3, 3.1)]),
        ((MORNING, NOON), 2.9, 0.2, [(0.8, 2.2), (2.3, 3.0)]),
        ((MORNING, NOON), 9.0, 0.0, [(1.0, 2.0), (2.5, 3.0)]),
        ((MORNING, NOON), 9.0, 0.4, [(0.6, 2.25), (2.25, 3.4)]),  # the middle of the gap
        ((MORNING, NOON), 9.0, 1.5, [(0.0, 2.25), (2.25, 4.5)]),
        ((MORNING, Phrase("so", 2.0, 2.5)), None, 0.2, [(0.8, 2.0), (2.0, 2.5)]),
    ],
)
def test_a_phrase_is_widened_to_the_middle_of_the_gap(
    phrases: tuple[Phrase, ...], end: float | None, pad_s: float, spans: list[tuple[float, float]]
) -> None:
    assert [clip.span for clip in cut(Labels(phrases, end=end), pad_s=pad_s)] == spans


def test_phrases_become_clips_of_their_own_times() -> None:
    words = (SpokenWord("good", 1.0, 1.4), SpokenWord("morning", 1.5, 2.0))
    labels = Labels((dataclasses.replace(MORNING, words=words), NOON), speaker="ann", end=60.0)
    first = ClipSource("a.mp4@1.0-2.0", Path("a.mp4"), (0.8, 2.2), "good morning", words, "ann")
    second = ClipSource("a.mp4@2.5-3.0", Path("a.mp4"), (2.3, 3.2), "at noon", (), "bob")
    assert cut(labels) == [first, second]
    named = dataclasses.replace(WHOLE, speaker="eve", split="test", columns=(("light", "dim"),))
    own = {"speaker": "eve", "split": "test", "columns": (("light", "dim"),)}
    assert cut(labels, named) == [dataclasses.replace(clip, **own) for clip in (first, second)]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0.0, 9.0), [("a.mp4@1.0-2.0", (0.8, 2.2)), ("a.mp4@2.5-3.0", (2.3, 3.0))]),
        ((1.0, 2.0), [("a.mp4@1.0-2.0", (1.0, 2.0))]),
        ((0.9, 2.1), [("a.mp4@1.0-2.0", (0.9, 2.1))]),
        ((1.5, 9.0), [("a.mp4@2.5-3.0", (2.3, 3.0))]),  # a phrase that is there in part is not
    ],
)
def test_a_part_has_the_phrases_that_lie_in_it(
    span: tuple[float, float], expected: list[tuple[str, tuple[float, float]]]
) -> None:
    part = dataclasses.replace(WHOLE, id="a.mp4@part", span=span)
    assert [(clip.id, clip.span) for clip in cut(Labels((MORNING, NOON)), part)] == expected


def test_labels_without_phrases_are_one_clip() -> None:
    labels = Labels(text="good day ann", words=WORDS, end=3.0, speaker="bob")
    assert cut(labels) == [ClipSource("a.mp4", Path("a.mp4"), None, "good day ann", WORDS, "bob", labels_end=3.0)]
    part = dataclasses.replace(WHOLE, id="a.mp4@0.5-2.0", span=(0.5, 2.0), speaker="eve")
    assert cut(labels, part) == [dataclasses.replace(part, text="good day", words=WORDS[:2])]
    unknown = "no times of words, so nobody knows which are said from 0.5 to 2 s; put them into the column text"
    assert cut(Labels(text="good day"), part) == [dataclasses.replace(part, problem=f"a.srt: {unknown}")]


def test_a_phrase_that_cannot_be_used_is_rejected_by_name_and_the_others_stay() -> None:
    labels = Labels((MORNING, NOON), faulty=(Phrase("so", 2.2, 2.2, problem="no time"), Phrase("well", 2.5, 2.2)))
    *clips, first, second = cut(labels)
    assert [clip.id for clip in clips] == ["a.mp4@1.0-2.0", "a.mp4@2.5-3.0"]
    assert (first.id, first.span, first.text) == ("a.mp4@2.2-2.2#1", (2.2, 2.2), "so")
    assert first.problem == "no time"
    assert (second.id, second.span) == ("a.mp4@2.5-2.2#2", (2.2, 2.5))
    part = dataclasses.replace(WHOLE, span=(0.5, 2.1))
    assert [clip.id for clip in cut(labels, part)] == ["a.mp4@1.0-2.0"]


@pytest.mark.parametrize("labels", [Labels(), Labels((MORNING, NOON)), Labels(text="good day ann", words=WORDS)])
def test_no_words_are_named_with_their_file(labels: Labels) -> None:
    part = dataclasses.replace(WHOLE, span=(5.0, 6.0))
    (clip,) = cut(labels, part)
    assert clip == dataclasses.replace(part, problem="a.srt: no words within 5 to 6 s; correct it, or remove the row")


def test_an_empty_file_is_named() -> None:
    assert [clip.problem for clip in cut(Labels())] == ["a.srt: no words; correct it, or remove the row"]


@given(st.lists(st.floats(0.001, 5), min_size=2, max_size=12), st.floats(0, 10), st.none() | st.floats(0, 90))
def test_clips_of_a_recording_never_overlap(gaps: list[float], pad_s: float, end: float | None) -> None:
    times = list(itertools.accumulate(gaps))[: len(gaps) // 2 * 2]
    phrases = tuple(Phrase("so", *pair) for pair in zip(times[::2], times[1::2], strict=True))
    spans = [clip.span for clip in cut(Labels(phrases, end=end), pad_s=pad_s)]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    for phrase, (start, stop) in zip(phrases, spans, strict=True):
        assert 0 <= start <= phrase.start + 1e-6
        assert phrase.stop - 1e-6 <= stop <= max(phrase.stop, phrase.stop + pad_s) + 1e-6
