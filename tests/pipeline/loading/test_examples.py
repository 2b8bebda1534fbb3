import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.loading import examples
from pipeline.loading.examples import DataConfig, Examples, select_examples
from pipeline.records.directory import DatasetDir
from pipeline.records.index import NOT_SCORED
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from tests import datasets

WORDS = Vocabulary.of_words(["at", "bin", "now"])
LETTERS = Vocabulary.of_characters()
WORD, SENTENCE = DataConfig(WORDS, unit="word"), DataConfig(LETTERS)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> DatasetDir:
    """Two clips of 20 and 9 frames; validation without word times."""
    clips = [
        datasets.clip("s1/a", 20, [("bin", 0, 2), ("at", 9, 10), ("now", 17, 20)]),
        datasets.clip("s1/b", 9, [("at", 4, 9)]),
    ]
    splits = {"train": [clips], "val": [[datasets.clip("s2/c", 9, ())]]}
    return datasets.write_dataset(tmp_path_factory.mktemp("words"), splits)


def spans(found: Examples) -> list[tuple[int, int]]:
    return list(zip(found.start.tolist(), found.stop.tolist(), strict=True))


@pytest.mark.parametrize(
    ("margin", "padding", "expected"),
    [
        (0, "same", [(0, 2), (9, 10), (17, 20), (4, 9)]),
        (0, "valid", [(0, 5), (7, 12), (15, 20), (4, 9)]),
        (1, "valid", [(0, 5), (7, 12), (15, 20), (3, 9)]),
        (3, "valid", [(0, 5), (6, 13), (14, 20), (1, 9)]),
        (100, "valid", [(0, 20), (0, 20), (0, 20), (0, 9)]),
    ],
)
def test_words_with_their_margin(words: DatasetDir, margin: int, padding: str, expected: list[tuple[int, int]]) -> None:
    found = examples.word_examples(words, "train", dataclasses.replace(WORD, margin=margin, padding=padding))
    assert spans(found) == expected
    assert found.frames.tolist() == [stop - start for start, stop in expected]
    assert found.record.tolist() == [0, 0, 0, 1]
    assert found.word.tolist() == [0, 1, 2, 0]
    assert found.unit_start.tolist() == [0, 9, 17, 4]
    assert found.unit_stop.tolist() == [2, 10, 20, 9]


def test_sentences_are_whole_clips(words: DatasetDir) -> None:
    found = examples.sentence_examples(words, "train", SENTENCE)
    assert spans(found) == [(0, 20), (0, 9)]
    assert found.word.tolist() == [-1, -1]
    assert (found.unit_start.tolist(), found.unit_stop.tolist()) == ([0, 0], [20, 9])


def test_words_need_word_times(words: DatasetDir) -> None:
    with pytest.raises(DataError, match=r"no word times in split 'val'.*; use another split"):
        examples.word_examples(words, "val", WORD)


def test_another_split_is_refused(words: DatasetDir) -> None:
    with pytest.raises(DataError, match="no split 'dev'; it has train, val"):
        examples.sentence_examples(words, "dev", SENTENCE)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> DatasetDir:
    """Four clips of three speakers: 30, 30, 12 and 9 frames; the last without word times."""
    clips = [
        datasets.clip("s1/a", 30, [("bin", 0, 9), ("at", 9, 14), ("now", 14, 30)]),
        datasets.clip("s2/b", 30, [("at", 2, 28)], seed=2),  # a doubt of 0.5
        datasets.clip("s1/c", 12, [("now", 1, 12)]),
        datasets.clip("s3/d", 9, []),
    ]
    return datasets.write_dataset(tmp_path_factory.mktemp("spoken"), {"train": [clips[:2], clips[2:]], "val": [[]]})


def ids(dataset: DatasetDir, found: Examples) -> list[str]:
    return dataset.index.id[found.record].tolist()


