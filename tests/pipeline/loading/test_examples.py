import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.loading import examples, mixture
from pipeline.loading.config import DataConfig
from pipeline.loading.examples import Examples, select_examples
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


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> DatasetDir:
    """Five clips that keep columns of their table, of which one keeps nothing, and one is of val."""
    columns = {
        "s1/a": (("room", "hall"), ("take", "1"), ("note", "a, b=c")),
        "s1/b": (("room", "studio"), ("take", "1")),
        "s1/c": (("room", "hall"), ("take", "2"), ("a=b", "c")),
        "s1/d": (),
        "s2/e": (("room", "cellar"), ("take", "")),
    }
    clips = [dataclasses.replace(datasets.clip(name, 12), columns=own) for name, own in columns.items()]
    splits = {"train": [clips[:3], clips[3:4]], "val": [clips[4:]]}
    return datasets.write_dataset(tmp_path_factory.mktemp("kept"), splits)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("room=hall",), ["s1/a", "s1/c"]),
        (("room=hall", "room=studio", "room=hall"), ["s1/a", "s1/b", "s1/c"]),
        (("room=hall", "take=2"), ["s1/c"]),
        (("take=1", "room=hall", "take=2"), ["s1/a", "s1/c"]),
        (("note=a, b=c",), ["s1/a"]),
        (("a=b=c",), ["s1/c"]),
    ],
)
def test_clips_are_chosen_by_columns_of_their_table(kept: DatasetDir, where: tuple, expected: list[str]) -> None:
    assert ids(kept, select_examples(kept, "train", dataclasses.replace(SENTENCE, where=where))) == expected
    words_of = select_examples(kept, "train", dataclasses.replace(WORD, where=where))
    assert ids(kept, words_of) == [name for name in expected for _ in range(3)]


def test_an_empty_value_can_be_chosen(kept: DatasetDir) -> None:
    assert ids(kept, select_examples(kept, "val", dataclasses.replace(SENTENCE, where=("take=",)))) == ["s2/e"]


@pytest.mark.parametrize(
    ("where", "match"),
    [
        (("rom=hall",), "where: no clip has a column 'rom'; choose of room, take, note, a=b$"),
        (
            ("speaker=s1",),
            "no clip has a column 'speaker'; choose of .*; talkers are chosen by --speakers of scripts.train",
        ),
        (("room=attic", "take=1"), "where: no clip has room='attic'; choose of 'cellar', 'hall', 'studio'$"),
        (("room=hall", "room=attic"), "where: no clip has room='attic'"),
        (("room=cellar",), "where room=cellar leave no example of split 'train'; loosen them"),
        (("x=y=z",), "where: no clip has a column 'x'; choose of"),
    ],
)
def test_columns_and_values_that_are_not_there_are_named(kept: DatasetDir, where: tuple, match: str) -> None:
    with pytest.raises(DataError, match=match) as raised:
        select_examples(kept, "train", dataclasses.replace(SENTENCE, where=where))
    assert str(raised.value).startswith(f"{kept.root}: ")


def test_many_values_are_not_all_listed(tmp_path: Path) -> None:
    clips = [dataclasses.replace(datasets.clip(f"s1/{n}", 9, ()), columns=(("n", f"{n:02}"),)) for n in range(22)]
    dataset = datasets.write_dataset(tmp_path, {"train": [clips]})
    with pytest.raises(DataError, match=r"no clip has n='x'; choose of '00', '01', .*, '19' and 2 more$"):
        select_examples(dataset, "train", dataclasses.replace(SENTENCE, where=("n=x",)))


def test_a_dataset_without_columns_says_so(spoken: DatasetDir) -> None:
    with pytest.raises(
        DataError, match="no clip has a column 'room'; it has none; convert its table with --keep_columns"
    ):
        select_examples(spoken, "train", dataclasses.replace(SENTENCE, where=("room=hall",)))


def test_a_mixture_is_chosen_from_by_columns_that_only_some_have(kept: DatasetDir, spoken: DatasetDir) -> None:
    mixed = mixture.join([spoken, kept])
    found = select_examples(mixed, "train", dataclasses.replace(SENTENCE, where=("room=studio",)))
    assert ids(mixed, found) == [f"{kept.root.name}:s1/b"]


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


def labelled(words: DatasetDir, config: DataConfig) -> list[str]:
    return examples.label_texts(words, select_examples(words, "train", config)).tolist()


def test_labels_are_those_of_each_example(words: DatasetDir) -> None:
    assert labelled(words, WORD) == ["bin", "at", "now", "at"]
    assert labelled(words, SENTENCE) == ["bin at now", "at"]
    assert labelled(words, DataConfig(LETTERS, max_frames=12, overlong="truncate")) == ["bin at", "at"]
