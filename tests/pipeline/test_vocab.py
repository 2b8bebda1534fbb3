import pytest
import tensorflow as tf

from pipeline.schema import DataError
from pipeline.vocab import ALPHABET, Vocabulary, normalise

WORDS = Vocabulary.of_words(["now", "at", "bin", "at"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Bin  Blue\tAT\n", "bin blue at"), ("", ""), (" \u2003", ""), ("ÉTÉ", "été")],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_characters_are_numbered_in_the_order_of_the_alphabet() -> None:
    vocabulary = Vocabulary.of_characters()
    assert vocabulary.encode("a bc'9") == [2, 0, 3, 4, 1, 37]
    assert len(vocabulary) == len(ALPHABET) == 38


def test_words_are_numbered_in_the_order_of_the_alphabet() -> None:
    assert WORDS.symbols == ("at", "bin", "now")
    assert WORDS.encode("now at") == [2, 0]


@pytest.mark.parametrize(
    ("vocabulary", "text"),
    [
        (Vocabulary.of_characters(), "it's 4 o'clock"),
        (WORDS, "bin at now"),
        (Vocabulary.of_characters("äöü "), "ü ä"),
    ],
)
def test_decode_inverts_encode_and_the_lookup_is_encode(vocabulary: Vocabulary, text: str) -> None:
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    lookup = vocabulary.lookup()
    eager = lookup(tf.constant(text))
    assert eager.dtype == tf.int32
    assert eager.numpy().tolist() == ids
    assert next(iter(tf.data.Dataset.from_tensors(text).map(lookup))).numpy().tolist() == ids


def test_nothing_is_encoded_to_nothing() -> None:
    assert WORDS.encode("") == WORDS.lookup()(tf.constant("")).numpy().tolist() == []


def test_an_unknown_symbol_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"'at blue': unknown word 'blue'; the vocabulary has \('at', 'bin', 'now'\)"):
        WORDS.encode("at blue")
    with pytest.raises(DataError, match="unknown character '!'"):
        Vocabulary.of_characters().encode("bin!")
    with pytest.raises(tf.errors.InvalidArgumentError, match="unknown word in this text"):
        WORDS.lookup()(tf.constant("at blue"))


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
