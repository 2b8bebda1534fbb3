from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from absl import flags
from absl.testing import flagsaver

from model.lexicon import Lexicon
from pipeline.loading.config import DataConfig
from pipeline.mouth.settings import CropSettings
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.common import decoders, decoding_flags, experiment

decoding_flags.define()
CHARACTERS = Vocabulary.of_characters()
WORDS = Vocabulary.of_words(["again", "at", "b", "bin", "blue", "by", "now", "one", "two"])  # no white, no zero


def _allows(lexicon: Lexicon, ids: Sequence[int]) -> bool:
    state = 0
    for label in ids:
        state = lexicon.next[state, label] if state >= 0 else -1
    return state >= 0 and bool(lexicon.final[state])


@pytest.mark.parametrize(
    ("name", "vocabulary", "text", "allowed"),
    [
        ("grid", CHARACTERS, "bin blue at f two now", True),
        ("grid", CHARACTERS, "set white with z zero please", True),
        ("grid", CHARACTERS, "bin blue at w two now", False),  # GRID has no letter w
        ("grid", CHARACTERS, "bin blue at f two", False),
        ("grid", CHARACTERS, "blue bin at f two now", False),
        ("grid", WORDS, "bin blue at b two now", True),
        ("grid", WORDS, "bin blue b at two now", False),
        ("vocabulary", CHARACTERS, "good morning good", True),
        ("vocabulary", CHARACTERS, "", True),
        ("vocabulary", CHARACTERS, "good mornin", False),
        ("vocabulary", CHARACTERS, "good  morning", False),
        ("vocabulary", WORDS, "now at bin", False),
    ],
)
def test_a_lexicon_allows_its_texts_alone(name: str, vocabulary: Vocabulary, text: str, allowed: bool) -> None:
    words = ["good", "morning"] if vocabulary is CHARACTERS else ["bin", "now"]
    assert _allows(decoders.lexicon(name, vocabulary, words), vocabulary.encode(text)) is allowed


def test_words_that_the_symbols_cannot_spell_are_left_out() -> None:
    lexicon = decoders.lexicon("vocabulary", Vocabulary.of_characters(" abc"), ["cab", "dab"])
    assert lexicon.next.shape == (5, 4)  # the start, "c", "ca", "cab", "cab "


def test_none_is_no_lexicon() -> None:
    assert decoders.lexicon("none", CHARACTERS, []) is None


@pytest.mark.parametrize(
    ("name", "vocabulary", "message"),
    [
        ("vocabulary", CHARACTERS, "the run can spell no word: its run.json lists none; leave it out"),
        ("grid", Vocabulary.of_words(["bin"]), "the run can spell none of blue, green, red, white…; leave it out"),
        ("grid", Vocabulary.of_characters(" abc"), "the run can spell none of bin, lay, place, set…; leave it out"),
    ],
)
def test_a_lexicon_without_words_is_refused(name: str, vocabulary: Vocabulary, message: str) -> None:
    with pytest.raises(DataError, match=f"--lexicon={name}: {message}"):
        decoders.lexicon(name, vocabulary, [])


@pytest.mark.parametrize(
    ("given", "vocabulary", "words", "taken"),
    [
        ([], CHARACTERS, ("bin", "now"), ("beam", "vocabulary")),
        ([], CHARACTERS, (), ("greedy", "none")),
        ([], WORDS, ("bin", "now"), ("greedy", "none")),
        (["--decoder=greedy"], CHARACTERS, ("bin",), ("greedy", "none")),
        (["--decoder=beam"], CHARACTERS, ("bin",), ("beam", "none")),
        (["--lexicon=none"], CHARACTERS, ("bin",), ("greedy", "none")),
        (["--lexicon=grid"], WORDS, ("bin",), ("beam", "grid")),
    ],
)
def test_a_run_of_characters_reads_its_words_unless_a_flag_says_how(
    given: list[str], vocabulary: Vocabulary, words: tuple[str, ...], taken: tuple[str, str]
) -> None:
    shape = SimpleNamespace(config=SimpleNamespace(head="ctc"))
    opened = experiment.Run(shape, DataConfig(vocabulary), CropSettings(), 25.0, words)
    with flagsaver.flagsaver():
        flags.FLAGS(["test", *given])
        decoders.take_defaults(opened)
        assert (flags.FLAGS.decoder, flags.FLAGS.lexicon) == taken
