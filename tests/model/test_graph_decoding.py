import numpy as np
import pytest
import tensorflow as tf

from model import decoding, graph_decoding
from pipeline.vocab import Vocabulary

SYMBOLS = (" ", "a", "\ufffd")  # the last: what is written for a character that is not known


def test_the_path_is_spelled_as_decoding_reads_it() -> None:
    logits = 3 * np.random.default_rng(0).standard_normal([40, 9, 4], np.float32)
    lengths = np.arange(40, dtype=np.int32) % 9 + 1
    text, score, _ = graph_decoding.spell(
        tf.constant(logits), tf.constant(lengths), tf.fill([40], 3), graph_decoding.pieces(SYMBOLS, "character")
    )
    want = decoding.ctc_greedy(logits, lengths)
    vocabulary = Vocabulary("character", SYMBOLS)
    assert [tuple(vocabulary.encode(row.decode())) for row in text.numpy()] == [row.labels for row in want]
    np.testing.assert_allclose(score, [row.score for row in want], rtol=1e-5)


def test_a_text_in_parts_is_the_whole() -> None:
    logits = tf.constant(3 * np.random.default_rng(1).standard_normal([5, 12, 4], np.float32))
    adds, last, parts, scores = graph_decoding.pieces(SYMBOLS, "character"), tf.fill([5], 3), "", 0.0
    whole, score, _ = graph_decoding.spell(logits, tf.fill([5], 12), last, adds)
    for begin, size in ((0, 1), (1, 4), (5, 7)):
        added, part, last = graph_decoding.spell(logits[:, begin : begin + size], tf.fill([5], size), last, adds)
        parts, scores = tf.strings.join([parts, added]) if begin else added, scores + part
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(scores, score, rtol=1e-5)


def test_words_are_told_apart_and_characters_are_not() -> None:
    logits = tf.one_hot([[0, 0, 2, 0, 1, 2]], 3, 9.0)
    spelled = [
        graph_decoding.spell(logits, tf.constant([6]), tf.constant([2]), graph_decoding.pieces(("no", "yes"), unit))[0]
        for unit in ("character", "word")
    ]
    assert [text.numpy().tolist() for text in spelled] == [[b"nonoyes"], [b"no no yes "]]


def test_a_name_is_the_likeliest_word() -> None:
    logits = tf.constant([[1.0, 3.0], [0.0, -2.0]])
    text, score = graph_decoding.name(logits, ("no", "yes"))
    assert text.numpy().tolist() == [b"yes", b"no"]
    np.testing.assert_allclose(score, -np.log1p(np.exp([-2.0, -2.0])), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("  a   b ", "a b "), ("a b", "a b"), (" ", ""), ("", "")],
    ids=["runs", "single", "one", "none"],
)
def test_spaces_are_single(text: str, shown: str) -> None:
    assert graph_decoding.single_spaced(tf.constant([text])).numpy()[0].decode() == shown
