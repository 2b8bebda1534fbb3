from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import augment
from pipeline.loading.config import AugmentConfig
from pipeline.records.strings import StringArray
from tests import datasets

FRAMES = np.random.default_rng(0).integers(0, 256, [9, 112, 112], np.uint8)
EVERYTHING = AugmentConfig(shift=9, flip=0.5, brightness=40, contrast=0.4, zoom=0.1, erase=0.5, mask_frames=4, masks=2)
SEEDS = [(3, 5), (2**31 - 1, 0), (17, 2**31 - 1)]
OPS = {
    "shift": lambda frames, seed: augment.shift(frames, seed, 9),
    "flip": lambda frames, seed: augment.flip(frames, seed, 0.5),
    "light": lambda frames, seed: augment.light(frames, seed, 40, 0.4),
    "zoom": lambda frames, seed: augment.zoom(frames, seed, 0.2),
    "erase": lambda frames, seed: augment.erase(frames, seed, 0.5),
    "mask": lambda frames, seed: augment.mask(frames, seed, 4, 2),
    "apply": lambda frames, seed: augment.apply(frames, seed, EVERYTHING),
}
Op = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def seeds(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2**31, [count, 2])


def clips(count: int) -> np.ndarray:
    return augment.example_keys(StringArray.of(f"s1/c{n}" for n in range(count)), np.full(count, -1))


def uniform(shape: list[int], seed: np.ndarray, *rest: object) -> np.ndarray:
    return tf.random.stateless_uniform(shape, seed, *rest).numpy()


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_eager_and_mapped_are_the_same(op: Op) -> None:
    drawn = np.array([*SEEDS, *seeds(13)], np.int64)
    mapped = tf.data.Dataset.from_tensor_slices(drawn).map(lambda seed: op(tf.constant(FRAMES), seed))
    results = list(mapped.as_numpy_iterator())
    assert mapped.element_spec.shape[1:] == [112, 112]
    for seed, result in zip(drawn, results, strict=True):
        eager = op(tf.constant(FRAMES), tf.constant(seed)).numpy()
        np.testing.assert_array_equal(eager, result)
        assert (eager.dtype, eager.shape) == (np.uint8, FRAMES.shape)
    assert len({result.tobytes() for result in results}) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_shift_is_one_move_for_the_whole_clip(seed: tuple[int, int]) -> None:
    dy, dx = uniform([2], seed, 0, 13, tf.int32) - 6
    padded = np.pad(FRAMES, [(0, 0), (6, 6), (6, 6)], "edge")
    wanted = padded[:, 6 + dy : 118 + dy, 6 + dx : 118 + dx]
    np.testing.assert_array_equal(augment.shift(tf.constant(FRAMES), seed, 6), wanted)


