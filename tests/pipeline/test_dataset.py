import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import dataset as data
from pipeline import shards, table, windows
from pipeline.plan import Plan, PlanConfig
from pipeline.schema import BatchKey, DataError
from pipeline.shards import DatasetDir
from pipeline.table import DataConfig, Examples
from pipeline.vocab import Vocabulary
from tests import datasets

CHARACTERS = Vocabulary.of_characters()
WORDS = Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN])
SENTENCE = DataConfig(CHARACTERS)
WORD = DataConfig(WORDS, unit="word", margin=1)
Batch = dict[str, np.ndarray]


def batches(dataset: DatasetDir, config: DataConfig, order: PlanConfig, **where: Any) -> list[Batch]:
    return list(data.load(dataset, "train", config, order, **where).as_numpy_iterator())


def assert_same(got: list[Batch], want: list[Batch]) -> None:
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def oracle(dataset: DatasetDir, config: DataConfig, order: PlanConfig, epoch: int) -> list[list[dict[str, Any]]]:
    """Every example of every batch, read one by one with Pillow and NumPy."""
    examples = table.examples(dataset, "train", config)
    steps = windows.count(examples.frames, config.edge)
    planned = Plan(steps, order).epoch(epoch, steps)
    return [
        [_example(dataset, config, examples, row, weight) for row, weight in zip(rows, row_weights, strict=True)]
        for rows, row_weights in zip(planned.examples, planned.weights, strict=True)
    ]


def _example(dataset: DatasetDir, config: DataConfig, examples: Examples, row: int, weight: float) -> dict:
    clip = shards.read_record(dataset, int(examples.record[row]))
    start, stop, word = int(examples.start[row]), int(examples.stop[row]), int(examples.word[row])
    by_word = config.unit == "word"
    spoken = clip.words[word] if by_word else None
    middles = range(start + 2, stop - 2) if config.edge == "valid" else range(start, stop)
    return {
        BatchKey.FRAMES: clip.frames[start:stop],
        BatchKey.LENGTHS: len(middles),
        BatchKey.INSIDE: [int(not by_word or spoken.start <= t < spoken.stop) for t in middles],
        BatchKey.LABELS: config.vocabulary.encode(spoken.text if by_word else clip.text),
        BatchKey.WEIGHTS: weight,
        BatchKey.IDS: f"{clip.id}#{word}" if by_word else clip.id,
    }


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("config", [SENTENCE, WORD, dataclasses.replace(WORD, edge="same")], ids=str)
def test_batches_hold_what_the_records_hold(
    tiny: Callable[[str], DatasetDir], encoding: str, config: DataConfig
) -> None:
    dataset, order = tiny(encoding), PlanConfig(4, seed=1, remainder="pad")
    got, want = batches(dataset, config, order, epoch=2), oracle(dataset, config, order, 2)
    assert len(got) == len(want)
    for batch, rows in zip(got, want, strict=True):
        longest = max(len(row[BatchKey.FRAMES]) for row in rows)
        assert batch[BatchKey.FRAMES].shape == (4, longest, 112, 112)
        assert batch[BatchKey.INSIDE].shape == (4, max(row[BatchKey.LENGTHS] for row in rows))
        assert batch[BatchKey.LABELS].shape == (4, max(len(row[BatchKey.LABELS]) for row in rows))
        for place, row in enumerate(rows):
            frames, real = batch[BatchKey.FRAMES][place].astype(int), len(row[BatchKey.FRAMES])
            assert np.abs(frames[:real] - row[BatchKey.FRAMES]).max() <= (2 if encoding == "jpeg" else 0)
            assert not frames[real:].any()
            for key in (BatchKey.INSIDE, BatchKey.LABELS):
                assert batch[key][place][: len(row[key])].tolist() == row[key]
                assert not batch[key][place][len(row[key]) :].any()
            assert batch[BatchKey.LENGTHS][place] == row[BatchKey.LENGTHS]
            assert batch[BatchKey.LABEL_LENGTHS][place] == len(row[BatchKey.LABELS])
            assert batch[BatchKey.WEIGHTS][place] == row[BatchKey.WEIGHTS]
            assert batch[BatchKey.IDS][place].decode() == row[BatchKey.IDS]


