"""What every reader promises of the labels that it returns."""

import itertools
import math

from pipeline.corpora import words
from pipeline.corpora.labels import Labels


def check(labels: Labels) -> None:
    """Asserts that labels obey the rules."""
    assert not labels.phrases or not (labels.text or labels.words)
    assert labels.end is None or 0 <= labels.end < math.inf
    assert labels.text == " ".join(labels.text.lower().split())
    assert not labels.words or [word.text for word in labels.words] == labels.text.split()
    words.check(labels.words, "labels")
    for phrase in labels.phrases:
        assert 0 <= phrase.start < phrase.stop < math.inf
        assert phrase.text
        assert not phrase.words or [word.text for word in phrase.words] == phrase.text.split()
        assert all(phrase.start <= word.start <= word.stop <= phrase.stop for word in phrase.words)
    assert all(before.stop <= phrase.start for before, phrase in itertools.pairwise(labels.phrases))