def test_shift_reaches_every_place_and_none_beyond() -> None:
    column, row = np.zeros([2, 1, 112, 112], np.uint8)
    column[:, :, :], row[:, :, :] = np.arange(112), np.arange(112)[:, None]
    moved = {
        (int(augment.shift(row, seed, 1)[0, 50, 50]) - 50, int(augment.shift(column, seed, 1)[0, 50, 50]) - 50)
        for seed in seeds(80)
    }
    assert moved == {(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


def test_flip_happens_as_often_as_asked() -> None:
    picture = np.zeros([1, 112, 112], np.uint8)
    picture[:, :, 0] = 1
    flipped = [int(augment.flip(picture, seed, 0.25)[0, 0, 111]) for seed in seeds(400)]
    assert 60 < sum(flipped) < 140
    np.testing.assert_array_equal(augment.flip(FRAMES, SEEDS[0], 1.0), FRAMES[:, :, ::-1])
    np.testing.assert_array_equal(augment.flip(FRAMES, SEEDS[0], 0.0), FRAMES)


@pytest.mark.parametrize("seed", SEEDS)
def test_light_by_its_equation(seed: tuple[int, int]) -> None:
    drawn = uniform([2], seed, -1, 1)
    scale = np.float32(1) + np.float32(0.5) * drawn[0]
    offset = (np.float32(1) - scale) * np.float32(128) + np.float32(60) * drawn[1]
    wanted = np.clip(np.rint(FRAMES.astype(np.float32) * scale + offset), 0, 255).astype(np.uint8)
    got = augment.light(tf.constant(FRAMES), seed, 60, 0.5).numpy()
    np.testing.assert_array_equal(got, wanted)
    assert not np.array_equal(got, FRAMES)


def test_light_keeps_to_its_bounds() -> None:
    gray = np.full([1, 112, 112], 128, np.uint8)
    levels = np.array(
        [int(augment.light(gray, seed, 10, 0.9)[0, 0, 0]) for seed in seeds(200)]
    )  # contrast turns at 128
    assert levels.min() >= 118
    assert levels.max() <= 138
    assert np.ptp(levels) > 15


@pytest.mark.parametrize("seed", SEEDS)
def test_zoom_stretches_height_and_width_about_the_middle(seed: tuple[int, int]) -> None:
    """Interpolation gives a slope exactly, to rounding; what comes from beyond the border is the border."""
    rows, columns = np.zeros([2, 1, 112, 112], np.uint8)
    rows[:], columns[:] = np.arange(112)[:, None], np.arange(112)
    for height, frames in enumerate((rows, columns)):
        factor = 1 + 0.2 * (2 * uniform([2, 1], seed)[height, 0] - 1)
        wanted = np.clip(55.5 + (np.arange(112) - 55.5) / factor, 0, 111)
        got = augment.zoom(tf.constant(frames), seed, 0.2).numpy()[0]
        got = got[:, 0] if frames is rows else got[0]
        assert np.abs(got - wanted).max() <= 0.51
    np.testing.assert_array_equal(augment.zoom(tf.constant(FRAMES), seed, 0.0), FRAMES)


def test_erase_hides_one_rectangle_as_often_as_asked() -> None:
    frames = np.random.default_rng(1).choice([0, 255], [3, 112, 112]).astype(np.uint8)
    level, hidden = round(frames.mean()), []
    for seed in seeds(200):
        changed = augment.erase(tf.constant(frames), seed, 0.3).numpy() != frames
        rows, columns = np.flatnonzero(changed.any((0, 2))), np.flatnonzero(changed.any((0, 1)))
        if len(rows):
            inside = changed[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert inside.all()
            assert {len(rows), len(columns)} <= set(range(12, 45))
            np.testing.assert_array_equal(augment.erase(tf.constant(frames), seed, 0.3).numpy()[changed], level)
        hidden.append(len(rows) > 0)
    assert 0.2 < np.mean(hidden) < 0.4


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("seed", SEEDS)
def test_masked_frames_are_the_mean_picture_in_runs(frames: int, seed: tuple[int, int]) -> None:
    clip = FRAMES[:frames]
    got = augment.mask(tf.constant(clip), seed, 4, 2).numpy()
    drawn = uniform([2, 2, 1], seed)
    hidden = np.zeros(frames, bool)
    for length, start in drawn[:, :, 0].T:
        run = int(length * np.float32(5))
        first = int(start * np.float32(max(frames - run, 0) + 1))
        hidden[first : first + run] = True
    mean = (clip.sum(0, dtype=int) * 2 + frames) // (2 * frames)
    np.testing.assert_array_equal(got, np.where(hidden[:, None, None], mean, clip))


def test_masks_are_of_all_lengths_up_to_the_longest() -> None:
    lengths = {int((augment.mask(FRAMES, seed, 3, 1).numpy() != FRAMES).any(axis=(1, 2)).sum()) for seed in seeds(60)}
    assert lengths == {0, 1, 2, 3}


def test_frames_shown_at_another_speed() -> None:
    shown = {
        (5, 5): [0, 1, 2, 3, 4],
        (3, 6): [0, 0, 1, 1, 2, 2],
        (6, 3): [1, 3, 5],
        (5, 4): [0, 1, 3, 4],
        (4, 5): [0, 1, 2, 2, 3],
        (7, 1): [3],
    }
    frames, counts = np.array(list(shown)).T
    rows = augment.resample(frames, counts, np.arange(8))
    assert rows.shape == (6, 8)
    for row, (count, want) in zip(rows.tolist(), zip(counts.tolist(), shown.values(), strict=True), strict=True):
        assert row[:count] == want


def test_a_draw_is_pure_and_another_each_epoch_and_seed() -> None:
    frames, config = np.arange(20, 120), AugmentConfig(speed=0.2)
    given = clips(100), frames, np.full(100, 5), None, config
    draws = [augment.draw(*given, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    again = augment.draw(*given, 0, 0)
    for column in range(2):
        np.testing.assert_array_equal(draws[0][column], again[column])
        assert len({draw[column].tobytes() for draw in draws}) == 3
    assert draws[0][1].shape == (100, 2)


def test_the_generator_is_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    got = augment.splitmix(np.array([7, 1234567], np.uint64), 4)
    assert got.dtype == np.uint64
    assert got[1].tolist() == published


def test_a_key_is_of_the_clip_and_its_word_alone() -> None:
    ids = StringArray.of(["s1/a", "s1/b", "s1/a", "ü", "s1/aa", "a/s1"])
    word = np.array([-1, -1, 0, 1, -1, -1])
    together = augment.example_keys(ids, word)
    assert (together.dtype, len(set(together.tolist()))) == (np.uint64, 6)
    for place in range(6):
        assert augment.example_keys(ids[place : place + 1], word[[place]]) == together[place]
    assert augment.example_keys(ids[::2], word[::2]).tolist() == together[::2].tolist()


def test_draws_are_spread_and_independent_of_each_other() -> None:
    given = clips(20_000), np.full(20_000, 1000), np.full(20_000, 5), None, AugmentConfig(speed=0.5)
    frames, drawn = augment.draw(*given, 0, 0)
    _, later = augment.draw(*given, 0, 1)
    values = np.column_stack([1000 / frames - 0.5, drawn / 2**31, later / 2**31])
    assert drawn.min() >= 0
    assert drawn.max() < 2**31
    np.testing.assert_allclose(values.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(values.T), np.eye(5), atol=0.03)
    counts = [np.histogram(column, 16, (0, 1))[0] for column in values.T]
    np.testing.assert_allclose(counts, 1250, rtol=0.15)


def test_a_draw_keeps_to_its_bounds() -> None:
    frames, min_frames = np.repeat([10, 50, 50, 120], 500), np.repeat([5, 5, 48, 200], 500)
    config = AugmentConfig(speed=0.5)
    drawn, _ = augment.draw(clips(2000), frames, min_frames, 90, config, 0, 0)
    played = drawn.reshape(4, 500)
    np.testing.assert_allclose(played.min(axis=1), [7, 33, 48, 120], atol=1)
    np.testing.assert_allclose(played.max(axis=1), [20, 90, 90, 120], atol=1)
    assert (drawn <= augment.max_drawn_frames(frames, 90, config)).all()
    assert augment.max_drawn_frames(np.array([10, 50, 120]), 90, config).tolist() == [20, 90, 120]
    assert augment.max_drawn_frames(np.array([10, 50]), None, config).tolist() == [20, 100]
    np.testing.assert_array_equal(augment.draw(clips(2000), frames, min_frames, None, AugmentConfig(), 0, 0)[0], frames)


def test_a_clip_to_be_looked_at_has_its_words_moved_along() -> None:
    clip = datasets.clip("s1/a", 20, [("bin", 2, 8), ("at", 8, 9), ("now", 12, 20)])
    config, lengths = AugmentConfig(speed=0.5), set()
    for epoch in range(12):
        seen = augment.apply_to_clip(clip, config, 0, epoch)
        shown = [next(t for t in range(20) if (clip.frames[t] == frame).all()) for frame in seen.frames]
        for word in seen.words:
            own = next(each for each in clip.words if each.text == word.text)
            assert [own.start <= t < own.stop for t in shown] == [
                word.start <= t < word.stop for t in range(len(shown))
            ]
        assert seen.tracked.tolist() == [t != 3 for t in shown]
        assert {"bin", "now"} <= {word.text for word in seen.words}
        lengths.add(len(seen.frames))
    assert min(lengths) < 20 < max(lengths)
    assert seen.id == "s1/a (epoch 11)"
    flipped = augment.apply_to_clip(clip, AugmentConfig(flip=1.0), 0, 0)
    np.testing.assert_array_equal(flipped.frames, clip.frames[:, :, ::-1])
