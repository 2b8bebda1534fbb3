"""Plans an epoch: which example goes to which batch, in which order, on which worker. Pure NumPy.

A plan is a function of (examples, settings, epoch) alone, and all epochs have the same number of steps. So the order is
reproducible, every step can be reached at once, and a position in the data is one integer.
"""

import dataclasses
import itertools

import numpy as np

from pipeline.loading.config import PlanConfig, divisors
from pipeline.records.integers import narrow
from pipeline.schema import DataError

POOL_BATCHES = 32  # batches in a pool; the examples of a pool are sorted by length
SORTED_POOLS = 1024  # pools that are sorted at once, which bounds the memory
DRAW, POOL, TURN = 1, 2, 3  # the streams of random numbers


@dataclasses.dataclass(frozen=True)
class Batches:
    """The batches of an epoch, as one worker sees them.

    Attributes:
      examples: integers [steps, batch_size / workers], positions of examples; -1 where `max_windows_per_batch` leaves
        a row empty.
      weights: float32 of the same shape; 0 where a row is empty or only pads the last batch.
      windows: integers [steps], the number of windows that the batch is padded to on all workers.
    """

    examples: np.ndarray
    weights: np.ndarray
    windows: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Stratum:
    """The examples of one dataset that go into batches of one size, and how many of them an epoch reads."""

    size: int
    source: int
    rows: np.ndarray
    count: int


