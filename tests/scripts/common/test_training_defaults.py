import dataclasses
from pathlib import Path

import pytest

from pipeline.loading.config import DataConfig
from pipeline.records import directory
from pipeline.vocab import Vocabulary
from scripts.common import training_defaults
from tests import datasets
from tests.scripts import commands

SENTENCES = DataConfig(Vocabulary.of_characters())
TOLD = """
from scripts.common import training_defaults
values = command.flags.FLAGS
names = ("batch_size", "epochs", "word_margin", "use_in_word", "label_smoothing", "labels")

def told(argv):
    command.OPTIONS.take_defaults(command.storage.local(values.output))
    print(*(values[name].value for name in names))
    grouped = {name for names in command.training.GROUPS.values() for name in names}
    assert grouped == {flag.name for flag in values.get_key_flags_for_module("scripts.train")}

command.main = told
"""


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
    found = training_defaults.count_words(directory.open_dataset(tmp_path), SENTENCES)
    assert dataclasses.astuple(found) == counted
    assert found.is_closed is closed
    assert said in str(found)


def test_flags_that_are_not_given_have_the_defaults_of_the_unit_or_of_the_run_that_goes_on(tmp_path: Path) -> None:
    common = [f"--data={tmp_path}", "--output"]
    new, old = [*common, str(tmp_path / "new")], [*common, str(datasets.GOLDEN / "run")]
    ends = commands.in_turn(
        "train",
        [*new, "--unit=word"],
        [*new, "--epochs=3"],
        old,
        [*old, "--unit=word", "--batch_size=5"],
        [*old, "--unit=sentence"],
        before=TOLD,
    )
    assert [printed for _, printed in ends] == [
        "16 24 12 True 0.1 None\n",
        "4 3 5 False 0.0 None\n",
        "4 4 2 True 0.0 words\n",
        "5 4 2 True 0.0 words\n",
        "",
    ]
    assert "run.json: other settings: unit was word, is sentence; give the old ones, or a new directory" in ends[4][0]
