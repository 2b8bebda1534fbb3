from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import DataError
from pipeline.vocab import ALPHABET, Vocabulary, min_ctc_windows, normalise, spoken

WORDS = Vocabulary.of_words(["now", "at", "bin", "at"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Bin  Blue\tAT\n", "bin blue at"), ("", ""), (" \u2003", ""), ("ÉTÉ", "été"), ("Don\u2019t", "don't")],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well, hello!", "well hello"),
        ("a well-known 3.5", "a well known 3 5"),
        ("wait \u2014 \u201cstop\u201d\u2026", "wait stop"),  # a dash, curly quotation marks, an ellipsis
        ("5 % of $9", "5 of 9"),
        ("Don\u2019t", "don't"),
        ("the dogs' bowl, 'cause it's", "the dogs' bowl 'cause it's"),
        ("'hello'", "hello"),
        ("\u2018Hello\u2019, \u2018cause", "hello 'cause"),
        ("rock 'n' roll", "rock n roll"),
        ("a ' b '' c", "a b c"),
        ("''tis dogs''", "'tis dogs'"),
        ("9' by '99", "9' by '99"),
        ("Stra\u00dfe, \u00c9T\u00c9.", "stra\u00dfe \u00e9t\u00e9"),
        ("\u4f60\u597d\u3002", "\u4f60\u597d"),  # a full stop of Chinese
        ("\u0915\u094d\u0937'", "\u0915\u094d\u0937'"),
        ("\u2026 !?", ""),
        ("co\u00adop\u200berate \ufeffso", "cooperate so"),
        ("e\u00ad\u0301", "\u00e9"),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u200c\u0631\u0648\u0645"),
    ],
)
def test_spoken(text: str, expected: str) -> None:
    assert spoken(text) == expected


TEXTS = st.text() | st.text("ab1'\u2019\u2018-. \u0301\u00ad\u03a3")


@given(TEXTS)
def test_what_is_spoken_stays_as_it_is(text: str) -> None:
    assert spoken(spoken(text)) == spoken(text) == normalise(spoken(text))


@given(TEXTS)
def test_a_text_is_spoken_word_by_word(text: str) -> None:
    assert spoken(text) == " ".join(said for word in text.split() if (said := spoken(word)))


@pytest.mark.parametrize(
    ("symbols", "windows"), [("", 0), ("bin", 3), ("bee", 4), ("aaa", 5), ("abab", 4), ([7, 7, 2], 4)]
)
def test_min_ctc_windows_leaves_a_blank_between_equal_neighbours(symbols: Sequence, windows: int) -> None:
    assert min_ctc_windows(symbols) == windows


def test_characters_are_numbered_in_the_order_of_the_alphabet() -> None:
    vocabulary = Vocabulary.of_characters()
    assert vocabulary.encode("a bc'9") == [2, 0, 3, 4, 1, 37]
    assert len(vocabulary) == len(ALPHABET) == 38


def test_words_are_numbered_in_the_order_of_the_alphabet() -> None:
    assert WORDS.symbols == ("at", "bin", "now")
    assert WORDS.encode("now at") == [2, 0]


@pytest.mark.parametrize(
    ("vocabulary", "text"),
    [(Vocabulary.of_characters(), "it's 4 o'clock"), (WORDS, "bin at now"), (Vocabulary.of_characters("äöü "), "ü ä")],
)
def test_decode_inverts_encode(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_decode_normalises_spaces() -> None:
    vocabulary = Vocabulary.of_characters(" ab")
    assert vocabulary.decode([0, 1, 0, 0, 2, 0]) == "a b"


def test_an_accent_is_part_of_its_letter() -> None:
    assert normalise("Cafe\u0301  au lait ") == "caf\u00e9 au lait"


def test_empty_text_has_no_ids() -> None:
    assert WORDS.encode("") == []


def test_an_unknown_symbol_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"'at blue': .*word 'blue'.* \('at', 'bin', 'now'\)"):
        WORDS.encode("at blue")
    with pytest.raises(DataError, match="character '!'"):
        Vocabulary.of_characters().encode("bin!")


@pytest.mark.parametrize(
    ("unit", "symbols", "match"),
    [
        ("sound", ("a",), "want character or word, got 'sound'"),
        ("word", (), "at least one, got"),
        ("word", ("a", "a"), "want unique symbols"),
        ("character", ("ab",), "want one character each"),
    ],
)
def test_bad_vocabularies_are_refused(unit: str, symbols: tuple[str, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Vocabulary(unit, symbols)
