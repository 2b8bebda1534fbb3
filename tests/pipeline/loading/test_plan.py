import dataclasses
import hashlib

import numpy as np
import pytest

from pipeline.loading.config import PlanConfig
from pipeline.loading.plan import Batches, Plan
from pipeline.schema import DataError

LENGTHS = np.random.default_rng(3).integers(5, 200, 101)
BUDGET = {"max_windows_per_batch": 800}
VARIANTS = [{}, {"remainder": "pad"}, {"shuffle": False}, BUDGET, {**BUDGET, "remainder": "pad", "pad_to_multiple": 25}]


def epoch(config: PlanConfig, number: int = 0, lengths: np.ndarray = LENGTHS) -> Batches:
    return Plan(lengths, config).epoch(number, lengths)


def counted(planned: Batches) -> list[int]:
    return sorted(planned.examples[planned.weights == 1].tolist())


def same(one: Batches, other: Batches) -> None:
    for field in dataclasses.fields(Batches):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_a_plan_is_pure(settings: dict[str, object]) -> None:
    config = PlanConfig(batch_size=8, seed=5, **settings)
    planned = Plan(LENGTHS, config)
    later = planned.epoch(3, LENGTHS)
    planned.epoch(1, LENGTHS)
    same(planned.epoch(3, LENGTHS), later)
    same(epoch(config, 3), later)
    assert [column.dtype for column in dataclasses.astuple(later)] == [np.int32, np.float32, np.int64]
    assert {len(planned.epoch(number, LENGTHS).examples) for number in range(5)} == {planned.steps}


def test_the_order_of_an_epoch_is_that_of_all_versions() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 5000)
    digest = hashlib.sha256()
    for settings in VARIANTS:
        planned = Plan(lengths, PlanConfig(16, seed=9, workers=2, **settings)).epoch(4, lengths)
        for column in (planned.examples, planned.weights, planned.windows):
            digest.update(column.astype(np.int64).tobytes())
    assert digest.hexdigest().startswith("cd055e5bf0b7f827")


@pytest.mark.parametrize("number", [0, 1, 17])
@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, BUDGET], ids=str)
def test_pad_gives_every_example_once(number: int, settings: dict[str, object]) -> None:
    planned = epoch(PlanConfig(8, remainder="pad", **settings), number)
    assert counted(planned) == list(range(101))
    filling = (planned.examples >= 0) & (planned.weights == 0)
    assert filling.any(axis=1).sum() == 1  # the filling is in one batch alone
    assert planned.examples.shape == planned.weights.shape


@pytest.mark.parametrize("settings", [{}, BUDGET], ids=str)
def test_drop_leaves_out_less_than_a_batch_and_others_each_epoch(settings: dict[str, object]) -> None:
    left = [set(range(101)) - set(counted(epoch(PlanConfig(8, **settings), number))) for number in range(5)]
    assert all(0 < len(some) < 8 for some in left)
    assert len({frozenset(some) for some in left}) > 3
    planned = epoch(PlanConfig(8, **settings))
    assert len(set(counted(planned))) == len(counted(planned))
    assert ((planned.weights == 1) == (planned.examples >= 0)).all()


def test_epochs_and_seeds_differ() -> None:
    orders = {
        tuple(epoch(PlanConfig(8, seed=seed), number).examples.ravel()) for seed in range(3) for number in range(3)
    }
    assert len(orders) == 9


def test_without_shuffle_the_order_is_the_index() -> None:
    planned = epoch(PlanConfig(4, shuffle=False, remainder="pad"), lengths=np.arange(10) + 5)
    assert planned.examples.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert planned.weights.tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0]]
    assert planned.windows.tolist() == [8, 12, 14]
    same(planned, epoch(PlanConfig(4, shuffle=False, remainder="pad"), 1, np.arange(10) + 5))


def test_batches_of_a_budget_by_hand() -> None:
    config = PlanConfig(4, shuffle=False, max_windows_per_batch=20, remainder="pad")
    # 20 windows hold four examples of 5, two of 10, one of 20; the third of 9 is joined by a short one.
    planned = epoch(config, lengths=np.array([5, 9, 5, 20, 9, 4, 9, 5, 3, 2, 1]))
    assert planned.examples.tolist() == [[3, -1, -1, -1], [1, 4, -1, -1], [6, 0, -1, -1], [2, 5, 7, 8], [9, 10, 10, 10]]
    assert planned.weights.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert planned.windows.tolist() == [20, 9, 9, 5, 2]
    assert len(epoch(dataclasses.replace(config, remainder="drop"), lengths=np.array([5, 9, 5, 9, 4])).examples) == 1


