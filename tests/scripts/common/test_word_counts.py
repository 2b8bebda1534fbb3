import dataclasses
from pathlib import Path

import pytest

from pipeline.loading.config import DataConfig
from pipeline.records import directory
from pipeline.vocab import Vocabulary
from scripts.common import word_counts
from tests import datasets

SENTENCES = DataConfig(Vocabulary.of_characters())


def _clips(name: str, texts: list[str]) -> list[datasets.Clip]:
    return [dataclasses.replace(datasets.clip(f"{name}/c{n}", 20, words=()), text=text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("train", "val", "counted", "closed", "said"),
    [
        (["at now"] * 2 + ["at at now"], ["now"], (2, 7, 1.0), True, "2 words occur 3.5 times each in training"),
        (
            ["at now"] * 3,
            ["now on"],
            (2, 6, 0.5),
            False,
            "are 50% of what validation says; words as labels want at",
        ),
        (["at now"] * 3, ["at now " * 5 + "on"], (2, 6, 10 / 11), True, "are 91% of what validation says"),
        (["at now"] * 2, [], (2, 4, None), False, "occur 2.0 times each in training, on average; words as labels want"),
        (["at now"] * 3, [], (2, 6, None), True, "occur 3.0 times each in training, on average"),
    ],
    ids=["often and known", "half unknown", "one unknown", "too seldom, no validation", "often, no validation"],
)
def test_words_are_labels_where_each_is_known_and_comes_often(
    tmp_path: Path, train: list[str], val: list[str], counted: tuple[int, int, float | None], closed: bool, said: str
) -> None:
    datasets.write_dataset(tmp_path, {"train": [_clips("s1", train)], "val": [_clips("s2", val)] if val else []})
    found = word_counts.count(directory.open_dataset(tmp_path), SENTENCES)
    assert dataclasses.astuple(found) == counted
    assert found.is_closed is closed
    assert word_counts.learned(directory.open_dataset(tmp_path), SENTENCES) == ["at", "now"]
    assert said in str(found)
