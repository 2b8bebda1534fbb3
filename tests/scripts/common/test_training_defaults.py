from pathlib import Path

from tests import datasets
from tests.scripts import commands

TOLD = """
from scripts.common import training_defaults
values = command.flags.FLAGS
names = ("batch_size", "epochs", "word_margin", "use_in_word", "label_smoothing", "labels", "monitor")

def told(argv):
    command.OPTIONS.take_defaults(command.storage.local(values.output))
    print(*(values[name].value for name in names))
    grouped = {name for names in command.training.GROUPS.values() for name in names}
    assert grouped == {flag.name for flag in values.get_key_flags_for_module("scripts.train")}

command.main = told
"""


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
        "16 24 12 True 0.1 None loss\n",
        "4 3 5 False 0.0 None None\n",
        "4 4 2 True 0.0 words wer\n",
        "5 4 2 True 0.0 words wer\n",
        "",
    ]
    assert "run.json: other settings: unit was word, is sentence; give the old ones, or a new directory" in ends[4][0]
