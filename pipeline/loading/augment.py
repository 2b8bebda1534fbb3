"""Augments uint8 lip frames with stateless random operations, one draw for each example and epoch.

A draw is a function of (seed, epoch, clip, word) alone, whatever else is read; that of `splice` also of who may be a
donor. The speed, which changes the number of frames, is drawn in NumPy, so that the plan knows every length exactly.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import tensorflow as tf

from pipeline.loading import windows
from pipeline.loading.config import AugmentConfig
from pipeline.records.strings import StringArray
from pipeline.schema import CROP, Clip, Word
from pipeline.vocab import min_ctc_windows

STREAM = 4  # the stream of random numbers; the plan has 1 to 3
SHIFT, FLIP, LIGHT, MASK, ZOOM, ERASE = range(6)  # what the seed of a clip is folded with
ERASED_MIN, ERASED_MAX = 12, 44  # pixels, of the sides of an erased rectangle
MIDDLE_GRAY = 128  # the level that contrast does not change
WHOLE_CLIP = -1  # the word of an example that is a whole clip, as in `examples.Examples`
Numbers = TypeVar("Numbers", np.ndarray, tf.Tensor)
GAMMA = np.uint64(0x9E3779B97F4A7C15)  # the increment of SplitMix64


def example_keys(ids: StringArray, word: np.ndarray) -> np.ndarray:
    """Hashes the clip ids and word numbers, integers [N], of N examples to uint64 [N]."""
    points, ends = ids.points()
    lengths = np.diff(ends, prepend=0)
    powers = np.cumprod(np.full(lengths.max(initial=0), GAMMA))
    terms = points.astype(np.uint64) * powers[np.arange(len(points)) - np.repeat(ends - lengths, lengths)]
    summed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
    folded = summed[ends] - summed[ends - lengths]  # of each id a polynomial of its code points, modulo 2^64
    return _mixed(_mixed(folded) + word.astype(np.uint64))


def splitmix(state: np.ndarray, count: int) -> np.ndarray:
    """uint64 [N, count]: the first numbers of N SplitMix64 generators (Steele et al. 2014) with these states."""
    return _mixed(state[:, None] + GAMMA * np.arange(1, count + 1, dtype=np.uint64))


def uniform(bits: np.ndarray) -> np.ndarray:
    """float64, uniform in [0, 1), of uint64 of the same shape."""
    return (bits >> np.uint64(11)) * 2.0**-53


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return bits ^ bits >> np.uint64(31)


def draw(
    keys: np.ndarray,
    frames: np.ndarray,
    min_frames: np.ndarray,
    max_frames: int | None,
    config: AugmentConfig,
    seed: int,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the length and the seed of every example in an epoch; each draw is independent of the other examples.

    Args:
      keys: uint64 [N], from `example_keys`.
      frames: integers [N], the length of each example.
      min_frames: integers [N], the minimal length in which CTC can emit its label; no speed gives less.
      max_frames: no speed lengthens an example beyond this; None for no limit.
      config: what is drawn.
      seed: of the run.
      epoch: from 0.

    Returns:
      frames: int64 [N], after the change of speed.
      seeds: int64 [N, 2], for `apply`.
    """
    stream = np.random.default_rng((seed, STREAM, epoch)).integers(2**64, dtype=np.uint64)
    random = splitmix(keys ^ stream, 3)
    seeds = (random[:, :2] >> np.uint64(33)).astype(np.int64)  # below 2^31
    speed = 1 + config.speed * (2 * uniform(random[:, 2]) - 1)
    count = np.rint(frames / speed).astype(np.int64)
    return np.clip(count, np.minimum(min_frames, frames), max_drawn_frames(frames, max_frames, config)), seeds


def max_drawn_frames(frames: np.ndarray, max_frames: int | None, config: AugmentConfig) -> np.ndarray:
    """Integers [N]: the maximum length that `draw` gives each example in any epoch."""
    if not config.speed:
        return frames
    slowest = np.rint(frames / (1 - config.speed)).astype(np.int64)
    return slowest if max_frames is None else np.maximum(frames, np.minimum(slowest, max_frames))


def resample(frames: Numbers, counts: Numbers, places: Numbers) -> Numbers:
    """int64 [B, T]: the nearest source frame of each of `places` [T], when `frames` [B] are played in `counts` [B].

    Frame k of the result lies at (k + 1/2) / count of the clip. Entries from `counts` on are meaningless.
    """
    return (2 * places + 1) * frames[:, np.newaxis] // (2 * counts[:, np.newaxis])


