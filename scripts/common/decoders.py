"""How the sentences of a run are decoded, as `decoding_flags` says, and the lexicons that they name."""

from collections.abc import Iterable

from absl import flags

from model.decoding import DecodeConfig
from model.lexicon import Lexicon
from pipeline.corpora import grid
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.common import cli, decoding_flags, experiment


def take_defaults(opened: experiment.Run, lexicon: str = "none") -> None:
    """Lets a sentence run be searched with a beam, unless a flag says otherwise.

    Args:
      opened: the run. A word run has nothing to search.
      lexicon: what a run of characters reads, if it can spell any word of it; one of `decoding_flags.LEXICONS`. A run
        of words knows no others.
    """
    values, vocabulary = flags.FLAGS, opened.data.vocabulary
    if opened.model.config.head == "word":
        return
    values.set_default("decoder", "beam")
    if values.decoder == "greedy" or vocabulary.unit == "word":
        return
    if lexicon == "none" or any(_can_spell(vocabulary, word) for word in opened.words):
        values.set_default("lexicon", lexicon)


def build(options: cli.Options, opened: experiment.Run) -> DecodeConfig:
    """Builds the decoding configuration from the flags.

    Raises:
      DataError: the flags contradict each other or the run.
    """
    name = flags.FLAGS.lexicon
    if opened.model.config.head == "word" and (flags.FLAGS.decoder, name) != ("greedy", "none"):
        raise DataError("--decoder, --lexicon: a word run has no text to search for; leave them out")
    decoding_flags.check(options)
    return options.build(lexicon=lexicon(name, opened.data.vocabulary, opened.words))


def lexicon(name: str, vocabulary: Vocabulary, words: Iterable[str]) -> Lexicon | None:
    """Builds a lexicon over a run's symbols, of the words that they can spell.

    Args:
      name: one of `decoding_flags.LEXICONS`.
      vocabulary: the run's symbols.
      words: those of "vocabulary".

    Raises:
      DataError: no word can be spelled, in one of the slots or at all.
    """
    if name == "none":
        return None
    slots = [tuple(words)] if name == "vocabulary" else [tuple(slot.values()) for slot in grid.SLOTS]
    spelled = [[vocabulary.encode(word) for word in slot if _can_spell(vocabulary, word)] for slot in slots]
    for slot, found in zip(slots, spelled, strict=True):
        if not found:
            shown = f"none of {', '.join(slot[:4])}…" if slot else "no word: its run.json lists none"
            raise DataError(f"--lexicon={name}: the run can spell {shown}; leave it out")
    by_character = vocabulary.unit == "character"
    separator = vocabulary.encode(" ")[0] if by_character else None
    if name == "vocabulary":
        return Lexicon.of_words(spelled[0], len(vocabulary), separator)
    return Lexicon.of_slots(spelled, len(vocabulary), separator)


def _can_spell(vocabulary: Vocabulary, word: str) -> bool:
    return set(vocabulary.split(word)) <= set(vocabulary.symbols)
