"""Laws of every stream: the same again, resumed at any step, permuted, read by any reader, shared by workers."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.loading import dataset as data
from pipeline.loading.config import PADDINGS, AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.examples import select_examples
from pipeline.records.directory import DatasetDir
from pipeline.vocab import Vocabulary
from tests import datasets, laws
from tests.laws import Batch

SENTENCE = DataConfig(Vocabulary.of_characters())
WORD = DataConfig(Vocabulary.of_words([word for word, _, _ in datasets.SPOKEN]), unit="word", margin=1)
Stream = tuple[DatasetDir, str, DataConfig, PlanConfig, AugmentConfig | None]
VARIED = AugmentConfig(shift=5, flip=0.5, brightness=20, contrast=0.2, mask_frames=3, masks=2, speed=0.3)
CUT = {"max_frames": 14, "overlong": "truncate"}
STREAMS = {
    "sentences, raw": ("raw", SENTENCE, {"batch_size": 6}, None, 2),
    "sentences, png, padded, varied": ("png", SENTENCE, {"remainder": "pad"}, VARIED, 4),
    "sentences, in order, cut": ("raw", dataclasses.replace(SENTENCE, **CUT), {"shuffle": False}, VARIED, 2),
    "sentences, on a budget, varied": ("raw", SENTENCE, {"max_windows_per_batch": 96, "remainder": "pad"}, VARIED, 2),
    "words, raw, varied": ("raw", WORD, {"batch_size": 20, "remainder": "pad", "pad_to_multiple": 4}, VARIED, 4),
    "words of one speaker, jpeg, same edge": (
        "jpeg",
        dataclasses.replace(WORD, padding="same", speakers=("s1",)),
        {"remainder": "pad"},
        None,
        2,
    ),
}
EVERY = {
    f"{unit.unit}, {encoding}, {padding}, {'varied' if varied else 'as it is'}, {workers} workers": pytest.param(
        (encoding, dataclasses.replace(unit, padding=padding), {"remainder": "pad"}, varied, workers),
        marks=pytest.mark.slow,
    )
    for unit, encoding, padding, varied, workers in itertools.product(
        (SENTENCE, WORD), ("raw", "jpeg", "png"), PADDINGS, (None, VARIED), (2, 4)
    )
}


@pytest.fixture(scope="module", params=[*STREAMS.values(), *EVERY.values()], ids=[*STREAMS, *EVERY])
def stream(request: pytest.FixtureRequest, tiny: Callable[[str], DatasetDir]) -> tuple[Stream, list[Batch], int]:
    """What decides a stream, two epochs of it, and a number of workers."""
    encoding, config, order, varied, workers = request.param
    stream = tiny(encoding), "train", config, PlanConfig(**{"batch_size": 8, "seed": 3, **order}), varied
    return stream, laws.read(data.load(*stream, epochs=2)), workers


def test_a_stream_is_the_same_again_and_resumes_at_every_step(
    stream: tuple[Stream, list[Batch], int], tmp_path: Path
) -> None:
    settings, whole, _ = stream
    assert len(whole) == 2 * data.steps_per_epoch(*settings)
    laws.resumes(functools.partial(data.load, epochs=2), settings, whole, tmp_path / "position.json")


def test_every_reader_gives_the_same(stream: tuple[Stream, list[Batch], int]) -> None:
    settings, whole, _ = stream
    for reader in ("graph", "direct") if settings[0].encoding.name == "raw" else ("graph",):
        laws.same(laws.read(data.load(*settings, epochs=2, reader=reader, threads=1)), whole)
    laws.same(laws.read(data.portable(*settings, epochs=2)), whole)
    laws.same(laws.read(data.portable(*settings, epoch=1, step=1)), whole[len(whole) // 2 + 1 :])


def test_each_epoch_is_a_permutation_and_another(stream: tuple[Stream, list[Batch], int]) -> None:
    (dataset, split, config, order, varied), whole, _ = stream
    half = len(whole) // 2
    first, second = (list(itertools.chain(*map(counted, epoch))) for epoch in (whole[:half], whole[half:]))
    examples = select_examples(dataset, split, config)
    names = dataset.index.id[examples.record].tolist()
    if config.unit == "word":
        names = [f"{name}#{word}" for name, word in zip(names, examples.word, strict=True)]
    names = sorted(name.encode() for name in names)
    for epoch in (first, second):
        named = sorted(name for name, _ in epoch)
        assert named == names if order.remainder == "pad" else set(named) < set(names)
    assert ([name for name, _ in first] != [name for name, _ in second]) == order.shuffle
    again = dict(second)
    differing = [name for name, clip in first if name in again and not np.array_equal(clip, again[name])]
    assert bool(differing) == bool(varied)


def counted(batch: Batch) -> list[tuple[bytes, np.ndarray]]:
    """Id and valid frames of each row that counts."""
    frames = batch["frames"].shape[1] - batch["in_word"].shape[1] + batch["lengths"]
    return [
        (name, clip[:length])
        for name, clip, length, weight in zip(batch["ids"], batch["frames"], frames, batch["weights"], strict=True)
        if weight
    ]


def test_workers_share_each_batch(stream: tuple[Stream, list[Batch], int]) -> None:
    (dataset, split, config, order, varied), whole, workers = stream
    shares = [dataclasses.replace(order, worker=worker, workers=workers) for worker in range(workers)]
    read = [laws.read(data.load(dataset, split, config, share, varied, epochs=2)) for share in shares]
    laws.shared(whole, read)
