"""What TensorBoard shows of a training: curves, of which `train` and `val` share the chart `loss`, and a profile."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf


class Curves:
    """Writes scalars to `train/` and `val/` below a directory; nothing at all with `writes` False.

    `train` has `loss`, `speed/windows_per_s`, `speed/waiting` (share of the time), `optimizer/gradient_norm`,
    `optimizer/learning_rate` and, in float16, `optimizer/loss_scale`. `val` has `loss` and `metrics/…`.
    """

    def __init__(self, directory: Path, writes: bool) -> None:
        make = tf.summary.create_file_writer if writes else lambda path: tf.summary.create_noop_writer()
        self._train, self._val = (make(str(directory / part)) for part in ("train", "val"))

    def training(self, step: int, rates: Mapping[str, float], values: Mapping[str, float]) -> None:
        """Writes the mean `loss`, `windows_per_s` and `waiting` of some steps, and the other `values` of the last."""
        with self._train.as_default(step):
            tf.summary.scalar("loss", rates["loss"])
            for name in ("windows_per_s", "waiting"):
                tf.summary.scalar(f"speed/{name}", rates[name])
            for name, value in values.items():
                if name != "loss" and (name != "loss_scale" or value):
                    tf.summary.scalar(f"optimizer/{name}", value)

    @contextlib.contextmanager
    def validation(self, step: int) -> Iterator[None]:
        """Within this context `tf.summary` writes to `val` at `step`."""
        with self._val.as_default(step):
            yield

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of a validation."""
        with self._val.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name if name == "loss" else f"metrics/{name}", value)
        self._val.flush()

    def close(self) -> None:
        """Writes what is left."""
        self._train.close()
        self._val.close()


class Profiler:
    """Records the steps `[first, last)` for TensorBoard's profiler: those of them that are taken, if any.

    The caller sees to it that the device has ended all steps before one of which `changes` says so.
    """

    def __init__(self, steps: tuple[int, int] | None, run_dir: Path) -> None:
        self.steps, self.directory, self.runs = steps, run_dir / "tensorboard" / "train", False

    def changes(self, step: int) -> bool:
        """Returns whether recording begins or ends before a step; a run may go on between the first and the last."""
        return self.steps is not None and self.runs != (step in range(*self.steps))

    def change(self) -> None:
        """Begins to record, or ends it."""
        if self.runs:
            tf.profiler.experimental.stop()
        else:
            tf.profiler.experimental.start(str(self.directory))
        self.runs = not self.runs

    def close(self) -> None:
        """Ends recording."""
        if self.runs:
            self.change()
