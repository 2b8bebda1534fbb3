import dataclasses
import gc
import itertools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from pipeline.loading import augment, mixture, windows
from pipeline.loading import dataset as data
from pipeline.loading.columns import Planner
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.examples import Examples, select_examples
from pipeline.loading.plan import Plan
from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import BatchKey, DataError
from pipeline.vocab import Vocabulary
from tests import datasets, laws
from tests.laws import Batch

CHARACTERS = Vocabulary.of_characters()
WORDS = Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN])
SENTENCE = DataConfig(CHARACTERS)
WORD = DataConfig(WORDS, unit="word", margin=1)
VARIED = AugmentConfig(shift=5, flip=0.5, brightness=20, contrast=0.2, mask_frames=3, masks=2, speed=0.3)


def batches(dataset: DatasetDir, config: DataConfig, order: PlanConfig, **where: Any) -> list[Batch]:
    return laws.read(data.load(dataset, "train", config, order, **where))


def oracle(dataset: DatasetDir, config: DataConfig, order: PlanConfig, epoch: int) -> list[list[dict[str, Any]]]:
    """Every example of every batch, read one by one with Pillow and NumPy."""
    examples = select_examples(dataset, "train", config)
    steps = windows.count(examples.frames, config.padding)
    planned = Plan(steps, order).epoch(epoch, steps)
    return [
        [_example(dataset, config, examples, row, weight) for row, weight in zip(rows, row_weights, strict=True)]
        for rows, row_weights in zip(planned.examples, planned.weights, strict=True)
    ]


def _example(dataset: DatasetDir, config: DataConfig, examples: Examples, row: int, weight: float) -> dict:
    clip = directory.read_record(dataset, int(examples.record[row]))
    start, stop, word = int(examples.start[row]), int(examples.stop[row]), int(examples.word[row])
    by_word = config.unit == "word"
    spoken = clip.words[word] if by_word else None
    middles = range(start + 2, stop - 2) if config.padding == "valid" else range(start, stop)
    return {
        BatchKey.FRAMES: clip.frames[start:stop],
        BatchKey.LENGTHS: len(middles),
        BatchKey.IN_WORD: [int(not by_word or spoken.start <= t < spoken.stop) for t in middles],
        BatchKey.LABELS: config.vocabulary.encode(spoken.text if by_word else clip.text),
        BatchKey.WEIGHTS: weight,
        BatchKey.IDS: f"{clip.id}#{word}" if by_word else clip.id,
    }


