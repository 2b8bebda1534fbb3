import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels, Phrase
from pipeline.corpora.source import SpokenWord
from tests.pipeline.corpora.labels import rules

ROLLING = "want 0.3 at most, and neither within the other; rolling captions, which repeat what was shown before"


def timed(*rows: tuple[str, float, float]) -> tuple[SpokenWord, ...]:
    return tuple(SpokenWord(*row) for row in rows)


def times(*spans: tuple[float, float]) -> list[tuple[str, float, float]]:
    found = phrases.of_phrases((Phrase(letter, *span) for letter, span in zip("abcd", spans, strict=False)), "x.srt")
    return [(phrase.text, phrase.start, phrase.stop) for phrase in found.phrases]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  Good\n MORNING ", "good morning"),
        ("it\u2019s", "it's"),
        ("cafe\u0301", "caf\u00e9"),
        ("<eps>", ""),
        ("SIL", ""),
        ("[music]", "[music]"),
        ("", ""),
    ],
)
def test_text_is_cleaned(text: str, cleaned: str) -> None:
    assert phrases.clean(text, "x.srt") == cleaned


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x\.json: 'a\\ud800' has half a character at 1; write it whole$"):
        phrases.clean("a\ud800", "x.json")


def test_words_of_a_recording() -> None:
    found = timed(("good", 0.5, 0.8), ("day", 0.8, 1.2))
    assert phrases.of_words(iter(found), "x.ctm", 2.0, "ann") == Labels((), "good day", found, 2.0, "ann")


