import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from model.config import LipReaderConfig, TrainConfig
from model.lipreader import LipReader
from model.progress import Epoch, Reporter
from model.train import train

CONFIG = LipReaderConfig(classes=3, width=0.0625, lstm_units=5, bidirectional=False)
ONCE = TrainConfig(epochs=1, checkpoint_every=100)
STEPS = 6


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """Steps run op by op: for few steps that is sooner done than a trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _profiles(run: Path) -> list[Path]:
    return list((run / "tensorboard" / "train" / "plugins" / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize(
    ("epochs", "order"),
    [
        (
            1,
            "read 0, ended 0, read 1, start, read 2, read 3, ended 1, ended 2, stop, read 4, read 5, "
            "ended 3, ended 4, ended 5, epoch",
        ),
        (
            2,
            "read 0, ended 0, read 1, start, read 2, ended 1, ended 2, stop, epoch, read 3, read 4, read 5, "
            "ended 3, ended 4, ended 5, epoch",
        ),
    ],
    ids=["in mid-epoch", "to the end of an epoch"],
)
def test_no_other_step_is_under_way_while_steps_are_recorded(
    epochs: int, order: str, tmp_path: Path, batch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 1 and 2 are; a step is read, then given to the device."""
    seen: list[str] = []

    class Listener(Reporter):
        def step(self, step: int, values: dict[str, float]) -> None:
            seen.append(f"ended {step - 1}")

        def epoch(self, result: Epoch) -> None:
            seen.append("epoch")

    def batches(first: int) -> Iterator[dict]:
        for step in range(first, STEPS):
            seen.append(f"read {step}")
            yield batch(seed=step)

    def spied(name: str, call: Callable) -> Callable:
        return lambda *arguments: (seen.append(name), call(*arguments))

    for name in ("start", "stop"):
        monkeypatch.setattr(tf.profiler.experimental, name, spied(name, getattr(tf.profiler.experimental, name)))
    config, how = dataclasses.replace(ONCE, epochs=epochs), {"reporter": Listener(), "profile_steps": (1, 3)}
    train(LipReader(CONFIG), config, batches, STEPS // epochs, tmp_path, **how)
    assert ", ".join(seen) == order
    assert len(_profiles(tmp_path)) == 1


def test_a_run_that_goes_on_between_the_steps_to_profile_records_the_rest(tmp_path: Path, batch: Callable) -> None:
    batches = lambda first: (batch(seed=step) for step in range(first, STEPS))  # noqa: E731
    train(LipReader(CONFIG), ONCE, batches, STEPS // 2, tmp_path)
    assert not _profiles(tmp_path)
    train(LipReader(CONFIG), dataclasses.replace(ONCE, epochs=2), batches, STEPS // 2, tmp_path, profile_steps=(2, 5))
    assert len(_profiles(tmp_path)) == 1
