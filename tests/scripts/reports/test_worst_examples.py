import math

import pytest

from model.evaluate import Prediction
from scripts.reports import worst_examples


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (math.log(0.93), "93%"),
        (math.log(0.025), "2.5%"),
        (math.log(0.0011), "0.1%"),
        (-7.0, "<0.1%"),
        (-math.inf, "<0.1%"),
        (math.log(0.994), "99%"),
        (-0.001, ">99%"),
        (0.0, ">99%"),
    ],
)
def test_a_log_probability_is_shown_in_percent(score: float, shown: str) -> None:
    assert worst_examples.percent(score) == shown


def test_every_mistake_is_marked_below_its_column() -> None:
    row = Prediction("s1/a", "bin blue at f two now", "bin red f two oh now", math.log(0.5))
    assert worst_examples.text(row).splitlines() == [
        "s1/a  probability 50%",
        "  said  bin blue at f two -  now",
        "  read  bin red  -  f two oh now",
        "            S    D        I",
    ]
