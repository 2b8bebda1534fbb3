import math

import pytest

from model import alignment
from model.alignment import Reading
from scripts.common import subtitles
from scripts.common.subtitles import Transcript, Word


def _words(*rows: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(*row, score=0.5) for row in rows)


@pytest.mark.parametrize(("padding", "start", "stop"), [("valid", 3.48, 3.6), ("same", 3.4, 3.52)])
def test_a_window_is_where_its_middle_frame_is(padding: str, start: float, stop: float) -> None:
    reading = Reading("bin", -1.5, (alignment.Word("bin", 10, 13, 0.75),))
    read = subtitles.timed("a.mp4", reading, padding, fps=25.0, begins=3.0)
    (word,) = read.words
    assert (word.text, word.start, word.stop, word.score) == ("bin", pytest.approx(start), pytest.approx(stop), 0.75)
    assert (read.id, read.text, read.score) == ("a.mp4", "bin", -1.5)


def test_json_is_rounded_and_has_no_infinity() -> None:
    read = Transcript("a", "bin", -1 / 3, _words(("bin", 1 / 3, 2 / 3)))
    assert read.as_json() == {
        "id": "a",
        "text": "bin",
        "score": -0.3333,
        "words": [{"word": "bin", "start": 0.333, "stop": 0.667, "score": 0.5}],
    }
    assert Transcript("a", "", -math.inf, ()).as_json() == {"id": "a", "text": "", "score": None, "words": []}


def test_subtitles() -> None:
    words = _words(("bin", 0.04, 0.2), ("blue", 0.3, 0.5004), ("at", 3661.9996, 3700.0))
    assert subtitles.srt(words) == (
        "1\n00:00:00,040 --> 00:00:01,040\nbin blue\n\n2\n01:01:02,000 --> 01:01:40,000\nat\n"
    )
    assert subtitles.srt(()) == ""


def test_subtitles_hold_any_word() -> None:
    words = _words(("<i>", 0.0, 0.2), ("{a}", 0.3, 0.5))
    assert subtitles.srt(words) == "1\n00:00:00,000 --> 00:00:01,000\n<i> {a}\n"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([("a", 0, 2), ("b", 2.4, 3)], [("a b", 0, 3)]),
        ([("a", 0, 2), ("b", 2.5, 2.6)], [("a", 0, 2), ("b", 2.5, 3.5)]),
        ([("x" * 20, 0, 1), ("y" * 21, 1, 2)], [("x" * 20 + " " + "y" * 21, 0, 2)]),
        ([("x" * 21, 0, 0.2), ("y" * 21, 0.3, 2)], [("x" * 21, 0, 0.3), ("y" * 21, 0.3, 2)]),
        ([("x" * 60, 0, 1)], [("x" * 60, 0, 1)]),
        ([("a", 0, 0.1)], [("a", 0, 1)]),
    ],
    ids=["together", "a pause", "just room", "no room", "too long alone", "stays a second"],
)
def test_lines(words: list[tuple[str, float, float]], shown: list[tuple[str, float, float]]) -> None:
    assert [(line.text, line.start, line.stop) for line in subtitles.lines(_words(*words))] == shown
