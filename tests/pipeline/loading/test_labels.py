import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.loading import labels
from pipeline.records.strings import StringArray
from pipeline.vocab import Vocabulary, min_ctc_windows

TEXTS = st.lists(st.text("ab é夏\N{GRINNING FACE}\t\x85\N{IDEOGRAPHIC SPACE}"))
LETTERS = Vocabulary.of_characters(" ab夏")
WORDS = Vocabulary.of_words(["a", "b", "aa", "ab夏", "é", "abababababababab"])


@given(TEXTS)
@pytest.mark.parametrize("vocabulary", [LETTERS, WORDS], ids=["letters", "words"])
def test_labels_are_those_of_each_text_alone(vocabulary: Vocabulary, texts: list[str]) -> None:
    ids, ends = labels.LabelEncoder(vocabulary)(StringArray.of(texts))
    known = {symbol: place for place, symbol in enumerate(vocabulary.symbols)}
    expected = [[known.get(symbol, -1) for symbol in vocabulary.split(text)] for text in texts]
    assert [ids[start:end].tolist() for start, end in itertools.pairwise([0, *ends.tolist()])] == expected
    assert labels.min_windows(ids, ends).tolist() == [max(1, min_ctc_windows(label)) for label in expected]


@given(TEXTS)
def test_words_are_those_of_str_split(texts: list[str]) -> None:
    words, ends = labels.split_words(StringArray.of(texts))
    assert words.tolist() == [word for text in texts for word in text.split()]
    assert ends.tolist() == list(itertools.accumulate(len(text.split()) for text in texts))


def test_every_space_of_unicode_is_one() -> None:
    spaces = [chr(point) for point in range(0x110000) if chr(point).isspace()]
    words, _ = labels.split_words(StringArray.of([f"a{space}b" for space in spaces]))
    assert words.tolist() == ["a", "b"] * len(spaces)