@pytest.mark.parametrize(
    ("config", "chosen", "expected"),
    [
        (SENTENCE, {}, ["s1/a", "s2/b", "s1/c", "s3/d"]),
        (SENTENCE, {"speakers": ("s1", "s3")}, ["s1/a", "s1/c", "s3/d"]),
        (SENTENCE, {"words": ("at", "now")}, ["s2/b", "s1/c"]),
        (SENTENCE, {"max_doubt": 0.51}, ["s1/a", "s2/b", "s1/c", "s3/d"]),
        (SENTENCE, {"max_doubt": 0.5}, ["s1/a", "s1/c", "s3/d"]),
        (SENTENCE, {"max_frames": 12}, ["s1/c", "s3/d"]),
        (SENTENCE, {"max_frames": 30}, ["s1/a", "s2/b", "s1/c", "s3/d"]),
        (WORD, {"words": ("at", "bin")}, ["s1/a", "s1/a", "s2/b"]),
        (WORD, {"words": ("now",), "speakers": ("s1",)}, ["s1/a", "s1/c"]),
        (WORD, {"margin": 0, "max_frames": 10}, ["s1/a", "s1/a"]),
    ],
)
def test_filters(spoken: DatasetDir, config: DataConfig, chosen: dict[str, object], expected: list[str]) -> None:
    assert ids(spoken, select_examples(spoken, "train", dataclasses.replace(config, **chosen))) == expected


def test_a_sentence_that_is_cut_keeps_the_words_that_end_in_it(spoken: DatasetDir) -> None:
    config = dataclasses.replace(SENTENCE, speakers=("s1", "s2"), max_frames=15, overlong="truncate")
    found = select_examples(spoken, "train", config)
    assert ids(spoken, found) == ["s1/a", "s1/c"]  # of s2/b, no word ends in the first 15 frames
    assert found.stop.tolist() == found.unit_stop.tolist() == [15, 12]
    assert found.words_kept.tolist() == [2, -1]  # "bin at"; whole
    assert found.min_frames.tolist() == [6 + 4, 3 + 4]


def test_a_cut_sentence_ends_before_the_first_word_that_does_not_fit(tmp_path: Path) -> None:
    clips = [
        datasets.clip("s1/long", 40, [("bin", 0, 30), ("at", 29, 30), ("now", 30, 32)]),
        datasets.clip("s1/overlap", 40, [("bin", 0, 9), ("at", 9, 21), ("now", 19, 20), ("bin", 30, 40)]),
        datasets.clip("s1/unsorted", 40, [("now", 10, 14), ("bin", 24, 30), ("at", 0, 9)]),
        datasets.clip("s1/short", 20, [("bin", 0, 9), ("at", 9, 20)]),
        datasets.clip("s1/fits", 40, [("bin", 0, 9), ("at", 9, 20)]),
    ]
    dataset = datasets.write_dataset(tmp_path, {"train": [clips]})
    found = select_examples(dataset, "train", dataclasses.replace(SENTENCE, max_frames=20, overlong="truncate"))
    kept = dict(zip(ids(dataset, found), found.words_kept.tolist(), strict=True))
    assert kept == {"s1/overlap": 1, "s1/unsorted": 1, "s1/short": -1, "s1/fits": 2}
    assert examples.label_texts(dataset, found).tolist() == ["bin", "now", "bin at", "bin at"]


def test_a_sentence_cut_to_less_than_its_text_needs_is_left_out(spoken: DatasetDir) -> None:
    tight = dataclasses.replace(SENTENCE, speakers=("s1",), max_frames=9, overlong="truncate")
    assert ids(spoken, select_examples(spoken, "train", tight)) == ["s1/a"]  # "bin" in 5 windows; of s1/c nothing
    with pytest.raises(DataError, match="speakers s2, max_frames 9 leave no example of split 'train'; loosen them"):
        select_examples(spoken, "train", dataclasses.replace(tight, speakers=("s2",)))