@pytest.mark.parametrize(
    ("encoding", "reader"), [("raw", "graph"), ("raw", "direct"), ("png", "graph"), ("jpeg", "graph")]
)
@pytest.mark.parametrize("config", [SENTENCE, WORD, dataclasses.replace(WORD, padding="same")], ids=str)
def test_batches_hold_what_the_records_hold(
    tiny: Callable[[str], DatasetDir], encoding: str, reader: str, config: DataConfig
) -> None:
    dataset, order = tiny(encoding), PlanConfig(4, seed=1, remainder="pad")
    got, want = batches(dataset, config, order, epoch=2, reader=reader), oracle(dataset, config, order, 2)
    assert len(got) == len(want)
    for batch, rows in zip(got, want, strict=True):
        longest = max(len(row[BatchKey.FRAMES]) for row in rows)
        assert batch[BatchKey.FRAMES].shape == (4, longest, 112, 112)
        assert batch[BatchKey.IN_WORD].shape == (4, max(row[BatchKey.LENGTHS] for row in rows))
        assert batch[BatchKey.LABELS].shape == (4, max(len(row[BatchKey.LABELS]) for row in rows))
        for place, row in enumerate(rows):
            frames, real = batch[BatchKey.FRAMES][place], len(row[BatchKey.FRAMES])
            np.testing.assert_array_equal(frames[:real], row[BatchKey.FRAMES])
            assert not frames[real:].any()
            for key in (BatchKey.IN_WORD, BatchKey.LABELS):
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
    assert first[BatchKey.IN_WORD].tolist() == [[1, 1, 0, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert first[BatchKey.LABELS].tolist() == [[1], [0], [2]]


@pytest.mark.parametrize("layout", data.LAYOUTS)
def test_element_spec(tiny: Callable[[str], DatasetDir], layout: str) -> None:
    pixels = [2, None, 112, 112] if layout == "frames" else [2, None, 112, 112, 5]
    ds = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(4, workers=2), layout=layout)
    assert ds.element_spec == {
        layout: tf.TensorSpec(pixels, tf.uint8),
        "lengths": tf.TensorSpec([2], tf.int32),
        "in_word": tf.TensorSpec([2, None], tf.uint8),
        "labels": tf.TensorSpec([2, None], tf.int32),
        "label_lengths": tf.TensorSpec([2], tf.int32),
        "weights": tf.TensorSpec([2], tf.float32),
        "ids": tf.TensorSpec([2], tf.string),
    }


def test_a_stream_without_end_goes_on(tiny: Callable[[str], DatasetDir]) -> None:
    endless = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), epochs=None)
    some = laws.read(data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), epochs=3))
    laws.same(endless.take(6).as_numpy_iterator(), some)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), epochs=3, step=1).cardinality() == 5
    for step in (6, 7, 9):
        past = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), epochs=3, step=step)
        assert (past.cardinality(), laws.read(past)) == (0, [])
    with pytest.raises(ValueError, match="epoch, step: want 0 or more, got 0, -1"):
        data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), step=-1)
    with pytest.raises(ValueError, match="threads: want at least 1, got 0"):
        data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), threads=0)
    later = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(6), epochs=None, epoch=1, step=1)
    laws.same(later.take(3).as_numpy_iterator(), some[3:])