@pytest.mark.parametrize("multiple", [1, 7, 32])
@pytest.mark.parametrize("shuffle", [True, False])
def test_no_batch_is_over_the_budget(multiple: int, shuffle: bool) -> None:
    config = PlanConfig(12, shuffle=shuffle, max_windows_per_batch=900, pad_to_multiple=multiple, remainder="pad")
    for number in range(3):
        planned = epoch(config, number)
        sizes = (planned.examples >= 0).sum(axis=1)
        assert (planned.windows * sizes <= 900).all()
        assert len(set(sizes.tolist())) > 2
        assert all(12 % size == 0 for size in sizes)
        longest = LENGTHS[planned.examples].max(axis=1, where=planned.examples >= 0, initial=0)
        assert (planned.windows % multiple == 0).all()
        assert ((planned.windows >= longest) & (planned.windows < longest + multiple)).all()


def test_steps_do_not_depend_on_what_an_epoch_draws() -> None:
    config = PlanConfig(8, **BUDGET)
    planned = Plan(LENGTHS, config)
    for number in range(3):
        shorter = np.maximum(1, LENGTHS - np.random.default_rng(number).integers(0, 50, len(LENGTHS)))
        drawn = planned.epoch(number, shorter)
        assert len(drawn.examples) == planned.steps
        assert (drawn.windows * (drawn.examples >= 0).sum(axis=1) <= 800).all()


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 12])
def test_workers_share_each_batch(workers: int, settings: dict[str, object]) -> None:
    if workers > 2 and "max_windows_per_batch" in settings:
        settings = {**settings, "max_windows_per_batch": 200 * 12}  # every batch is of 12
    whole = PlanConfig(12, seed=2, **settings)
    planned = epoch(whole, 4)
    shares = [epoch(dataclasses.replace(whole, worker=worker, workers=workers), 4) for worker in range(workers)]
    assert all(share.examples.shape == (len(planned.examples), 12 // workers) for share in shares)
    for step in range(len(planned.examples)):
        pairs = [pair for s in shares for pair in zip(s.examples[step], s.weights[step], strict=True)]
        assert sorted(pairs) == sorted(zip(planned.examples[step], planned.weights[step], strict=True))
        assert {(share.examples[step] >= 0).sum() for share in shares} == {
            (planned.examples[step] >= 0).sum() / workers
        }
        assert {share.windows[step] for share in shares} == {planned.windows[step]}


def test_batches_are_of_like_length() -> None:
    def padding(config: PlanConfig) -> int:
        lengths = LENGTHS[epoch(config).examples]
        return int((lengths.max(axis=1, keepdims=True) - lengths).sum())

    assert padding(PlanConfig(8)) * 5 < padding(PlanConfig(8, shuffle=False))


def test_batches_are_not_in_the_order_of_their_lengths() -> None:
    longest = epoch(PlanConfig(8)).windows.tolist()
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@pytest.mark.parametrize("settings", [{}, BUDGET, {"shuffle": False}], ids=str)
def test_a_mixture_keeps_to_its_shares_and_to_each_datasets_permutations(settings: dict[str, object]) -> None:
    source = np.repeat([0, 1, 2], [60, 31, 10])
    config = PlanConfig(4, seed=1, mix=(1.0, 1.0, 2.0), remainder="pad", **settings)
    planned = Plan(LENGTHS, config, source)
    seen = np.zeros(len(LENGTHS), int)
    for number in range(7):
        rows = counted(planned.epoch(number, LENGTHS))
        np.testing.assert_allclose(np.bincount(source[rows]), [25, 25, 50], atol=3)
        seen += np.bincount(rows, minlength=len(seen))
        if "max_windows_per_batch" not in settings:
            spread = [np.ptp(seen[source == place]) for place in range(3)]
            assert max(spread) <= 1  # none comes twice before all have come once
    assert seen.min() > 0


def test_without_shares_a_mixture_gives_each_example_once() -> None:
    source = np.repeat([0, 1], [70, 31])
    planned = Plan(LENGTHS, PlanConfig(8, remainder="pad"), source).epoch(2, LENGTHS)
    assert counted(planned) == list(range(101))
    mixed = [len(set(source[rows].tolist())) for rows in planned.examples]
    assert mixed.count(2) > 8


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
def test_steps(examples: int, size: int, remainder: str, steps: int) -> None:
    lengths = np.full(examples, 10)
    planned = Plan(lengths, PlanConfig(size, remainder=remainder))
    assert planned.steps == steps
    assert len(planned.epoch(0, lengths).examples) == steps


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"max_windows_per_batch": 19},
            "max_windows_per_batch: want at least 20, the longest example once augmented, got 19",
        ),
        (
            {"max_windows_per_batch": 20, "pad_to_multiple": 16},
            "want at least 32, the longest example once augmented, got 20",
        ),
        (
            {"max_windows_per_batch": 40, "batch_size": 4, "workers": 4},
            r"workers: 4 do not divide batches of 2, which is what max_windows_per_batch 40 leaves .* of \[1, 2\]",
        ),
        ({"mix": (1.0, 1.0)}, r"mix: want a share for each of 1 datasets, got \[1.0, 1.0\]"),
    ],
)
def test_what_does_not_fit_the_examples_is_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(DataError, match=match):
        Plan(np.array([10, 20, 5]), PlanConfig(**settings))