def test_a_word_that_is_cut_keeps_its_middle(spoken: DatasetDir) -> None:
    config = dataclasses.replace(WORD, margin=2, max_frames=7, overlong="truncate")
    found = select_examples(spoken, "train", config)
    # bin [0, 9) of [0, 11); at [9, 14) of [7, 16); now [14, 30) of [12, 30); at [2, 28) of [0, 30); now [1, 12)
    assert spans(found) == [(1, 8), (8, 15), (18, 25), (11, 18), (3, 10)]
    assert found.unit_start.tolist() == [0, 9, 14, 2, 1]


def test_a_sentence_without_word_times_cannot_be_cut(spoken: DatasetDir) -> None:
    config = dataclasses.replace(SENTENCE, max_frames=6, overlong="truncate")
    with pytest.raises(DataError, match=r"clip s3/d of 9 frames .* first 6 .*--on_long_example=skip"):
        select_examples(spoken, "train", config)


def test_twin_letters_need_a_window_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    clips = [datasets.clip("s1/a", 12, [("soon", 0, 12)])]
    dataset = datasets.write_dataset(tmp_path_factory.mktemp("twins"), {"train": [clips]})
    assert select_examples(dataset, "train", SENTENCE).min_frames.tolist() == [5 + 4]
    assert select_examples(dataset, "train", dataclasses.replace(SENTENCE, padding="same")).min_frames.tolist() == [5]


@pytest.mark.parametrize(
    ("chosen", "match"),
    [
        ({"speakers": ("s9",)}, "speakers: no clip has 's9'; choose of s1, s2, s3"),
        ({"words": ("at", "soon")}, "words: no clip has 'soon'; choose of at, bin, now"),
        ({"speakers": ("s3",), "words": ("bin",)}, "speakers s3, words bin leave no example of split 'train'"),
        ({"speakers": ("s2",), "max_doubt": 0.0}, r"speakers s2, max_doubt 0\.0 leave no example of split 'train'"),
    ],
)
def test_filters_that_leave_nothing_are_refused(spoken: DatasetDir, chosen: dict[str, object], match: str) -> None:
    with pytest.raises(DataError, match=match):
        select_examples(spoken, "train", dataclasses.replace(SENTENCE, **chosen))


def test_clips_without_a_doubt_are_not_chosen_by_it(spoken: DatasetDir) -> None:
    unscored = dataclasses.replace(spoken.index, doubt=np.full(4, NOT_SCORED))
    with pytest.raises(DataError, match=r"max_doubt: clip s1/a has no doubt, its crops are of an older version or"):
        select_examples(
            dataclasses.replace(spoken, index=unscored), "train", dataclasses.replace(SENTENCE, max_doubt=0.5)
        )


def test_whole_leaves_nothing_out() -> None:
    filters = {"speakers": ("s1",), "words": ("at",), "max_doubt": 0.5, "max_frames": 9}
    config = DataConfig(WORDS, "word", 3, "same", **filters, overlong="truncate")
    kept = dataclasses.replace(config.whole(), overlong="skip")
    assert kept == DataConfig(WORDS, "word", 3, "same")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"unit": "phoneme"}, "unit: want sentence or word, got 'phoneme'"),
        ({"margin": -1}, "margin: want 0 to 100 frames, got -1"),
        ({"margin": 101}, "margin: want 0 to 100 frames, got 101"),
        ({"padding": "wrap"}, "padding: want valid or same, got 'wrap'"),
        ({"max_doubt": 1.1}, "max_doubt: want 0 to 1, got 1.1"),
        ({"max_frames": 4}, "max_frames: want at least 5, one window, got 4"),
        ({"overlong": "cut"}, "overlong: want skip or truncate, got 'cut'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DataConfig(LETTERS, **settings)


def labelled(words: DatasetDir, config: DataConfig) -> list[str]:
    return examples.label_texts(words, select_examples(words, "train", config)).tolist()


def test_labels_are_those_of_each_example(words: DatasetDir) -> None:
    assert labelled(words, WORD) == ["bin", "at", "now", "at"]
    assert labelled(words, SENTENCE) == ["bin at now", "at"]
    assert labelled(words, DataConfig(LETTERS, max_frames=12, overlong="truncate")) == ["bin at", "at"]
