import dataclasses

import numpy as np
import pytest

from pipeline import plan
from pipeline.plan import PlanConfig
from pipeline.schema import DataError
from pipeline.shards import DatasetDir
from tests import datasets

LENGTHS = np.random.default_rng(3).integers(5, 200, 101)


def flat(config: PlanConfig, epoch: int = 0, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    return plan.batches(lengths, config, epoch)[0].ravel()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("remainder", ["drop", "pad"])
def test_a_plan_is_pure(shuffle: bool, remainder: str) -> None:
    config = PlanConfig(batch_size=8, seed=5, shuffle=shuffle, remainder=remainder)
    first, second = (plan.batches(LENGTHS, config, 3) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert first[0].dtype == np.int64
    assert first[1].dtype == np.float32


@pytest.mark.parametrize("epoch", [0, 1, 17])
@pytest.mark.parametrize("shuffle", [True, False])
def test_pad_gives_every_example_once(epoch: int, shuffle: bool) -> None:
    examples, weights = plan.batches(LENGTHS, PlanConfig(8, shuffle=shuffle, remainder="pad"), epoch)
    assert examples.shape == weights.shape == (13, 8)
    assert sorted(examples[weights == 1]) == list(range(101))
    assert set(weights.ravel()) == {0.0, 1.0}
    assert (weights == 0).sum() == 13 * 8 - 101
    assert ((weights == 0).any(axis=1)).sum() == 1  # the filling is in one batch alone


@pytest.mark.parametrize("epoch", [0, 1])
def test_drop_gives_examples_at_most_once(epoch: int) -> None:
    examples, weights = plan.batches(LENGTHS, PlanConfig(8), epoch)
    assert examples.shape == (12, 8)
    assert len(set(examples.ravel())) == 96
    assert (weights == 1).all()


def test_what_is_dropped_differs_between_epochs() -> None:
    dropped = {frozenset(set(range(101)) - set(flat(PlanConfig(8), epoch))) for epoch in range(5)}
    assert len(dropped) == 5


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(flat(PlanConfig(8, seed=seed), epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_without_shuffle_the_order_is_the_index() -> None:
    config = PlanConfig(4, shuffle=False, remainder="pad")
    examples, weights = plan.batches(np.arange(10) + 5, config, 0)
    assert examples.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert weights.tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0]]
    np.testing.assert_array_equal(examples, plan.batches(np.arange(10) + 5, config, 1)[0])


@pytest.mark.parametrize("remainder", ["drop", "pad"])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 12])
def test_workers_share_each_batch(workers: int, remainder: str) -> None:
    whole = PlanConfig(12, seed=2, remainder=remainder)
    examples, weights = plan.batches(LENGTHS, whole, 4)
    shares = [
        plan.batches(LENGTHS, dataclasses.replace(whole, worker=worker, workers=workers), 4)
        for worker in range(workers)
    ]
    assert all(share[0].shape == (len(examples), 12 // workers) for share in shares)
    for step in range(len(examples)):
        pairs = [pair for e, w in shares for pair in zip(e[step], w[step], strict=True)]
        assert sorted(pairs) == sorted(zip(examples[step], weights[step], strict=True))


def test_batches_are_of_like_length() -> None:
    def padding(config: PlanConfig) -> int:
        lengths = LENGTHS[plan.batches(LENGTHS, config, 0)[0]]
        return int((lengths.max(axis=1, keepdims=True) - lengths).sum())

    assert padding(PlanConfig(8)) * 5 < padding(PlanConfig(8, shuffle=False))


def test_batches_are_not_in_the_order_of_their_lengths() -> None:
    longest = LENGTHS[plan.batches(LENGTHS, PlanConfig(8), 0)[0]].max(axis=1)
    assert longest.tolist() not in (sorted(longest), sorted(longest, reverse=True))


@pytest.mark.parametrize(
    ("examples", "size", "remainder", "steps"),
    [
        (16, 8, "drop", 2),
        (17, 8, "drop", 2),
        (17, 8, "pad", 3),
        (16, 8, "pad", 2),
        (3, 8, "drop", 0),
        (3, 8, "pad", 1),
    ],
)
def test_steps_per_epoch(examples: int, size: int, remainder: str, steps: int) -> None:
    config = PlanConfig(size, remainder=remainder)
    assert plan.steps_per_epoch(examples, config) == steps
    assert len(plan.batches(np.full(examples, 10), config, 0)[0]) == steps


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"batch_size": 0}, "batch_size: want at least 1, got 0"),
        ({"remainder": "keep"}, "remainder: want drop or pad, got 'keep'"),
        ({"batch_size": 8, "workers": 3}, r"workers: 3 do not divide batch_size 8; choose of \[1, 2, 4, 8\]"),
        ({"workers": 0}, "workers: 0 do not divide"),
        ({"workers": 2, "worker": 2}, "worker: want 0 to 1, got 2"),
        ({"worker": -1}, "worker: want 0 to 0, got -1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        PlanConfig(**settings)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> DatasetDir:
    """Two clips of 20 and 9 frames; validation without word times."""
    clips = [
        datasets.clip("s1/a", 20, [("bin", 0, 2), ("at", 9, 10), ("now", 17, 20)]),
        datasets.clip("s1/b", 9, [("at", 4, 9)]),
    ]
    splits = {"train": [clips], "val": [[datasets.clip("s2/c", 9, ())]]}
    return datasets.write_dataset(tmp_path_factory.mktemp("words"), splits)


def spans(examples: plan.Examples) -> list[tuple[int, int]]:
    return list(zip(examples.start.tolist(), examples.stop.tolist(), strict=True))


@pytest.mark.parametrize(
    ("margin", "edge", "expected"),
    [
        (0, "same", [(0, 2), (9, 10), (17, 20), (4, 9)]),
        (0, "valid", [(0, 5), (7, 12), (15, 20), (4, 9)]),
        (1, "valid", [(0, 5), (7, 12), (15, 20), (3, 9)]),
        (3, "valid", [(0, 5), (6, 13), (14, 20), (1, 9)]),
        (100, "valid", [(0, 20), (0, 20), (0, 20), (0, 9)]),
    ],
)
def test_words_with_their_margin(words: DatasetDir, margin: int, edge: str, expected: list[tuple[int, int]]) -> None:
    found = plan.words(words, "train", margin, edge)
    assert spans(found) == expected
    assert found.frames.tolist() == [stop - start for start, stop in expected]
    assert found.record.tolist() == [0, 0, 0, 1]
    assert found.word.tolist() == [0, 1, 2, 0]
    assert found.inside_start.tolist() == [0, 9, 17, 4]
    assert found.inside_stop.tolist() == [2, 10, 20, 9]


def test_sentences_are_whole_clips(words: DatasetDir) -> None:
    found = plan.sentences(words, "train")
    assert spans(found) == [(0, 20), (0, 9)]
    assert found.word.tolist() == [-1, -1]
    assert (found.inside_start.tolist(), found.inside_stop.tolist()) == ([0, 0], [20, 9])


def test_words_need_word_times(words: DatasetDir) -> None:
    with pytest.raises(DataError, match="no word times in split 'val': its words cannot be cut; use another split"):
        plan.words(words, "val", 5, "valid")


def test_another_split_is_refused(words: DatasetDir) -> None:
    with pytest.raises(DataError, match="no split 'dev'; it has train, val"):
        plan.sentences(words, "dev")
