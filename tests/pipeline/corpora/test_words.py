import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import words
from pipeline.corpora.source import SpokenWord


def spoken(*times: tuple[float, float]) -> list[SpokenWord]:
    return [SpokenWord(letter, *time) for letter, time in zip("abcdefgh", times, strict=False)]


@pytest.mark.parametrize(
    "times",
    [
        [],
        [(0, 0.04)],
        [(0, 0)],
        [(0.05, 0.08)],
        [(0.05, 0.08), (0.08, 0.1)],  # no other unit fits better
        [(0, 0), (0, 0)],
        [(0, 0.3), (0.3, 0.5), (0.9, 1.2)],
        [(0, 0.3), (0.26, 0.5)],  # a frame of overlap
        [(0, 0.3), (0.3, 0.3), (0.3, 0.6)],  # a word of no length
        [(0, 0.3), (0.27, 0.28), (0.28, 0.6)],
        [(0, 5)],
    ],
)
def test_times_that_are_accepted(times: list[tuple[float, float]]) -> None:
    words.check(spoken(*times), "x.txt")


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ([(-0.1, 0.3)], r"x\.txt: 'a' \(-0\.1 to 0\.3 s\); want 0 <= start <= stop"),
        ([(0.4, 0.3)], "want 0 <= start <= stop"),
        ([(math.nan, 0.3)], "want 0 <= start <= stop"),
        ([(0, math.nan)], "want 0 <= start <= stop"),
        ([(0, math.inf)], "want 0 <= start <= stop"),
        ([(0, 0.3), (0.25, 0.5)], r"'a' \(0 to 0\.3 s\) and 'b' \(0\.25 to 0\.5 s\) overlap by 0\.05 s; want 0\.04"),
        ([(0, 1), (0.96, 0.97), (0.97, 1.3), (1.2, 1.4)], "'c' .* and 'd' .* overlap by 0.1 s"),
        ([(0, 1), (0.97, 0.98), (0.95, 1.2)], r"'c' .* before 'b' .*; want words in the order of the text"),
        ([(0, 0.3), (0, 0.3)], "'a' .* and 'b' .* overlap by 0.3 s"),
        ([(950, 1180), (1180, 1360)], "want seconds; these look like milliseconds"),
        ([(23, 29), (29, 34)], "want seconds; these look like frames"),
        ([(15_200, 18_880), (18_880, 21_760)], "want seconds; these look like samples"),
    ],
)
def test_times_that_are_refused(times: list[tuple[float, float]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        words.check(spoken(*times), "x.txt")


@pytest.mark.parametrize(("mean", "unit"), [(0.0002, "frames"), (0.02, "milliseconds"), (0.03, None)])
def test_a_unit_is_refused_where_another_fits_clearly_better(mean: float, unit: str | None) -> None:
    # words of 0.02 s in units of 1/25000 s are of 0.5 s in milliseconds; those of 0.03 s would be of 0.75 s
    times = spoken((1, 1 + mean), (2, 2 + mean))
    with contextlib.nullcontext() if unit is None else pytest.raises(ValueError, match=f"these look like {unit}"):
        words.check(times, "x.align", words.Unit("units of 1/25000 s", 25_000))


@pytest.mark.parametrize("mark", ["", "sil", "SIL", "sp", "spn", "<eps>", "<EPS>", "!SIL", "</s>"])
def test_marks_of_silence(mark: str) -> None:
    assert words.is_silence(mark)


@pytest.mark.parametrize("word", ["silence", "s", "spa", "eps"])
def test_words_that_are_no_silence(word: str) -> None:
    assert not words.is_silence(word)


def test_words_of_one_start_keep_their_order() -> None:
    a, b, c = spoken((1.0, 1.2), (1.0, 1.0), (0.5, 0.9))
    assert words.by_start([a, b, c]) == [c, a, b]


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=4))
def test_any_times_are_accepted_or_refused(times: list[tuple[float, float]]) -> None:
    found = spoken(*times)
    with contextlib.suppress(ValueError):
        words.check(found, "x.txt")
        assert all(0 <= word.start <= word.stop for word in found)
        assert found == words.by_start(found)
