"""JSON of Whisper and WhisperX: segments become phrases, with the times of their words where it has them.

    {"segments": [{"start": 0.5, "end": 1.9, "text": "Good day.", "speaker": "SPEAKER_00",
                   "words": [{"word": "Good", "start": 0.5, "end": 0.8}, {"word": "day.", "start": 0.8, "end": 1.9}]}]}

`words` and `speaker` may be missing. A file with `word_segments` alone has words of the whole video. WhisperX gives
words such as digits no times: such a segment has no words. Whisper begins a word with a blank; what has none, such as
`-five`, belongs to the word before it.
"""

import json
import math
from typing import Any, NoReturn

from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels, Phrase
from pipeline.corpora.source import SpokenWord

WANT = 'want JSON of Whisper or WhisperX, {"segments": [{"start": 0.5, "end": 1.9, "text": "good morning"}, …]}'
MAX_SECONDS = 1_000_000


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the segments, or the words of a file without segments.

    Args:
      text: content of the file.
      name: of the file, for messages.
      recording: not used, since a file has one recording.

    Raises:
      ValueError: as `phrases.of_phrases`; the text is not JSON, a number is not finite, or a value has another type.
    """
    del recording
    data = _parse(text, name)
    if not isinstance(data, dict) or not {"segments", "word_segments"} & data.keys():
        found = f"an object with the keys {', '.join(data) or '(none)'}" if isinstance(data, dict) else _shown(data)
        raise ValueError(f"{name}: {WANT}; got {found[:200]}")
    if "segments" in data:
        segments = _Value(data, name).dicts("segments")
        return phrases.of_phrases((_phrase(segment, name) for segment in segments), name)
    text, spoken = _words(_Value(data, name).dicts("word_segments"), name)
    return Labels(text=text) if phrases.untimed(text, spoken) else phrases.of_words(spoken, name)


def _parse(text: str, name: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number of seconds")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} line {error.lineno}: not JSON ({error.msg}); {WANT}") from error
    except RecursionError as error:
        raise ValueError(f"{name}: nested too deep; {WANT}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {str(error)[:80]}; {WANT}") from error


def _phrase(segment: "_Value", name: str) -> Phrase:
    text = phrases.clean(segment.string("text"), name)
    _, spoken = _words(segment.dicts("words"), name)
    speaker = phrases.clean_name(segment.string("speaker", ""), name)
    return Phrase(text, segment.seconds("start"), segment.seconds("end"), spoken, speaker)


def _words(values: list["_Value"], name: str) -> tuple[str, tuple[SpokenWord, ...]]:
    """The text of words, and the words; one without a time has NaN."""
    raw = [(value.string("word"), value.seconds("start", math.nan), value.seconds("end", math.nan)) for value in values]
    begins_with_blank = any(text[:1].isspace() for text, _, _ in raw)
    joined: list[tuple[str, float, float]] = []
    for text, start, stop in raw:
        if joined and begins_with_blank and not text[:1].isspace():
            before, start, _ = joined.pop()
            text = before + text
        joined.append((text, start, stop))
    spoken = [SpokenWord(phrases.clean(text, name), start, stop) for text, start, stop in joined]
    spoken = [word for word in spoken if word.text]
    return " ".join(word.text for word in spoken), tuple(spoken)


class _Value:
    """An object of the file, whose values are checked when they are asked for."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values, self._place = values, place

    def dicts(self, key: str) -> list["_Value"]:
        """The objects of a list, which may be null or missing."""
        found = self._values.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self._refuse(key, "a list")
        places = [f"{self._place} {key}[{number}]" for number in range(len(found))]
        for value, place in zip(found, places, strict=True):
            if not isinstance(value, dict):
                raise ValueError(f"{place}: want an object, got {_shown(value)}")
        return [_Value(value, place) for value, place in zip(found, places, strict=True)]

    def string(self, key: str, default: str | None = None) -> str:
        """A text; the default where it is null or missing."""
        found = self._get(key, default)
        if not isinstance(found, str):
            self._refuse(key, "a text")
        return found

    def seconds(self, key: str, default: float | None = None) -> float:
        """A number of seconds; the default where it is null or missing."""
        found = self._get(key, default)
        if found is default and default is not None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= MAX_SECONDS:
            self._refuse(key, f"seconds from 0 to {MAX_SECONDS:,}")
        return float(found)

    def _get(self, key: str, default: Any) -> Any:
        found = self._values.get(key)
        return default if found is None else found

    def _refuse(self, key: str, want: str) -> NoReturn:
        found = _shown(self._values[key]) if key in self._values else "nothing"
        raise ValueError(f"{self._place}: want {want} in {key!r}, got {found}")


def _shown(value: Any) -> str:
    """A value in a message; one that may be deep is not written out."""
    names = {dict: "an object", list: "a list"}
    return names.get(type(value)) or json.dumps(value, ensure_ascii=False)[:80]
