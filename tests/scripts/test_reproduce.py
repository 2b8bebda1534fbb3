import json
from pathlib import Path

import pytest
from absl.testing import flagsaver

from scripts import reproduce
from tests.scripts import commands

REPORT = {"metrics": {"word_accuracy": 0.9, "wer": 0.125}, "right_among": 30, "said_among": 40}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would be run; scores leave a report."""
    given: list[tuple[str, ...]] = []

    def step(name: str, *arguments: str) -> None:
        given.append((name, *arguments))
        if name == "evaluate":
            (output,) = (Path(flag.partition("=")[2]) for flag in arguments if flag.startswith("--output="))
            output.mkdir(parents=True)
            (output / "report.json").write_text(json.dumps(REPORT))

    monkeypatch.setattr(reproduce, "step", step)
    monkeypatch.setattr(reproduce, "_letters", lambda data: "a,b")
    return given


def test_sentences_start_from_words_of_the_same_seed(
    steps: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with flagsaver.as_parsed(source="videos", output=str(tmp_path), seed="3"):
        reproduce.main(["grid-sentences"])
    names = [name for name, *_ in steps]
    assert names == ["convert", "train", "train", "evaluate", "evaluate", "evaluate"]
    words, sentences = (set(arguments) for name, *arguments in steps if name == "train")
    assert {f"--output={tmp_path / 'words-seed3'}", "--seed=3"} <= words
    assert {f"--init_from={tmp_path / 'words-seed3'}", f"--output={tmp_path / 'sentences-seed3'}"} <= sentences
    recipes = [flag.partition("=")[2] for _, *flags in steps for flag in flags if flag.startswith("--flagfile=")]
    assert len(recipes) == 3
    assert all(Path(recipe).is_file() for recipe in recipes)
    lexicons = [[flag for flag in arguments if "lexicon" in flag] for name, *arguments in steps if name == "evaluate"]
    assert lexicons == [[], ["--lexicon=vocabulary"], ["--lexicon=grid"]]
    assert not any("--split" in flag for step in steps for flag in step), "the test split, once each"
    printed = capsys.readouterr().out
    assert "sentences, of GRID's grammar    90.0% of words right, 12.5% WER" in printed
    assert "letters                       30 of 40 right; by chance one of 25" in printed


@pytest.mark.parametrize("recipe", sorted(reproduce.RECIPES.glob("*.flags")), ids=lambda path: path.stem)
def test_a_recipe_is_flags_of_its_command(recipe: Path, tmp_path: Path) -> None:
    command = "convert" if recipe.stem.endswith("convert") else "train"
    absent = tmp_path / "absent"
    place = f"--source={absent}" if command == "convert" else f"--data={absent}"
    arguments = [f"--flagfile={recipe}", place, f"--output={tmp_path / 'out'}"]
    commands.mistakes_in_turn(command, (arguments, [absent]))


def test_another_result_is_refused() -> None:
    commands.mistakes_in_turn(
        "reproduce",
        (["--source=GRID"], ["want one of grid-words, grid-sentences, got nothing"]),
        (["--source=GRID", "lrw"], ["want one of grid-words, grid-sentences, got lrw"]),
    )
