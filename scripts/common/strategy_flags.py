"""On which devices and machines a command trains."""

import dataclasses
from typing import Any

from absl import flags

from model import distribution, workers
from model.config import EXAMPLE, STRATEGIES, SUMMED
from model.distribution import Distribution, Share
from model.errors import RunError
from pipeline.loading.config import PlanConfig
from pipeline.records import identity
from pipeline.schema import DataError
from scripts.common import signals

flags.disclaim_key_flags()

TIMEOUT_S = 300.0


def define() -> None:
    """Defines --strategy and --worker_timeout_s."""
    flags.DEFINE_enum(
        "strategy",
        "single",
        STRATEGIES,
        "where to train: single, one device; mirrored, all GPUs of this machine; workers, the machines that TF_CONFIG "
        f"names (or Slurm: srun), each running the same command. TF_CONFIG of the first: '{EXAMPLE}'. "
        "--batch_size stays that of all together; losses and weights are those of one device",
    )
    flags.DEFINE_float(
        "worker_timeout_s",
        TIMEOUT_S,
        "strategy workers: seconds to wait for the others, at start and at each step; then the command ends with exit "
        "code 75, and the same command on all workers continues. More than validation, a checkpoint and opening the "
        "data differ between machines",
    )


def open_distribution(batch_size: int) -> Distribution:
    """Opens what --strategy says.

    Raises:
      DataError: flags that do not fit each other, or the number of replicas.
      RunError: as `distribution.open_distribution`.
      WorkersError: a worker is not there in time.
    """
    values = flags.FLAGS
    if values.strategy != "workers" and values["worker_timeout_s"].present:
        raise DataError(f"--worker_timeout_s={values.worker_timeout_s:g}: needs --strategy=workers; leave it out")
    if not 0 < values.worker_timeout_s < float("inf"):
        raise DataError(f"--worker_timeout_s: want more than 0 s, got {values.worker_timeout_s:g}")
    if values.strategy != "single" and values.sequence not in SUMMED:
        raise DataError(
            f"--sequence={values.sequence}: normalises by parts of a batch, which --strategy={values.strategy} has no "
            f"sums for; choose of {', '.join(SUMMED)}"
        )
    opened = distribution.open_distribution(values.strategy, values.worker_timeout_s, _announce)
    if opened.workers > 1:
        signals.raise_once()  # TensorFlow's server has taken SIGTERM
    replicas = opened.shares[0].workers
    if values.strategy == "mirrored":
        print(f"mirrored: {replicas} devices" if replicas > 1 else "mirrored: one device is seen, so as with single")
    if batch_size % replicas:
        raise DataError(
            f"--batch_size={batch_size}: {replicas} devices or workers share each batch; give a multiple of {replicas}"
        )
    return opened


def _announce(cluster: workers.Cluster) -> None:
    count, (chief, *others) = len(cluster.addresses), cluster.addresses
    whom = f"chief {chief}" if cluster.index else f"the chief, waits for {', '.join(others) or 'nobody'}"
    print(f"worker {cluster.index} of {count}, {whom}", flush=True)


def share(order: PlanConfig, part: Share) -> PlanConfig:
    """Returns the order in which a replica reads its rows of each global batch."""
    return dataclasses.replace(order, worker=part.worker, workers=part.workers)


def refuse_other_settings(opened: Distribution, settings: dict[str, Any]) -> None:
    """Refuses workers that were started with other settings than the chief.

    Raises:
      RunError: on all workers, naming each worker and setting with both values.
    """
    said = opened.exchange(settings)
    differing = [
        f"worker {worker} has {name} {own}, the chief {chief}"
        for worker, settings in enumerate(said)
        for name, chief, own in identity.changes(said[0], settings, absent="absent")
    ]
    if differing:
        raise RunError(
            f"other settings than the chief's: {'; '.join(differing)}; start the same command on all workers"
        )
