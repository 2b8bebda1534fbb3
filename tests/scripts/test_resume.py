"""Training that is stopped, and goes on, as a user's is: by signals to the command, on shards, with augmentation."""

import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import datasets
from tests.scripts import commands

STEPS = 6  # of an epoch: 24 words, four at a time
SMALL = ["--unit=word", "--width=0.0625", "--lstm_units=4", "--nobidirectional", "--batch_size=4", "--epochs=3"]
VARIED = ["--shift=2", "--flip=0.5", "--brightness=20", "--speed=0.1", "--dropout=0.3", "--checkpoint_every=4"]
STOPPED = """
import signal
from scripts.common import experiment
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run where it is ignored
batches = experiment.batches

def stopping(data, split, config, order, augmented, step, **reading):
    for number, batch in enumerate(batches(data, split, config, order, augmented, step, **reading), step):
        if divmod(number, STEPS) == AT:
            signal.raise_signal(SIGNAL)
        yield batch

experiment.batches = stopping
"""


def _position(run: Path) -> tuple[int, int]:
    """Epoch and step of the last checkpoint."""
    state = tf.train.load_checkpoint(str(run / "last"))
    return tuple(int(state.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE")) for name in ("epoch", "step"))


def _weights(run: Path) -> dict[str, np.ndarray]:
    """All that training carries, the optimizer's moments too."""
    state = tf.train.load_checkpoint(str(run / "last"))
    names = sorted(name for name in state.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE"))
    return {name: state.get_tensor(name) for name in names if not name.startswith("save_counter")}


STOPS = (
    (signal.SIGINT, (0, 2), (0, 3)),  # the step at hand is learned
    (signal.SIGTERM, (1, 1), (1, 2)),
    (signal.SIGHUP, (1, 4), (1, 5)),
    (signal.SIGKILL, (2, 5), (2, 4)),  # before the 18th batch: checkpoints are every fourth
)


@pytest.mark.parametrize("stops", [STOPS[::3], pytest.param(STOPS, marks=pytest.mark.slow)], ids=["twice", "four"])
def test_a_run_stopped_in_mid_epoch_equals_an_unbroken_one(tmp_path: Path, stops: tuple) -> None:
    clips = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(8)]
    datasets.write_dataset(tmp_path / "data", {"train": [clips]})
    command = ["train", f"--data={tmp_path / 'data'}", *SMALL, *VARIED, "--output"]
    whole, run = commands.start(*command, str(tmp_path / "whole")), tmp_path / "run"
    for number, at, left in stops:
        stopped = STOPPED.replace("AT", str(at)).replace("STEPS", str(STEPS)).replace("SIGNAL", str(int(number)))
        code, printed = commands.altered(stopped, *command, str(run))
        assert (code, _position(run)) == (-number if number == signal.SIGKILL else 128 + number, left), printed
        if number != signal.SIGKILL:
            assert f"stopped: the same command continues from here; {left[0] * STEPS + left[1]} of 18 steps" in printed
    (printed,) = commands.run([*command, str(run)])
    assert "finished; 18 of 18 steps" in printed
    stderr = whole.communicate()[1]
    assert whole.returncode == 0, stderr
    want, got = _weights(tmp_path / "whole"), _weights(run)
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