def spliced(shown: tf.Tensor, cut_start: tf.Tensor, cut_stop: tf.Tensor, count: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Where the frames of spliced clips lie in the frames of the clip with those of its donor behind them.

    Args:
      shown: int64 [B, T], frames of the spliced clip.
      cut_start: int64 [B], the first frame of the clip that gives way.
      cut_stop: int64 [B], the frame behind the last of them.
      count: int64 [B], frames of the donor that come in.
      own: int64 [], frames of the clip, padding included.

    Returns:
      int64 [B, T].
    """
    cut_start, cut_stop, count = (column[:, tf.newaxis] for column in (cut_start, cut_stop, count))
    behind = tf.where(shown < cut_start + count, own + shown - cut_start, shown - count - cut_start + cut_stop)
    return tf.where(shown < cut_start, shown, behind)


def play(
    frames: tf.Tensor,
    lengths: tf.Tensor,
    counts: tf.Tensor,
    total: tf.Tensor,
    place: Callable[[tf.Tensor], tf.Tensor] = lambda shown: shown,
) -> tf.Tensor:
    """Changes the speed of every row of a batch by repeating or dropping frames; see `resample`.

    Args:
      frames: uint8 [B, F, 112, 112].
      lengths: int64 [B], the valid frames of each row, 0 or less for one that is left out.
      counts: int64 [B], the frames it is played in.
      total: int64 [], the most of `counts`, or more.
      place: where frames of a row, int64 [B, T], lie in `frames`, such as `spliced`.

    Returns:
      uint8 [B, total, 112, 112], with zeros behind the played frames.
    """
    places = tf.range(total)
    shown = place(resample(lengths, counts, places))
    valid = (places < counts[:, tf.newaxis]) & (lengths > 0)[:, tf.newaxis]
    played = tf.gather(frames, tf.where(valid, shown, 0), batch_dims=1)
    return tf.where(valid[:, :, tf.newaxis, tf.newaxis], played, tf.zeros([], tf.uint8))


def apply_to_batch(frames: tf.Tensor, counts: tf.Tensor, seeds: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Augments every row of a batch; padding stays zero.

    Args:
      frames: uint8 [B, F, 112, 112].
      counts: int [B], the valid frames of each row, at least one.
      seeds: int64 [B, 2].
      config: the operations to apply.

    Returns:
      uint8 [B, F, 112, 112].
    """
    total = tf.shape(frames)[1]

    def row(own: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        clip, count, seed = own
        return tf.pad(apply(clip[:count], seed, config), [[0, total - count], [0, 0], [0, 0]])

    spec = tf.TensorSpec([None, CROP, CROP], tf.uint8)
    return tf.map_fn(row, (frames, tf.cast(counts, tf.int32), seeds), fn_output_signature=spec)


def apply(frames: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Augments one clip by every operation of `config` except `speed` and `splice`.

    Args:
      frames: uint8 [F, 112, 112].
      seed: int64 [2]; the same seed gives the same result.
      config: the operations to apply.

    Returns:
      uint8 [F, 112, 112].
    """
    fold = tf.random.fold_in
    frames = shift(frames, fold(seed, SHIFT), config.shift) if config.shift else frames
    frames = zoom(frames, fold(seed, ZOOM), config.zoom) if config.zoom else frames
    frames = flip(frames, fold(seed, FLIP), config.flip) if config.flip else frames
    lit = config.brightness or config.contrast
    frames = light(frames, fold(seed, LIGHT), config.brightness, config.contrast) if lit else frames
    frames = erase(frames, fold(seed, ERASE), config.erase) if config.erase else frames
    return mask(frames, fold(seed, MASK), config.mask_frames, config.masks) if config.mask_frames else frames


def apply_to_clip(clip: Clip, config: AugmentConfig, seed: int, epoch: int) -> Clip:
    """The clip as training on whole, spelled sentences sees it in an epoch, but for `splice`, which takes two.

    Its words and gaps move with its frames.
    """
    total = np.array([len(clip.frames)])
    key = example_keys(StringArray.of([clip.id]), np.array([WHOLE_CLIP]))
    min_frames = windows.frame_count(np.array([max(min_ctc_windows(clip.text), 1)]))
    counts, seeds = draw(key, total, min_frames, None, config, seed, epoch)
    (shown,) = resample(total, counts, np.arange(counts[0]))
    frames = apply(tf.constant(clip.frames[shown]), tf.constant(seeds[0]), config).numpy()
    edges = {word: np.searchsorted(shown, [word.start, word.stop]).tolist() for word in clip.words}
    words = tuple(Word(word.text, *edge) for word, edge in edges.items() if edge[0] < edge[1])
    changed = {"id": f"{clip.id} (epoch {epoch})", "frames": frames, "tracked": clip.tracked[shown], "words": words}
    return dataclasses.replace(clip, **changed)


def shift(frames: tf.Tensor, seed: tf.Tensor, max_shift: int) -> tf.Tensor:
    """Moves a clip: `out[t, y, x] = frames[t, y + dy, x + dx]`, coordinates clamped to the border.

    dy and dx are integers, uniform in [-max_shift, max_shift].
    """
    by = tf.random.stateless_uniform([2], seed, 0, 2 * max_shift + 1, tf.int32)
    rows = tf.clip_by_value(tf.range(CROP) + by[0] - max_shift, 0, CROP - 1)
    left, right = (tf.repeat(edge, max_shift, axis=2) for edge in (frames[:, :, :1], frames[:, :, -1:]))
    wide = tf.concat([left, frames, right], axis=2)[:, :, by[1] : by[1] + CROP]  # slicing is faster than gathering
    return tf.ensure_shape(tf.gather(wide, rows, axis=1), [None, CROP, CROP])


def zoom(frames: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Stretches a clip about its middle, with bilinear interpolation; border pixels are repeated.

    The factors of height and width are each uniform in [1 - largest, 1 + largest).
    """
    factors = 1 + largest * tf.random.stateless_uniform([2, 1], seed, -1, 1)
    middle = (CROP - 1) / 2
    wanted = tf.clip_by_value(middle + (tf.range(CROP, dtype=tf.float32) - middle) / factors, 0, CROP - 1)  # [2, 112]
    # Interpolation is linear along each axis: the frame lies between two matrices of the weights of its pixels.
    weights = tf.nn.relu(1 - tf.abs(wanted[..., None] - tf.range(CROP, dtype=tf.float32)))  # [2, 112 to, 112 from]
    stretched = tf.matmul(tf.matmul(weights[0], tf.cast(frames, tf.float32)), weights[1], transpose_b=True)
    return tf.cast(tf.round(stretched), tf.uint8)


def erase(frames: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Fills a rectangle, the same in each frame, with the clip's mean level, with this probability.

    Its height and width are integers, uniform in [ERASED_MIN, ERASED_MAX]; it lies within the crop.
    """
    sides = tf.random.stateless_uniform([2, 1], seed, ERASED_MIN, ERASED_MAX + 1, tf.int32)
    drawn = tf.random.stateless_uniform([3], tf.random.fold_in(seed, 1))
    first = tf.cast(drawn[:2, None] * tf.cast(CROP + 1 - sides, tf.float32), tf.int32)
    places = tf.range(CROP)
    inside = (places >= first) & (places < first + sides)  # [2, 112]: rows, columns
    erased = inside[0][:, None] & inside[1] & (drawn[2] < probability)  # [112, 112]
    mean = tf.cast(tf.round(tf.reduce_mean(tf.cast(frames, tf.float32))), tf.uint8)
    return tf.where(erased, mean, frames)


def flip(frames: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Swaps left and right with this probability."""
    swapped = tf.random.stateless_uniform([], seed) < probability
    return tf.cond(swapped, lambda: tf.reverse(frames, [2]), lambda: frames)


def light(frames: tf.Tensor, seed: tf.Tensor, brightness: int, contrast: float) -> tf.Tensor:
    """Changes the lighting of a clip: `round(c frames + (1 - c) 128 + b)`, clipped to 0 to 255, halves to even.

    c is uniform in [1 - contrast, 1 + contrast), b in [-brightness, brightness).
    """
    drawn = tf.random.stateless_uniform([2], seed, -1, 1)
    scale = 1 + contrast * drawn[0]
    offset = (1 - scale) * MIDDLE_GRAY + brightness * drawn[1]
    levels = tf.round(tf.cast(frames, tf.float32) * scale + offset)
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def mask(frames: tf.Tensor, seed: tf.Tensor, max_length: int, masks: int) -> tf.Tensor:
    """Replaces `masks` runs of 0 to `max_length` frames by the clip's mean frame, rounded to the nearest level."""
    total = tf.shape(frames)[0]
    drawn = tf.random.stateless_uniform([2, masks, 1], seed)
    length = tf.cast(drawn[0] * (max_length + 1), tf.int32)
    start = tf.cast(drawn[1] * tf.cast(tf.maximum(total - length, 0) + 1, tf.float32), tf.int32)
    time = tf.range(total)
    hidden = tf.reduce_any((time >= start) & (time < start + length), axis=0)  # [masks, F] -> [F]
    mean = (tf.reduce_sum(tf.cast(frames, tf.int32), axis=0) + total // 2) // total
    return tf.where(hidden[:, None, None], tf.cast(mean, tf.uint8)[None], frames)
