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
    ("given", "vocabulary", "words", "any_text", "known_words"),
    [
        ([], CHARACTERS, ("bin", "now"), ("beam", "none"), ("beam", "vocabulary")),
        ([], CHARACTERS, (), ("beam", "none"), ("beam", "none")),
        ([], WORDS, ("bin", "now"), ("beam", "none"), ("beam", "none")),
        (["--decoder=greedy"], CHARACTERS, ("bin",), ("greedy", "none"), ("greedy", "none")),
        (["--decoder=beam"], CHARACTERS, ("bin",), ("beam", "none"), ("beam", "vocabulary")),
        (["--lexicon=none"], CHARACTERS, ("bin",), ("beam", "none"), ("beam", "none")),
        (["--lexicon=grid"], WORDS, ("bin",), ("beam", "grid"), ("beam", "grid")),
    ],
)
def test_sentences_are_searched_unless_a_flag_says_how(
    given: list[str],
    vocabulary: Vocabulary,
    words: tuple[str, ...],
    any_text: tuple[str, str],
    known_words: tuple[str, str],
) -> None:
    assert _taken(given, vocabulary, words, "none") == any_text
    assert _taken(given, vocabulary, words, "vocabulary") == known_words


def test_a_word_run_is_not_searched() -> None:
    assert _taken([], WORDS, ("bin",), "vocabulary", head="word") == ("greedy", "none")


def _taken(
    given: list[str], vocabulary: Vocabulary, words: tuple[str, ...], lexicon: str, head: str = "ctc"
) -> tuple[str, str]:
    shape = SimpleNamespace(config=SimpleNamespace(head=head))
    opened = experiment.Run(shape, DataConfig(vocabulary), CropSettings(), 25.0, words)
    with flagsaver.flagsaver():
        flags.FLAGS(["test", *given])
        decoders.take_defaults(opened, lexicon)
        return flags.FLAGS.decoder, flags.FLAGS.lexicon
