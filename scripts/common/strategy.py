"""On which devices and machines a command trains, as `strategy_flags` says."""

import dataclasses
from typing import Any

from absl import flags

from model import distribution, workers
from model.distribution import Distribution, Share
from model.errors import RunError
from pipeline.loading.config import PlanConfig
from pipeline.records import identity
from pipeline.schema import DataError
from scripts.common import signals


def open_distribution(batch_size: int) -> Distribution:
    """Opens what --strategy says.

    Raises:
      DataError: `batch_size` does not fit the number of replicas.
      RunError: as `distribution.open_distribution`.
      WorkersError: a worker is not there in time.
    """
    values = flags.FLAGS
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