class Plan:
    """The epochs of N examples.

    Attributes:
      steps: batches per epoch.
    """

    def __init__(self, windows: np.ndarray, config: PlanConfig, source: np.ndarray | None = None) -> None:
        """Computes what does not depend on the epoch.

        Args:
          windows: integers [N], the maximum that each example has in any epoch.
          config: the settings.
          source: integers [N], the dataset of a mixture from which each example comes; None if there is only one.

        Raises:
          DataError: `mix` lacks a share for a dataset, `max_windows_per_batch` is less than the longest example, or
            `workers` does not divide the smaller batches.
        """
        source = np.broadcast_to(0, windows.shape) if source is None else source
        self._config = config
        self._strata = _strata(source, _sizes(windows, config), config)
        self._runs, self._counted = _runs(self._strata, config)
        self.steps = sum(steps for _, steps in self._runs)

    def epoch(self, number: int, windows: np.ndarray) -> Batches:
        """The batches of an epoch.

        Examples are permuted over the whole split. Within each pool of 32 batches they are sorted by length, to reduce
        padding. Then the batches are permuted.

        Args:
          number: of the epoch, from 0.
          windows: integers [N], of each example in this epoch, at most those that the plan was made for.
        """
        examples, counts, longest = self._laid_out(self._order(number), windows)
        turn = self._permuted(np.arange(self.steps), TURN, number)
        mine = slice(self._config.worker, None, self._config.workers)
        weights = np.arange(self._config.batch_size)[mine] < counts[turn, np.newaxis]
        return Batches(examples[turn, mine], weights.astype(np.float32), _round_up(longest[turn], self._config))

    def _laid_out(self, order: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The batches before their turns are drawn: examples [steps, batch_size], how many count, the longest."""
        examples = np.full((self.steps, self._config.batch_size), -1, order.dtype)
        counts, longest = np.zeros(self.steps, np.int64), np.zeros(self.steps, windows.dtype)
        done = step = 0
        for size, steps in self._runs:
            rows = self._pooled(order[done : done + size * steps], windows, size)
            done, lacking = done + len(rows), size * steps - len(rows)
            if lacking:
                rows = np.concatenate([rows, np.repeat(rows[-1:], lacking)])
            here = slice(step, step + steps)
            examples[here, :size] = rows.reshape(steps, size)
            longest[here] = windows[rows].reshape(steps, size).max(axis=1)
            counts[here] = size
            step += steps
            counts[step - 1 : step] -= lacking
        return examples, counts, longest

    def _order(self, epoch: int) -> np.ndarray:
        """Integers [n]: the examples of an epoch, those of the smallest batches first."""
        parts = []
        for size, strata in itertools.groupby(self._strata, lambda stratum: stratum.size):
            rows = np.concatenate([self._draw(stratum, epoch) for stratum in strata])
            parts.append(self._permuted(rows, POOL, epoch, size))
        return np.concatenate(parts)[: self._counted]

    def _draw(self, stratum: _Stratum, epoch: int) -> np.ndarray:
        """The next `count` examples of an endless chain of permutations, so that none repeats before all were read."""
        rows, first = stratum.rows, epoch * stratum.count
        turns = range(first // len(rows), -(-(first + stratum.count) // len(rows)))
        chain = np.concatenate([self._permuted(rows, DRAW, turn, stratum.source, stratum.size) for turn in turns])
        skipped = first - turns.start * len(rows)
        return chain[skipped : skipped + stratum.count]

    def _permuted(self, rows: np.ndarray, *stream: int) -> np.ndarray:
        """Permutes rows by the random numbers of (seed, stream); keeps their order without shuffling."""
        if not self._config.shuffle:
            return rows
        return np.random.default_rng((self._config.seed, *stream)).permutation(rows)

    def _pooled(self, rows: np.ndarray, windows: np.ndarray, size: int) -> np.ndarray:
        """Sorts rows by length within each pool of 32 batches."""
        if not self._config.shuffle:
            return rows
        width = POOL_BATCHES * size
        whole = len(rows) // width * width
        pools, rest = rows[:whole].reshape(-1, width), rows[np.newaxis, whole:]
        parts = [pools[start : start + SORTED_POOLS] for start in range(0, len(pools), SORTED_POOLS)]
        return np.concatenate([_by_length(part, windows) for part in (*parts, rest)])


def _by_length(pools: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """[P, width] -> [P * width]: the rows of each pool by length; those of one length keep their order."""
    order = np.argsort(_sortable(windows[pools]), axis=1, kind="stable")
    return np.take_along_axis(pools, order, axis=1).reshape(-1)


def _sortable(windows: np.ndarray) -> np.ndarray:
    """The same numbers as uint16 where they fit, which NumPy sorts by radix, in a quarter of the time."""
    return windows.astype(np.uint16) if windows.max(initial=0) < 1 << 16 else windows


def _round_up(windows: np.ndarray, config: PlanConfig) -> np.ndarray:
    return -(-windows // config.pad_to_multiple) * config.pad_to_multiple


def _sizes(windows: np.ndarray, config: PlanConfig) -> np.ndarray:
    """Integers [N]: the number of rows of a batch whose longest example is this one."""
    if config.max_windows_per_batch is None:
        return np.broadcast_to(config.batch_size, windows.shape)
    choices = np.array(divisors(config.batch_size))
    room = config.max_windows_per_batch // _round_up(windows, config)
    if len(room) and not room.min():
        needed = _round_up(windows, config).max()
        raise DataError(
            f"max_windows_per_batch: want at least {needed}, the longest example once augmented, got "
            f"{config.max_windows_per_batch}; raise it, or set max_frames"
        )
    sizes = choices[np.searchsorted(choices, room, side="right") - 1]
    if any(size % config.workers for size in np.unique(sizes)):
        raise DataError(
            f"workers: {config.workers} do not divide batches of {sizes.min()}, which is what max_windows_per_batch "
            f"{config.max_windows_per_batch} leaves to the longest examples; choose of {divisors(sizes.min())}"
        )
    return sizes


def _strata(source: np.ndarray, size: np.ndarray, config: PlanConfig) -> list[_Stratum]:
    """Groups examples by batch size and dataset, the smallest batches, which hold the longest examples, first."""
    shares = _shares(source, config)
    strata = []
    sizes = np.unique(size if any(size.strides) else size[:1])  # one number, broadcast, needs no sorting
    for each, place in itertools.product(sizes.tolist(), range(len(shares))):
        rows = narrow(np.flatnonzero((size == each) & (source == place)))
        if len(rows):
            strata.append(_Stratum(each, place, rows, max(1, round(shares[place] * len(rows)))))
    return strata


def _shares(source: np.ndarray, config: PlanConfig) -> list[float]:
    """How often an epoch reads each example of each dataset."""
    if not config.mix:
        return [1.0] * (source.max(initial=-1) + 1)
    counts = np.bincount(source)
    if len(config.mix) != len(counts) or not counts.all():
        raise DataError(f"mix: want a share for each of {np.count_nonzero(counts)} datasets, got {list(config.mix)}")
    mix = np.array(config.mix) / sum(config.mix)
    return (mix * len(source) / counts).tolist()


def _runs(strata: list[_Stratum], config: PlanConfig) -> tuple[list[tuple[int, int]], int]:
    """Returns (batch size, number of such batches) for each size, and the number of examples in all of them.

    Smaller batches, of longer examples, are filled up with shorter examples, so that only the last batch is incomplete.
    """
    runs, total, taken = [], 0, 0
    for size, group in itertools.groupby(strata, lambda stratum: stratum.size):
        total += sum(stratum.count for stratum in group)
        steps = -(-(total - taken) // size)
        if steps > 0:
            runs.append((size, steps))
            taken += size * steps
    if taken > total and config.remainder == "drop":
        size, steps = runs.pop()
        runs.append((size, steps - 1))
        taken -= size
    return runs, min(taken, total)
