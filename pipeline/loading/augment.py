"""Augmentation: one draw a clip and epoch, stateless, on uint8 lip frames.

A draw is a function of (seed, epoch, clip, word) alone, whatever else is read. What changes the number of frames is
drawn here too, in NumPy, so that the plan knows every length exactly.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from pipeline.loading import examples
from pipeline.schema import CROP, Clip, Word

STREAM = 4  # of random numbers, beside those of the plan
SHIFT, FLIP, LIGHT, MASK = range(4)  # what a clip's seed is folded with
MIDDLE = 128  # the gray that contrast turns about
WHOLE = -1  # the word of an example that is a whole clip, as in `table.Examples`
GAMMA = np.uint64(0x9E3779B97F4A7C15)  # the step of SplitMix64, odd


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """How clips are varied; everything is off by default.

    Attributes:
      shift: pixels, the crop moves by up to so many each way; the edge's pixels fill what comes in.
      flip: probability that left and right are swapped.
      brightness: gray levels of 255, added or taken, up to so many.
      contrast: the distance from middle gray is multiplied by 1 - contrast to 1 + contrast.
      mask_frames: longest run of frames that is replaced by the clip's mean picture (Ma et al. 2022).
      masks: how many such runs, of 0 to `mask_frames` frames each.
      speed: clips are played at 1 - speed to 1 + speed times their speed, by repeating or dropping frames.
    """

    shift: int = 0
    flip: float = 0.0
    brightness: int = 0
    contrast: float = 0.0
    mask_frames: int = 0
    masks: int = 1
    speed: float = 0.0

    def __post_init__(self) -> None:
        for field, most in (("shift", CROP // 2), ("brightness", 255), ("mask_frames", 1000)):
            if not 0 <= getattr(self, field) <= most:
                raise ValueError(f"{field}: want 0 to {most}, got {getattr(self, field)}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: want a probability, got {self.flip}")
        for field in ("contrast", "speed"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}: want 0 <= {field} < 1, got {getattr(self, field)}")
        if self.masks < 1:
            raise ValueError(f"masks: want at least 1, got {self.masks}")
        if self.masks > 1 and not self.mask_frames:
            raise ValueError(f"masks: goes with mask_frames, which are 0, got {self.masks}")


def keys(ids: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Uint64 [N]: hashes of clip ids, str [N], and of the numbers of their words, int64 [N]."""
    letters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1)  # UTF-32, zeros behind
    folded = np.zeros(len(ids), np.uint64)
    # A polynomial, to which the zeros add nothing: a longer id elsewhere changes no key.
    for column, power in zip(letters.T, np.cumprod(np.full(letters.shape[1], GAMMA)), strict=True):
        folded += column.astype(np.uint64) * power
    return _mixed(_mixed(folded) + word.astype(np.uint64))


def splitmix(state: np.ndarray, count: int) -> np.ndarray:
    """Uint64 [N, count]: the first numbers of N generators SplitMix64 (Steele et al. 2014), of states uint64 [N]."""
    return _mixed(state[:, None] + GAMMA * np.arange(1, count + 1, dtype=np.uint64))


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return bits ^ bits >> np.uint64(31)