def test_a_stream_takes_its_memory_with_it(tiny: Callable[[str], DatasetDir], monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow keeps each function of Python for good: what a stream plans with must not hang on one."""
    made = weakref.WeakSet()
    monkeypatch.setattr(data, "Planner", lambda *given: made.add(one := Planner(*given)) or one)
    for _ in range(3):
        assert len(laws.read(data.load(tiny("raw"), "train", SENTENCE, PlanConfig(4)))) == 3
    kept = data.load(tiny("raw"), "train", SENTENCE, PlanConfig(4)).map(lambda batch: batch).prefetch(1)
    gc.collect()
    assert len(made) == 1
    assert len(laws.read(kept)) == 3


def test_an_iterator_needs_no_dataset(tiny: Callable[[str], DatasetDir]) -> None:
    stream = tiny("raw"), "train", SENTENCE, PlanConfig(2)
    want = laws.read(data.load(*stream, epochs=3))
    iterator = data.load(*stream, epochs=3).map(lambda batch: batch).prefetch(1).as_numpy_iterator()
    first = next(iterator)
    gc.collect()
    laws.same([first, *iterator], want)
    laws.same(({key: value.numpy() for key, value in batch.items()} for batch in data.load(*stream, epochs=3)), want)


def test_windows_are_made_of_the_frames(tiny: Callable[[str], DatasetDir]) -> None:
    config, order = dataclasses.replace(WORD, padding="same"), PlanConfig(6, seed=1, pad_to_multiple=8)
    frames, made = (
        laws.read(data.load(tiny("raw"), "train", config, order, VARIED, layout=layout)) for layout in data.LAYOUTS
    )
    for one, other in zip(frames, made, strict=True):
        assert other["windows"].shape[1] % 8 == 0
        for row, length in enumerate(one["lengths"]):
            clip = one["frames"][row, :length]
            wanted = [[clip[min(max(s + k - 2, 0), length - 1)] for k in range(5)] for s in range(length)]
            np.testing.assert_array_equal(other["windows"][row, :length], np.moveaxis(wanted, 1, -1))
            assert not other["windows"][row, length:].any()


def test_a_budget_holds_for_what_is_read(tiny: Callable[[str], DatasetDir]) -> None:
    order = PlanConfig(8, max_windows_per_batch=60, pad_to_multiple=3, remainder="pad")
    sizes = set()
    for batch in batches(tiny("raw"), SENTENCE, order, augmented=VARIED, epochs=3, layout="windows"):
        rows, steps = batch["windows"].shape[:2]
        assert rows * steps <= 60
        assert steps % 3 == 0
        assert steps - 3 < batch["lengths"].max() <= steps
        sizes.add(rows)
    assert sizes == {2, 4}


def test_an_empty_place_of_a_budget_looks_at_no_other_record(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10 + 20 * (n == 2), seed=n) for n in range(3)]
    dataset = datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    order = PlanConfig(2, shuffle=False, max_windows_per_batch=30)  # the long clip is alone in the first batch
    assert Planner(dataset, "train", SENTENCE, order, AugmentConfig())(0, 1).record.tolist() == [[[2], [2]]]


def test_a_dataset_may_lie_anywhere(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10, seed=n) for n in range(2)]
    dataset = datasets.write_dataset(tmp_path / "d é *?[x] ", {"train": [clips]})
    for reader in ("graph", "direct"):
        (batch,) = batches(dataset, SENTENCE, PlanConfig(2, shuffle=False), reader=reader)
        np.testing.assert_array_equal(batch["frames"], np.stack([clip.frames for clip in clips]))


def test_a_changed_speed_keeps_labels_room_and_marks_the_word(tiny: Callable[[str], DatasetDir]) -> None:
    dataset, fast = tiny("raw"), AugmentConfig(speed=0.9)
    examples = select_examples(dataset, "train", SENTENCE)
    lengths = set()
    for batch in batches(dataset, SENTENCE, PlanConfig(1, shuffle=False), augmented=fast, epochs=4):
        needed = len("bin at now")
        assert (
            batch["frames"].shape[1] - 4
            == batch["lengths"][0]
            == batch["in_word"].shape[1]
            >= min(needed, examples.frames.min() - 4)
        )
        lengths.add(int(batch["lengths"][0]))
    assert len(lengths) > 10
    config = dataclasses.replace(WORD, padding="same", margin=3)
    for batch in batches(dataset, config, PlanConfig(1, shuffle=False), augmented=AugmentConfig(speed=0.5)):
        record, word = batch["ids"][0].decode().split("#")
        clip = directory.read_record(dataset, int(np.flatnonzero(dataset.index.id == record)[0]))
        spoken = clip.words[int(word)]
        shown = [
            next(t for t in range(len(clip.frames)) if (clip.frames[t] == frame).all()) for frame in batch["frames"][0]
        ]
        assert batch["in_word"][0].tolist() == [int(spoken.start <= t < spoken.stop) for t in shown]
        assert shown == sorted(shown)


@pytest.mark.parametrize("config", [SENTENCE, WORD], ids=["sentence", "word"])
def test_a_draw_does_not_depend_on_what_else_is_read(tiny: Callable[[str], DatasetDir], config: DataConfig) -> None:
    def shown(dataset: DatasetDir, config: DataConfig) -> dict[bytes, bytes]:
        read = batches(dataset, config, PlanConfig(1, seed=5), augmented=VARIED, epoch=2)
        return {batch["ids"][0].removeprefix(b"part:"): batch["frames"].tobytes() for batch in read}

    every = shown(tiny("raw"), config)
    some = shown(tiny("raw"), dataclasses.replace(config, speakers=("s1",)))
    assert 0 < len(some) < len(every)
    assert some == {name: every[name] for name in some}
    part = dataclasses.replace(tiny("raw"), root=Path("part"))
    assert shown(mixture.join([part, dataclasses.replace(part, root=Path("other"))]), config).items() >= every.items()


def test_a_preview_is_what_the_stream_gives(tiny: Callable[[str], DatasetDir]) -> None:
    dataset, config = tiny("raw"), dataclasses.replace(VARIED, speed=0.9)
    sheets = set()
    for epoch in range(3):
        read = batches(dataset, SENTENCE, PlanConfig(1, seed=7), augmented=config, epoch=epoch)
        for batch in read:
            record = int(np.flatnonzero(dataset.index.id == batch["ids"][0].decode())[0])
            seen = augment.apply_to_clip(directory.read_record(dataset, record), config, 7, epoch)
            np.testing.assert_array_equal(seen.frames, batch["frames"][0])
            sheets.add(seen.frames.tobytes())
    assert len(sheets) == 39


def test_a_sentence_that_is_cut_is_labelled_with_what_is_left(tiny: Callable[[str], DatasetDir]) -> None:
    config = dataclasses.replace(SENTENCE, max_frames=10, overlong="truncate")
    for batch in batches(tiny("raw"), config, PlanConfig(1, shuffle=False)):
        assert batch["frames"].shape[1] == 10
        assert CHARACTERS.decode(batch["labels"][0].tolist()) == "bin at now"
    config = dataclasses.replace(config, vocabulary=WORDS, max_frames=9)
    texts = {WORDS.decode(batch["labels"][0].tolist()) for batch in batches(tiny("raw"), config, PlanConfig(1))}
    assert texts == {"bin at"}


def test_model_fit_takes_the_dataset(tiny: Callable[[str], DatasetDir]) -> None:
    ds = data.load(tiny("raw"), "train", WORD, PlanConfig(8), epochs=None, layout="windows")
    ds = ds.map(lambda batch: (tf.cast(batch["windows"][:, 0, ::8, ::8], tf.float32), batch["labels"][:, 0]))
    model = tf_keras.Sequential([tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)])
    model.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    history = model.fit(ds, epochs=2, steps_per_epoch=3, verbose=0)
    assert len(history.history["loss"]) == 2


def test_the_stream_is_in_the_order_of_the_plan(tiny: Callable[[str], DatasetDir]) -> None:
    dataset, order = tiny("raw"), PlanConfig(1, seed=9)
    got = [batch[BatchKey.IDS][0].decode() for batch in batches(dataset, SENTENCE, order, epochs=3)]
    frames = select_examples(dataset, "train", SENTENCE).frames
    planned = [dataset.index.id[Plan(frames, order).epoch(epoch, frames).examples[:, 0]] for epoch in range(3)]
    assert got == list(itertools.chain.from_iterable(planned))


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
    where = f"{dataset.shards[0]} offset {dataset.index.offset[1]}"
    with pytest.raises(tf.errors.UnknownError, match=f"{where}: the record is damaged, its CRC does not match"):
        batches(dataset, SENTENCE, order)
    assert batches(dataset, SENTENCE, order, step=2)[0][BatchKey.IDS].tolist() == [b"s1/c2"]


def test_words_need_word_times(tmp_path_factory: pytest.TempPathFactory) -> None:
    dataset = datasets.write_dataset(tmp_path_factory.mktemp("wordless"), {"train": [[datasets.clip("s1/a", 9, ())]]})
    with pytest.raises(DataError, match=r"no word times in split 'train'.*; use another split"):
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


def test_another_layout_or_reader_is_refused(tiny: Callable[[str], DatasetDir]) -> None:
    with pytest.raises(ValueError, match="layout: want frames or windows, got 'flow'"):
        data.load(tiny("raw"), "train", SENTENCE, PlanConfig(1), layout="flow")
    with pytest.raises(ValueError, match="reader: want graph or direct for raw frames on a disk, got 'fast'"):
        data.load(tiny("raw"), "train", SENTENCE, PlanConfig(1), reader="fast")
    with pytest.raises(ValueError, match="reader: want graph for jpeg frames on a disk, got 'direct'"):
        data.load(tiny("jpeg"), "train", SENTENCE, PlanConfig(1), reader="direct")