@pytest.mark.parametrize(
    ("spans", "cut"),
    [
        ([(2, 3), (0, 1)], [("b", 0, 1), ("a", 2, 3)]),
        ([(0, 1), (1, 2)], [("a", 0, 1), ("b", 1, 2)]),
        ([(0, 1), (0.75, 2)], [("a", 0, 0.875), ("b", 0.875, 2)]),
        ([(0, 1), (0.75, 2), (1.875, 3)], [("a", 0, 0.875), ("b", 0.875, 1.9375), ("c", 1.9375, 3)]),
        ([(0, 1), (0, 1), (1, 2)], [("a b", 0, 1), ("c", 1, 2)]),
    ],
    ids=["sorted", "touching", "overlapping", "in a row", "the same times"],
)
def test_times_of_phrases(spans: list[tuple[float, float]], cut: list[tuple[str, float, float]]) -> None:
    assert times(*spans) == cut


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([(-1, 1)], "'a' (-1 to 1 s); want 0 <= start < stop: correct its times, or remove it"),
        ([(0, math.inf)], "'a' (0 to inf s); want 0 <= start < stop"),
        ([(math.nan, 1)], "'a' (nan to 1 s); want 0 <= start < stop"),
        ([(0, 1), (0.5, 2)], f"'a' (0 to 1 s) and 'b' (0.5 to 2 s) overlap by 0.5 s; {ROLLING}"),
        ([(0, 3), (1, 1.1)], f"'a' (0 to 3 s) and 'b' (1 to 1.1 s) overlap by 2 s; {ROLLING}"),
        ([(0, 1), (0.8, 0.85)], f"'a' (0 to 1 s) and 'b' (0.8 to 0.85 s) overlap by 0.2 s; {ROLLING}"),
    ],
)
def test_times_of_phrases_that_are_refused(spans: list[tuple[float, float]], problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        times(*spans)
    assert str(caught.value).startswith(f"x.srt: {problem}")


def test_phrases_without_text_are_left_out() -> None:
    found = phrases.of_phrases([Phrase("", 5, 1), Phrase("a", 0, 1, (), "ann")], "x.srt", 9.0, "bob")
    assert found == Labels((Phrase("a", 0, 1, (), "ann"),), "", (), 9.0, "bob")


def test_words_are_cut_with_their_phrase() -> None:
    first = Phrase("a b", 0, 1, timed(("a", 0, 0.5), ("b", 0.5, 1)))
    second = Phrase("c d", 0.8, 2, timed(("c", 0.6, 1.4), ("d", 1.4, 2.25)))
    assert phrases.of_phrases([first, second], "x.json").phrases == (
        Phrase("a b", 0, 0.9, timed(("a", 0, 0.5), ("b", 0.5, 0.9))),
        Phrase("c d", 0.9, 2, timed(("c", 0.9, 1.4), ("d", 1.4, 2))),
    )


@pytest.mark.parametrize(
    ("last", "first", "border"),
    [
        ((1.9, 2.0), (2.1, 2.5), 2.0),
        ((1.5, 1.7), (1.8, 2.5), 1.8),
        ((1.5, 1.85), (1.95, 2.5), 1.88),
        ((1.9, 2.0), (1.8, 2.5), 1.88),
        ((1.9, 2.0), None, 2.0),
        (None, (1.8, 2.5), 1.8),
    ],
    ids=["a word at the end", "at the beginning", "neither", "both", "only the former has words", "only the latter"],
)
def test_phrases_are_cut_between_their_words(
    last: tuple[float, float] | None, first: tuple[float, float] | None, border: float
) -> None:
    before = Phrase("a", 0, 2.0, timed(("a", *last)) if last else ())
    after = Phrase("b", 1.76, 3, timed(("b", *first)) if first else ())
    cut = phrases.of_phrases([before, after], "x.json").phrases
    assert [(phrase.start, phrase.stop) for phrase in cut] == [(0, pytest.approx(border)), (pytest.approx(border), 3)]


def test_words_of_an_aligner_take_the_punctuation_of_their_phrase() -> None:
    phrase = Phrase('well, "good-day."', 0, 1, timed(("well", 0, 0.5), ("good day", 0.5, 1)))
    (found,) = phrases.of_phrases([phrase], "x.TextGrid").phrases
    assert found == Phrase('well, "good-day."', 0, 1, timed(("well,", 0, 0.5), ('"good-day."', 0.5, 1)))


@pytest.mark.parametrize(
    ("spoken", "said"),
    [
        (timed(("a", 0, 0.5)), "the text has 'b' where its words have ''"),
        (timed(("a", 0, 0.5), ("c", 0.5, 1)), "the text has 'b' where its words have 'c'"),
        (timed(("a b", 0, 1)), "the text has 'a' where its words have 'a b'"),
        (timed(("a", 0, 0.5), ("b", math.nan, 1)), "'b' has no time"),
        ((), ""),
    ],
)
def test_words_that_are_not_those_of_the_text_are_left_out(spoken: tuple[SpokenWord, ...], said: str) -> None:
    (found,) = phrases.of_phrases([Phrase("a b", 0, 1, spoken)], "x.json").phrases
    assert found == Phrase("a b", 0, 1, untimed=said)


@pytest.mark.parametrize("text", ["\u266a", "\u2026", "\u2014 \u2014"])
def test_a_phrase_of_punctuation_alone_is_a_phrase(text: str) -> None:
    assert phrases.of_phrases([Phrase(text, 0, 1)], "x.srt").phrases == (Phrase(text, 0, 1),)


def test_punctuation_that_is_a_word_of_the_text_alone_is_no_word() -> None:
    (found,) = phrases.of_phrases([Phrase("yes \u2014", 0, 1, timed(("yes", 0, 1)))], "x.TextGrid").phrases
    assert found == Phrase("yes \u2014", 0, 1, untimed="the text has '\u2014' where its words have ''")


@pytest.mark.parametrize(
    ("spoken", "problem"),
    [
        (timed(("a", 0, 0.5), ("b", 0.4, 0.8)), r"x\.json: 'a' .* and 'b' .* overlap by 0\.1 s; want 0\.04 at most"),
        (timed(("a", 0, 0.5), ("b", 0.5, 1.4)), r"x\.json: 'b' \(0\.5 to 1\.4 s\) reaches out of 'a b' \(0 to 1 s\)"),
    ],
    ids=["overlap", "outside"],
)
def test_words_whose_times_cannot_be_cost_their_phrase_alone(spoken: tuple[SpokenWord, ...], problem: str) -> None:
    sound = Phrase("so", 2, 3)
    found = phrases.of_phrases([Phrase("a b", 0, 1, spoken), sound], "x.json")
    assert found.phrases == (sound,)
    (faulty,) = found.faulty
    assert (faulty.text, faulty.start, faulty.stop, faulty.words) == ("a b", 0, 1, ())
    assert re.search(problem, faulty.problem)


@pytest.mark.parametrize("stop", [2, 1])
def test_a_phrase_that_lasts_no_time_is_faulty(stop: float) -> None:
    found = phrases.of_phrases([Phrase("a", 2, stop)], "x.json")
    problem = f"x.json: 'a' (2 to {stop} s) ends when or before it begins; correct its times, or remove it"
    assert found == Labels(faulty=(Phrase("a", 2, stop, problem=problem),))


NUMBERS = st.floats() | st.integers(0, 60).map(lambda tenths: tenths / 10)


@given(st.lists(st.tuples(st.sampled_from("ab"), NUMBERS, NUMBERS), max_size=5))
def test_any_phrases_obey_the_rules_or_are_refused(rows: list[tuple[str, float, float]]) -> None:
    given_phrases = [Phrase(text, start, stop, timed((text, start, stop))) for text, start, stop in rows]
    with contextlib.suppress(ValueError):
        found = phrases.of_phrases(given_phrases, "x.srt")
        texts = " ".join(phrase.text for phrase in (*found.phrases, *found.faulty))
        assert all(phrase.problem for phrase in found.faulty)
        assert sorted(texts.split()) == sorted(text for text, _, _ in rows)
        rules.check(found)
