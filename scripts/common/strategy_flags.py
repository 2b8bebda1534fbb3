"""The flags of on which devices and machines a command trains."""

from absl import flags

from model.config import STRATEGIES, SUMMED_WRAPPERS, TF_CONFIG_EXAMPLE
from pipeline.schema import DataError

flags.disclaim_key_flags()

TIMEOUT_S = 300.0


def define() -> None:
    """Defines --strategy and --worker_timeout_s."""
    flags.DEFINE_enum(
        "strategy",
        "single",
        STRATEGIES,
        "where to train: single, one device; mirrored, all GPUs of this machine; workers, the machines that TF_CONFIG "
        f"names (or Slurm: srun), each running the same command. TF_CONFIG of the first: '{TF_CONFIG_EXAMPLE}'. "
        "--batch_size stays that of all together; losses and weights are those of one device",
    )
    flags.DEFINE_float(
        "worker_timeout_s",
        TIMEOUT_S,
        "strategy workers: seconds to wait for the others, at start and at each step; then the command ends with exit "
        "code 75, and the same command on all workers continues. More than validation, a checkpoint and opening the "
        "data differ between machines",
    )


def check() -> None:
    """Refuses flags that do not fit each other.

    Raises:
      DataError: naming the flag, and what to do.
    """
    values = flags.FLAGS
    if values.strategy != "workers" and values["worker_timeout_s"].present:
        raise DataError(f"--worker_timeout_s={values.worker_timeout_s:g}: needs --strategy=workers; leave it out")
    if not 0 < values.worker_timeout_s < float("inf"):
        raise DataError(f"--worker_timeout_s: want more than 0 s, got {values.worker_timeout_s:g}")
    if values.strategy != "single" and values.sequence not in SUMMED_WRAPPERS:
        raise DataError(
            f"--sequence={values.sequence}: normalises by parts of a batch, which --strategy={values.strategy} has no "
            f"sums for; choose of {', '.join(SUMMED_WRAPPERS)}"
        )
