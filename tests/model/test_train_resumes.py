"""A run that was stopped or killed at any step goes on to the weights of one that was not."""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model.checkpoints import restore
from model.lipreader import LipReader
from model.train import train
from tests.model import readers, runs


def test_a_run_resumed_after_a_stop_equals_an_unbroken_one(tmp_path: Path, batch: Callable) -> None:
    _assert_resumes(2, tmp_path, batch)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("stop_after", [3, 5])
def test_it_resumes_at_every_step(stop_after: int, tmp_path: Path, batch: Callable) -> None:
    _assert_resumes(stop_after, tmp_path, batch)


def _assert_resumes(stop_after: int, tmp_path: Path, batch: Callable) -> None:
    whole, broken, resumed = (LipReader(runs.CONFIG, seed=1) for _ in range(3))
    stop = threading.Event()
    train(whole, runs.QUICK, runs.stream(batch), runs.STEPS, tmp_path / "whole")

    result = train(broken, runs.QUICK, runs.stream(batch, stop, stop_after), runs.STEPS, tmp_path / "run", stop=stop)
    assert (result.interrupted, result.steps) == (True, stop_after)

    result = train(resumed, runs.QUICK, runs.stream(batch), runs.STEPS, tmp_path / "run")
    assert (result.interrupted, result.steps) == (False, 6)
    runs.assert_equal(resumed, whole)


class _KilledError(Exception):
    pass


@pytest.mark.usefixtures("eager")
def test_a_kill_costs_the_steps_since_the_last_checkpoint(tmp_path: Path, batch: Callable) -> None:
    """In the second of two epochs of five steps, before the ninth: checkpoints are every third step and each epoch."""
    config, asked = dataclasses.replace(runs.QUICK, checkpoint_every=3), []
    whole, killed, resumed = (LipReader(runs.CONFIG, seed=1) for _ in range(3))

    def batches(last: int) -> Callable[[int], Iterator[dict]]:
        def stream(first: int) -> Iterator[dict]:
            asked.append(first)
            for number in itertools.count(first):
                if number == last:
                    raise _KilledError
                yield batch(seed=number)

        return stream

    train(whole, config, batches(99), 5, tmp_path / "whole")
    with pytest.raises(_KilledError):
        train(killed, config, batches(8), 5, tmp_path / "run")
    asked.clear()
    train(resumed, config, batches(99), 5, tmp_path / "run")
    assert asked == [6]
    runs.assert_equal(resumed, whole)


@pytest.mark.usefixtures("eager")
def test_a_finished_run_has_nothing_left_to_learn(tmp_path: Path, batch: Callable) -> None:
    first, again = LipReader(runs.CONFIG, seed=1), LipReader(runs.CONFIG, seed=2)
    config = dataclasses.replace(runs.QUICK, epochs=1)
    train(first, config, runs.stream(batch), runs.STEPS, tmp_path)
    result = train(again, config, runs.stream(batch), runs.STEPS, tmp_path)
    assert (result.steps, result.loss) == (3, None)
    runs.assert_equal(again, first)


@pytest.mark.usefixtures("eager")
def test_averages_are_validated_and_kept_and_resumed(tmp_path: Path, batch: Callable) -> None:
    config = dataclasses.replace(runs.QUICK, ema=0.9, learning_rate=0.1, patience=9)
    whole, broken, resumed, read = (LipReader(runs.CONFIG, seed=1) for _ in range(4))
    seen: list[np.ndarray] = []

    def validate() -> dict[str, float]:
        seen.append(whole.head.bias.numpy())
        return {"cer": 1.0 / len(seen)}

    train(whole, config, runs.stream(batch), runs.STEPS, tmp_path / "whole", validate)
    assert np.abs(seen[1] - whole.head.bias.numpy()).max() > 1e-3
    readers.write_run(tmp_path / "whole", runs.CONFIG, train={"ema": 0.9})
    for which in ("best", "last"):
        restore(read, tmp_path / "whole", which)
        np.testing.assert_allclose(read.head.bias, seen[1], rtol=1e-6)

    stop = threading.Event()
    train(broken, config, runs.stream(batch, stop, 4), runs.STEPS, tmp_path / "run", stop=stop)
    train(resumed, config, runs.stream(batch), runs.STEPS, tmp_path / "run")
    runs.assert_equal(resumed, whole)
    readers.write_run(tmp_path / "run", runs.CONFIG, train={"ema": 0.9})
    restore(read, tmp_path / "run", "last")
    np.testing.assert_array_equal(read.head.bias, seen[1])