def draw(
    clips: np.ndarray,
    frames: np.ndarray,
    least: np.ndarray,
    most: int | None,
    config: AugmentConfig,
    seed: int,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """An epoch's draw for every example, by itself.

    Args:
      clips: uint64 [N], what `keys` makes of each example.
      frames: int64 [N], of each example.
      least: int64 [N], the fewest that hold its label: none gets faster than that.
      most: none gets longer than this, nor than it is; None for no bound.
      config: what is drawn.
      seed: of the run.
      epoch: from 0.

    Returns:
      frames: int64 [N], after the change of speed.
      seeds: int64 [N, 2], for `apply`.
    """
    stream = np.random.default_rng((seed, STREAM, epoch)).integers(2**64, dtype=np.uint64)
    random = splitmix(clips ^ stream, 3)
    seeds = (random[:, :2] >> np.uint64(33)).astype(np.int64)  # below 2^31
    speed = 1 + config.speed * ((random[:, 2] >> np.uint64(11)) * 2.0**-52 - 1)  # uniform in [1 - speed, 1 + speed)
    count = np.rint(frames / speed).astype(np.int64)
    return np.clip(count, np.minimum(least, frames), longest(frames, most, config)), seeds


def longest(frames: np.ndarray, most: int | None, config: AugmentConfig) -> np.ndarray:
    """int64 [N]: the most frames that `draw` gives each example in any epoch."""
    slowest = np.rint(frames / (1 - config.speed)).astype(np.int64)
    return slowest if most is None else np.maximum(frames, np.minimum(slowest, most))


def played(frames: np.ndarray, counts: np.ndarray, places: int) -> np.ndarray:
    """Int64 [B, places]: which of `frames` [B] frames to show so that they last `counts` [B]: the nearest in time.

    Frame k of the result stands at (k + 1/2) / count of the clip; those from `counts` on mean nothing.
    """
    return (2 * np.arange(places) + 1) * frames[:, np.newaxis] // (2 * counts[:, np.newaxis])


def batch(frames: tf.Tensor, counts: tf.Tensor, seeds: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """`apply` to every row of a batch, and not to its padding.

    Args:
      frames: uint8 [B, F, 112, 112].
      counts: int [B], the frames of each row, at least one.
      seeds: int64 [B, 2].
      config: how.

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
    """One clip, varied by all that `config` has switched on but `speed`.

    Args:
      frames: uint8 [F, 112, 112].
      seed: int64 [2]; the same seed, the same result.
      config: how.

    Returns:
      uint8 [F, 112, 112].
    """
    frames = shift(frames, _fold(seed, SHIFT), config.shift) if config.shift else frames
    frames = flip(frames, _fold(seed, FLIP), config.flip) if config.flip else frames
    lit = config.brightness or config.contrast
    frames = light(frames, _fold(seed, LIGHT), config.brightness, config.contrast) if lit else frames
    return mask(frames, _fold(seed, MASK), config.mask_frames, config.masks) if config.mask_frames else frames


def _fold(seed: tf.Tensor, place: int) -> tf.Tensor:
    return tf.random.fold_in(seed, place)


def varied(clip: Clip, config: AugmentConfig, seed: int, epoch: int) -> Clip:
    """A clip as training on whole sentences, spelled, sees it in an epoch, its words and gaps moved along."""
    total = len(clip.frames)
    one, least = keys(np.array([clip.id]), np.array([WHOLE])), examples.fewest([list(clip.text)])
    counts, seeds = draw(one, np.array([total]), least, None, config, seed, epoch)
    (shown,) = played(np.array([total]), counts, int(counts[0]))
    frames = apply(tf.constant(clip.frames[shown]), tf.constant(seeds[0]), config).numpy()
    edges = {word: np.searchsorted(shown, [word.start, word.stop]).tolist() for word in clip.words}
    words = tuple(Word(word.text, *edge) for word, edge in edges.items() if edge[0] < edge[1])
    changed = {"id": f"{clip.id} (epoch {epoch})", "frames": frames, "tracked": clip.tracked[shown], "words": words}
    return dataclasses.replace(clip, **changed)


def shift(frames: tf.Tensor, seed: tf.Tensor, most: int) -> tf.Tensor:
    """`out[t, y, x] = frames[t, y + dy, x + dx]`, dy and dx whole and uniform in [-most, most], clamped to the edge."""
    by = tf.random.stateless_uniform([2], seed, 0, 2 * most + 1, tf.int32)
    rows = tf.clip_by_value(tf.range(CROP) + by[0] - most, 0, CROP - 1)
    left, right = (tf.repeat(edge, most, axis=2) for edge in (frames[:, :, :1], frames[:, :, -1:]))
    wide = tf.concat([left, frames, right], axis=2)[:, :, by[1] : by[1] + CROP]  # columns: copied, not gathered
    return tf.ensure_shape(tf.gather(wide, rows, axis=1), [None, CROP, CROP])


def flip(frames: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Left and right swapped with this probability."""
    swapped = tf.random.stateless_uniform([], seed) < probability
    return tf.cond(swapped, lambda: tf.reverse(frames, [2]), lambda: frames)


def light(frames: tf.Tensor, seed: tf.Tensor, brightness: int, contrast: float) -> tf.Tensor:
    """`round(c frames + (1 - c) 128 + b)` within 0 to 255, halves to even.

    c is uniform in [1 - contrast, 1 + contrast), b in [-brightness, brightness).
    """
    drawn = tf.random.stateless_uniform([2], seed, -1, 1)
    scale = 1 + contrast * drawn[0]
    offset = (1 - scale) * MIDDLE + brightness * drawn[1]
    levels = tf.round(tf.cast(frames, tf.float32) * scale + offset)
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def mask(frames: tf.Tensor, seed: tf.Tensor, most: int, masks: int) -> tf.Tensor:
    """Up to `masks` runs of 0 to `most` frames become the clip's mean picture, rounded to the nearest."""
    total = tf.shape(frames)[0]
    drawn = tf.random.stateless_uniform([2, masks, 1], seed)
    length = tf.cast(drawn[0] * (most + 1), tf.int32)
    start = tf.cast(drawn[1] * tf.cast(tf.maximum(total - length, 0) + 1, tf.float32), tf.int32)
    place = tf.range(total)
    hidden = tf.reduce_any((place >= start) & (place < start + length), axis=0)  # [masks, F] -> [F]
    mean = (tf.reduce_sum(tf.cast(frames, tf.int32), axis=0) + total // 2) // total
    return tf.where(hidden[:, None, None], tf.cast(mean, tf.uint8)[None], frames)
