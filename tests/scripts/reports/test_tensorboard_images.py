import random
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from model.evaluate import Prediction, Report
from pipeline.schema import Clip
from scripts.reports import tensorboard_images
from tests import datasets
from tests.scripts import events

SAID = [f"s1/c{n:02}" for n in range(30)]


def _predictions(read: str = "bin") -> list[Prediction]:
    return [Prediction(name, "bin at now", read, -1.0) for name in SAID]


def _clip(prediction: Prediction) -> Clip:
    return datasets.clip(prediction.id, 31, seed=SAID.index(prediction.id))


def test_the_matrix_names_what_was_read_in_place_of_words_left_out_or_added() -> None:
    pairs = {("bin", "bin"): 6, ("bin", "now"): 2, ("bin", "(nothing)"): 1, ("at", "at"): 5}
    more = {("now", "now"): 4, ("now", "nw"): 2, ("(nothing)", "at"): 3, ("(nothing)", "a"): 1}
    counts, rows, columns = tensorboard_images.chosen(Counter(pairs | more))
    assert rows == ["at", "bin", "now", "(nothing)"]
    assert columns == ["at", "bin", "now", "(nothing)", "a", "nw"]
    assert counts.tolist() == [[5, 0, 0, 0, 0, 0], [0, 6, 2, 1, 0, 0], [0, 0, 4, 0, 0, 2], [3, 0, 0, 0, 1, 0]]


def test_the_matrix_of_single_words_is_square() -> None:
    counts, rows, columns = tensorboard_images.chosen(Counter({("now", "now"): 3, ("at", "now"): 2, ("at", "at"): 1}))
    assert rows == columns == ["at", "now"]
    assert counts.tolist() == [[1, 2], [0, 3]]


def test_of_many_words_those_with_the_most_mistakes_are_shown_with_the_commonest_of_others() -> None:
    words = [f"w{n:02}" for n in range(42)]
    wrong = {(word, words[n - 1]): n for n, word in enumerate(words) if n}  # w00 is always right, w01 wrong once
    strange = {(words[41], f"x{n:02}"): 1 + (n == 30) for n in range(31)}  # 31 words that nobody said; the last twice
    counts, rows, columns = tensorboard_images.chosen(
        Counter({("w00", "w00"): 99, (words[41], words[41]): 7} | wrong | strange)
    )
    assert rows == words[2:]
    assert columns == [*words[2:], "w01", *(f"x{n:02}" for n in range(28)), "x30", "(other)"]
    assert (counts[0, 40], counts[39, 39], counts[39, 38], counts[1, 0]) == (2, 7, 41, 3)
    assert (counts[39, -2], counts[39, -1]) == (2, 2)  # x30; x28 and x29 are others
    assert counts.sum() == 7 + sum(range(2, 42)) + 32


def test_equal_words_are_shown_by_the_alphabet() -> None:
    words = [f"w{n:02}" for n in range(42)]
    random.Random(1).shuffle(words)
    assert tensorboard_images.chosen(Counter({(word, word): 1 for word in words}))[1] == sorted(words)[:40]


def test_each_epoch_shows_the_same_examples() -> None:
    shown = [row.id for row in tensorboard_images.drawn(_predictions())]
    other = _predictions("now")
    random.Random(1).shuffle(other)
    assert len(set(shown)) == len(shown) == tensorboard_images.EXAMPLES
    assert [row.id for row in tensorboard_images.drawn(other)] == shown != SAID[: tensorboard_images.EXAMPLES]
    rest = [row.id for row in tensorboard_images.drawn([row for row in other if row.id != shown[2]])]
    assert rest[:5] == [*shown[:2], *shown[3:]]  # one that could not be read moves no other


def test_lips_are_taken_evenly_and_the_texts_stand_over_them() -> None:
    picture, other = tensorboard_images.lips(_predictions(), _clip), tensorboard_images.lips(_predictions("now"), _clip)
    high = 3 * 16 + 84 + 16  # two lines of text and room above, frames, their words
    assert (picture.dtype, picture.shape) == (np.uint8, (6 * high, 15 * 84, 3))
    for place, row in enumerate(tensorboard_images.drawn(_predictions())):
        strip = picture[place * high + 48 :][:84]
        for column, number in enumerate(range(0, 31, 3)):
            want = Image.fromarray(_clip(row).frames[number]).resize((84, 84), Image.Resampling.BILINEAR)
            tile = strip[4:, column * 84 :][:, :84]
            np.testing.assert_array_equal(tile, np.repeat(np.asarray(want)[4:, :, None], 3, axis=2))
        assert (strip[:, 11 * 84 :] == 255).all()
    changed = np.flatnonzero((picture != other).any((1, 2))) % high
    assert 26 <= changed.min() <= changed.max() < 48  # the second line


def test_few_examples_and_short_ones_are_shown_whole() -> None:
    picture = tensorboard_images.lips(_predictions()[:1], lambda row: datasets.clip(row.id, 5))
    assert picture.shape == (148, 15 * 84, 3)
    assert (picture[48:132, 5 * 84 :] == 255).all()
    assert (picture[48:132, 4 * 84 : 5 * 84] < 255).all()


def test_both_pictures_go_to_tensorboard_with_the_step(tmp_path: Path) -> None:
    confusion = {("bin", "bin"): 3, ("bin", "now"): 1, (None, "at"): 1}
    report = Report(30, {}, (), Counter(confusion), tuple(_predictions()))
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=7):
        tensorboard_images.show(report, _clip)
    found = events.written(tmp_path)
    assert found.keys() == {"confusion", "lips"}
    ((step, lips),) = found["lips"]
    assert step == 7
    np.testing.assert_array_equal(lips, tensorboard_images.lips(report.predictions, _clip))
    ((step, matrix),) = found["confusion"]
    assert step == 7
    named = Counter({("bin", "bin"): 3, ("bin", "now"): 1, ("(nothing)", "at"): 1})
    np.testing.assert_array_equal(matrix, tensorboard_images.confusion(named))
