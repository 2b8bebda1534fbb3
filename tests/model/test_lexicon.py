import itertools

import numpy as np
import pytest

from model.lexicon import Lexicon, anything

A, B, SPACE = 0, 1, 2  # three labels


def accepted(lexicon: Lexicon, longest: int) -> set[tuple[int, ...]]:
    """Every allowed text of at most `longest` labels."""
    classes = lexicon.next.shape[1]
    texts = itertools.chain(*(itertools.product(range(classes), repeat=n) for n in range(longest + 1)))
    return {text for text in texts if _ends(lexicon, text)}


def _ends(lexicon: Lexicon, text: tuple[int, ...]) -> bool:
    state = 0
    for label in text:
        state = lexicon.next[state, label]
        if state < 0:
            return False
    return bool(lexicon.final[state])


def test_a_closed_vocabulary_is_its_words_with_separators_between() -> None:
    lexicon = Lexicon.of_words([(A,), (A, B)], 3, SPACE)
    ones = {(), (A,), (A, B)}
    twos = {(*first, SPACE, *second) for first in ones - {()} for second in ones - {()}}
    threes = {(A, SPACE, A, SPACE, A)}
    assert accepted(lexicon, 5) == ones | twos | threes


def test_a_grammar_takes_one_word_of_each_slot_in_turn() -> None:
    lexicon = Lexicon.of_slots([[(A,), (A, B)], [(B,)], [(A, A), (B,)]], 3, SPACE)
    spelled = [(first, (B,), last) for first in [(A,), (A, B)] for last in [(A, A), (B,)]]
    assert accepted(lexicon, 8) == {(*x, SPACE, *y, SPACE, *z) for x, y, z in spelled}


def test_labels_that_are_words_need_no_separator() -> None:
    assert accepted(Lexicon.of_slots([[(0,), (1,)], [(1,)], [(2,), (0,)]], 3, None), 4) == {
        (0, 1, 2),
        (0, 1, 0),
        (1, 1, 2),
        (1, 1, 0),
    }
    loop = Lexicon.of_words([(0,), (2,)], 3, None)
    assert accepted(loop, 3) == {text for n in range(4) for text in itertools.product((0, 2), repeat=n)}


def test_anything_is_allowed_where_nothing_is_asked() -> None:
    assert len(accepted(anything(3), 3)) == 1 + 3 + 9 + 27
    assert (anything(3).label == [-1, 0, 1, 2]).all()


def test_the_windows_still_needed_count_blanks_between_equal_labels() -> None:
    lexicon = Lexicon.of_words([(A, A, B, B), (B,)], 3, SPACE)
    by_hand = {(): 0, (A,): 5, (A, A): 3, (A, A, B): 2, (A, A, B, B): 0, (B,): 0, (B, SPACE): 1, (B, SPACE, A): 5}
    after_blank = {(A,): 4, (A, A): 3, (A, A, B): 1, (B, SPACE): 1}
    for text, windows in by_hand.items():
        state = 0
        for label in text:
            state = lexicon.next[state, label]
        assert lexicon.needs[state] == windows, text
        assert lexicon.needs_after_blank[state] == after_blank.get(text, windows if windows < 5 else 4), text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lexicon.of_words([], 3, SPACE), "words: want at least one, got none"),
        (lambda: Lexicon.of_slots([[(A,)], []], 3, SPACE), "words: want at least one, got none"),
        (lambda: Lexicon.of_slots([], 3, SPACE), "slots: want at least one, got none"),
        (lambda: Lexicon.of_words([()], 3, SPACE), "words: want at least one label in each, got an empty word"),
        (lambda: Lexicon.of_words([(A,), (A, A)], 3, None), "separator: want a label that tells where words end"),
        (lambda: Lexicon.of_words([(A,), (A, SPACE)], 3, SPACE), "separator: want a label that tells"),
        (lambda: Lexicon(np.array([[1, 1]] * 2), np.ones(2, bool)), "next: want one label into each state"),
        (lambda: Lexicon(np.array([[0, -1]]), np.ones(1, bool)), "next: want .* none into state 0"),
    ],
)
def test_what_makes_no_lexicon_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