def test_literal_inside_of_a_word(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    config = dataclasses.replace(WORD, margin=3)
    order = PlanConfig(3, shuffle=False)
    first = batches(dataset, config, order)[0]
    # 10 frames; bin [1, 4) -> [0, 7), at [4, 8) -> [1, 10), now [8, 10) -> [5, 10)
    assert first[BatchKey.IDS].tolist() == [b"s0/c00#0", b"s0/c00#1", b"s0/c00#2"]
    assert first[BatchKey.LENGTHS].tolist() == [3, 5, 1]
    assert first[BatchKey.INSIDE].tolist() == [[1, 1, 0, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert first[BatchKey.LABELS].tolist() == [[1], [0], [2]]


@pytest.mark.parametrize("layout", data.LAYOUTS)
def test_element_spec(tiny: Callable[[str], DatasetDir], layout: str) -> None:
    pixels = [2, None, 112, 112] if layout == "frames" else [2, None, 112, 112, 5]
    ds = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(4, workers=2), layout=layout)
    assert ds.element_spec == {
        layout: tf.TensorSpec(pixels, tf.uint8),
        "lengths": tf.TensorSpec([2], tf.int32),
        "inside": tf.TensorSpec([2, None], tf.uint8),
        "labels": tf.TensorSpec([2, None], tf.int32),
        "label_lengths": tf.TensorSpec([2], tf.int32),
        "weights": tf.TensorSpec([2], tf.float32),
        "ids": tf.TensorSpec([2], tf.string),
    }


@pytest.mark.parametrize(
    ("config", "order", "layout"),
    [
        (SENTENCE, PlanConfig(6, seed=3), "windows"),
        (WORD, PlanConfig(20, seed=3, worker=1, workers=2, remainder="pad"), "frames"),
        (SENTENCE, PlanConfig(7, shuffle=False, remainder="pad"), "frames"),
    ],
    ids=["drop", "words of a worker", "in order"],
)
def test_resuming_at_any_step_leaves_the_same_stream(
    tiny: Callable[[str], DatasetDir], config: DataConfig, order: PlanConfig, layout: str
) -> None:
    whole = batches(tiny("raw"), config, order, epoch=5, epochs=2, layout=layout)
    steps = len(whole) // 2
    assert steps == 2
    for step in range(len(whole) + 1):
        assert_same(batches(tiny("raw"), config, order, epoch=5, epochs=2, step=step, layout=layout), whole[step:])
    assert_same(batches(tiny("raw"), config, order, epoch=6, layout=layout), whole[steps:])


def test_the_stream_is_in_the_order_of_the_plan(tiny: Callable[[str], DatasetDir]) -> None:
    dataset, order = tiny("raw"), PlanConfig(1, seed=9)
    got = [batch[BatchKey.IDS][0].decode() for batch in batches(dataset, SENTENCE, order, epochs=3)]
    frames = table.examples(dataset, "train", SENTENCE).frames
    planned = [dataset.index.id[Plan(frames, order).epoch(epoch, frames).examples[:, 0]] for epoch in range(3)]
    assert got == list(itertools.chain.from_iterable(planned))


def test_workers_together_read_each_clip_once(tiny: Callable[[str], DatasetDir]) -> None:
    dataset = tiny("raw")
    read = [
        batch[BatchKey.IDS][batch[BatchKey.WEIGHTS] == 1].tolist()
        for worker in range(2)
        for batch in batches(dataset, SENTENCE, PlanConfig(4, worker=worker, workers=2, remainder="pad"))
    ]
    train = dataset.index.id[dataset.records("train")]
    assert sorted(itertools.chain.from_iterable(read)) == sorted(name.encode() for name in train)


def test_drop_and_pad(tiny: Callable[[str], DatasetDir]) -> None:
    dropped = batches(tiny("raw"), SENTENCE, PlanConfig(4))
    padded = batches(tiny("raw"), SENTENCE, PlanConfig(4, remainder="pad"))
    assert [len(some) for some in (dropped, padded)] == [3, 4]
    assert sum(batch[BatchKey.WEIGHTS].sum() for batch in padded) == 13
    assert all((batch[BatchKey.LENGTHS] > 0).all() for batch in padded)  # a row that fills is a real clip


def test_a_damaged_record_stops_the_stream_by_name(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(3)]
    dataset = datasets.write_dataset(tmp_path_factory.mktemp("damaged"), {"train": [clips]})
    with dataset.shards[0].open("r+b") as file:
        file.seek(int(dataset.index.offset[1]) + 500)
        file.write(b"?")
    order = PlanConfig(1, shuffle=False)
    with pytest.raises(tf.errors.DataLossError, match=f"corrupted record at {dataset.index.offset[1] + 12}"):
        batches(dataset, SENTENCE, order)
    assert batches(dataset, SENTENCE, order, step=2)[0][BatchKey.IDS].tolist() == [b"s1/c2"]


def test_words_need_word_times(tmp_path_factory: pytest.TempPathFactory) -> None:
    dataset = datasets.write_dataset(tmp_path_factory.mktemp("wordless"), {"train": [[datasets.clip("s1/a", 9, ())]]})
    with pytest.raises(DataError, match="no word times in split 'train': its words cannot be cut; use another split"):
        data.load(dataset, "train", WORD, PlanConfig(1))


def test_an_unknown_word_is_named(tiny: Callable[[str], DatasetDir]) -> None:
    config = DataConfig(Vocabulary.of_words(["bin", "at"]), unit="word")
    with pytest.raises(DataError, match=r"word 'now' is not among the 2 of the vocabulary \(at, bin\)"):
        data.load(tiny("raw"), "train", config, PlanConfig(4))
    config = DataConfig(Vocabulary.of_characters("abint "))
    with pytest.raises(DataError, match="character 'o' is not among the 6"):
        data.load(tiny("raw"), "train", config, PlanConfig(4))


def test_an_empty_or_unknown_split_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    splits = {"train": [[datasets.clip("s1/a", 9)]], "val": [[]]}
    dataset = datasets.write_dataset(tmp_path_factory.mktemp("empty"), splits)
    for config in (SENTENCE, WORD):
        with pytest.raises(DataError, match="split 'val' is empty; it has train, val"):
            data.load(dataset, "val", config, PlanConfig(1))
        with pytest.raises(DataError, match="no split 'test'; it has train, val"):
            data.load(dataset, "test", config, PlanConfig(1))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"unit": "phoneme"}, "unit: want sentence or word, got 'phoneme'"),
        ({"margin": -1}, "margin: want 0 to 100 frames, got -1"),
        ({"margin": 101}, "margin: want 0 to 100 frames, got 101"),
        ({"edge": "wrap"}, "edge: want valid or same, got 'wrap'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DataConfig(CHARACTERS, **settings)


def test_another_layout_is_refused(tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(ValueError, match="layout: want frames or windows, got 'flow'"):
        data.load(tiny("raw"), "train", SENTENCE, PlanConfig(1), layout="flow")
