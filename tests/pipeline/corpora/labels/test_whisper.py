import json
from typing import Any

import pytest

from pipeline.corpora.labels import whisper
from pipeline.corpora.labels.phrases import Labels, Phrase
from pipeline.corpora.source import SpokenWord

WHISPERX = """{
  "segments": [
    {"start": 0.5, "end": 1.25, "text": " It\\u2019s four o'clock", "speaker": "SPEAKER_00", "words": [
      {"word": "It\\u2019s", "start": 0.5, "end": 0.75, "score": 0.9, "speaker": "SPEAKER_00"},
      {"word": "four", "start": 0.75, "end": 1, "score": 0.9},
      {"word": "o'clock", "start": 1, "end": 1.25, "score": 0.9}]},
    {"start": 2, "end": 3, "text": "at 4", "speaker": "SPEAKER_01", "words": [
      {"word": "at", "start": 2, "end": 2.5},
      {"word": "4"}]}
  ],
  "word_segments": [{"word": "ignored", "start": 0, "end": 1}],
  "language": "en"
}"""
WORDS = (SpokenWord("it's", 0.5, 0.75), SpokenWord("four", 0.75, 1.0), SpokenWord("o'clock", 1.0, 1.25))


def read(data: Any) -> Labels:
    return whisper.read(data if isinstance(data, str) else json.dumps(data), "a.json", "a")


def segment(text: str, *spoken: tuple[str, float, float], **more: Any) -> dict[str, Any]:
    rows = [{"word": word, "start": start, "end": stop} for word, start, stop in spoken]
    return {"start": 0, "end": 2, "text": text, "words": rows, **more}


def test_segments_of_whisperx() -> None:
    assert read(WHISPERX) == Labels(
        (
            Phrase("it's four o'clock", 0.5, 1.25, WORDS, "SPEAKER_00"),
            Phrase("at 4", 2.0, 3.0, (), "SPEAKER_01", "'4' has no time"),
        )
    )


def test_words_of_whisper_begin_with_a_blank() -> None:
    spoken = (" Twenty", 0, 0.5), ("-five", 0.5, 1), (" dogs", 1, 1.5), (".", 1.5, 1.5)
    (phrase,) = read({"segments": [segment(" Twenty-five dogs.", *spoken)]}).phrases
    assert phrase == Phrase("twenty-five dogs.", 0, 2, (SpokenWord("twenty-five", 0, 1), SpokenWord("dogs.", 1, 1.5)))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (segment("你好", ("你", 0, 1), ("好", 1, 2)), "the text has '你好' where its words have '你'"),
        ({**segment("你好"), "words": None}, ""),
        ({"start": 0, "end": 2, "text": "你好", "speaker": None}, ""),
        (segment("你好", ("你好", 0, 1), ("吗", 1, 2)), "the text has '' where its words have '吗'"),
        ({**segment("你好"), "words": [{"word": "你好", "start": None, "end": 2}]}, "'你好' has no time"),
    ],
    ids=["characters", "null", "none", "others", "a word without a time"],
)
def test_a_segment_without_times_of_its_words(value: dict[str, Any], said: str) -> None:
    assert read({"segments": [value]}) == Labels((Phrase("你好", 0, 2, untimed=said),))


def test_a_segment_with_times_that_cannot_be_costs_itself_alone() -> None:
    found = read({"segments": [segment("a", ("a", 1, 0.5)), segment("b", start=2, end=3)]})
    assert found.phrases == (Phrase("b", 2, 3),)
    assert [phrase.problem for phrase in found.faulty] == ["a.json: 'a' (1 to 0.5 s); want 0 <= start <= stop"]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([("It's", 0.5, 0.75), ("four", 0.75, 1)], Labels(text="it's four", words=WORDS[:2])),
        ([("It's", 0.5, 0.75), ("four", None, None)], Labels(text="it's four")),
        ([("It's four", 0.5, 1)], Labels(text="it's four")),
        ([], Labels()),
    ],
    ids=["words", "a word without a time", "two words in one", "none"],
)
def test_words_of_the_whole_recording(rows: list[tuple[str, float | None, float | None]], labels: Labels) -> None:
    spoken = [{"word": word, "start": start, "end": stop} for word, start, stop in rows]
    assert read({"word_segments": spoken}) == labels


def test_a_speaker_keeps_his_case() -> None:
    assert read({"segments": [segment("yes", speaker=" Ann\nLee ")]}) == Labels((Phrase("yes", 0, 2, (), "Ann Lee"),))


def test_segments_of_silence_are_left_out() -> None:
    assert read({"segments": [segment(" "), {**segment("yes"), "start": 1}]}) == Labels((Phrase("yes", 1, 2),))


WANT = 'want JSON of Whisper or WhisperX, {"segments": [{"start": 0.5, "end": 1.9, "text": "good morning"}, …]}'


SECONDS = " segments[0]: want seconds from 0 to 1,000,000 in"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", f" line 1: not JSON (Expecting value); {WANT}"),
        ('{"segments": [\n{"start" 1}]}', f" line 2: not JSON (Expecting ':' delimiter); {WANT}"),
        ("[" * 100_000, f": nested too deep; {WANT}"),
        ("1" * 5000, ": Exceeds the limit (4300 digits) for integer string conversion"),
        ('{"segments": [{"start": NaN}]}', f": NaN is no number of seconds; {WANT}"),
        ([1], f": {WANT}; got a list"),
        (3.5, f": {WANT}; got 3.5"),
        ({"text": "yes"}, f": {WANT}; got an object with the keys text"),
        ({}, f": {WANT}; got an object with the keys (none)"),
        ({"segments": {}}, ": want a list in 'segments', got an object"),
        ({"segments": ["yes"]}, ' segments[0]: want an object, got "yes"'),
        ({"segments": [{"start": 0, "end": 1}]}, " segments[0]: want a text in 'text', got nothing"),
        ({"segments": [segment("a"), segment(3)]}, " segments[1]: want a text in 'text', got 3"),
        ({"segments": [segment("a", speaker=7)]}, " segments[0]: want a text in 'speaker', got 7"),
        ({"segments": [segment("a", words=[[]])]}, " segments[0] words[0]: want an object, got a list"),
        ({"segments": [segment("a", ("a", "0", 1))]}, ' segments[0] words[0]: want seconds from 0 to 1,000,000 in'),
        ({"segments": [segment("a", start=True)]}, f"{SECONDS} 'start', got true"),
        ({"segments": [segment("a", end=-1)]}, f"{SECONDS} 'end', got -1"),
        ({"segments": [segment("a", end=10**400)]}, f"{SECONDS} 'end', got 1000"),
        ({"segments": [segment("a", end=None)]}, f"{SECONDS} 'end', got null"),
        ('{"segments": [{"start": 1e999, "end": 2, "text": "a"}]}', f"{SECONDS} 'start', got Infinity"),
        ({"segments": [segment("a\ud800")]}, r": 'a\ud800' has half a character at 1; write it whole"),
        ({"segments": [segment("a", speaker="\udc00")]}, r": '\udc00' has half a character at 0; write it whole"),
        ({"segments": [segment("a"), segment("b", start=1)]}, ": 'a' (0 to 2 s) and 'b' (1 to 2 s) overlap by 1 s"),
        ({"word_segments": [{"word": "a", "start": 1, "end": 0}]}, ": 'a' (1 to 0 s); want 0 <= start <= stop"),
    ],
)  # fmt: skip
def test_refused(data: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        read(data)
    assert str(caught.value).startswith(f"a.json{problem}")
