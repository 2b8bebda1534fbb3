from pathlib import Path

import pytest

from scripts.recipes import grid
from tests.scripts import commands


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would be run."""
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(grid, "step", lambda *step: given.append(step))
    monkeypatch.setattr(grid, "_letters", lambda data: "a,b")
    return given


def test_sentences_start_from_words_of_the_same_seed(steps: list[tuple[str, ...]], tmp_path: Path) -> None:
    scores = grid.sentences(tmp_path / "data", tmp_path, seed=3)
    assert [name for name, *_ in steps] == ["train", "train", "evaluate", "evaluate", "evaluate"]
    words, sentences = (set(arguments) for name, *arguments in steps if name == "train")
    assert {f"--output={tmp_path / 'words-seed3'}", "--seed=3", "--unit=word", "--monitor=wer"} <= words
    assert {"--unit=sentence", "--labels=words"} <= sentences
    assert {f"--init_from={tmp_path / 'words-seed3'}", f"--output={tmp_path / 'sentences-seed3'}"} <= sentences
    how = [[flag for flag in arguments if flag.startswith(("--decoder", "--lexicon"))] for _, *arguments in steps[2:]]
    assert how == [["--decoder=greedy"], [], ["--lexicon=grid"]]
    assert len({directory for _, directory in scores}) == 3
    assert not any("--split" in flag for step in steps for flag in step), "the test split, once each"


def test_another_result_is_refused() -> None:
    commands.mistakes_in_turn(
        "reproduce",
        (["--source=GRID"], ["want one of grid-words, grid-sentences, got nothing"]),
        (["--source=GRID", "lrw"], ["want one of grid-words, grid-sentences, got lrw"]),
    )
