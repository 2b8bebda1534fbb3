"""Where a training runs: on one device, on several of a machine, or on several machines.

The law: any of them gives the losses and weights of one device at the same global batch, to the rounding of float32.
Replica k of n learns the rows k, k + n, … of each global batch; sums over the batch are sums over all replicas
(`model.replicas`). Dropout is drawn for the global batch, so the law holds with it.

All workers do the same steps. What one alone learns (a signal, a row that counts) it says to all before the step, and
decisions follow from what all have said. Only the chief writes. A worker that ends or stalls ends all of them.
"""

import contextlib
import dataclasses
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context  # the time-out at start has no public name

from model import workers
from model.config import STRATEGIES
from model.errors import RunError, WorkersError

LOST = (tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError, tf.errors.CancelledError)
HEARTBEAT_S = 10.0
BUILD_S = 120.0  # to make a model or to trace its step, beyond the time-out

Batch = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Share:
    """The rows of each global batch that a replica learns, as `PlanConfig` names them, and its device."""

    worker: int = 0
    workers: int = 1
    device: str | None = None


WHOLE = Share()


class Distribution:
    """One device; the base of what has several.

    Attributes:
      shares: those of this process.
      worker, workers: the number of this process, and of all.
    """

    shares: tuple[Share, ...] = (WHOLE,)
    worker, workers = 0, 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, TensorBoard and `run.json`, and prints."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Model and optimizer are to be made in this context."""
        return contextlib.nullcontext()

    def function(self, learn: Callable, spec: dict[str, tf.TensorSpec]) -> Callable:
        """Builds the graph of a step: a batch of each share -> losses of their rows, and the values of the step.

        Args:
          learn: one replica's batch -> losses of its rows `[B]`, and values that are the same on all replicas.
          spec: of a batch.
        """
        return tf.function(learn, input_signature=[spec], autograph=False)

    def streams(self, batches: Callable[..., Iterable[Batch]], step: int) -> Iterator[tuple[Batch, ...]]:
        """Yields a batch of each share, from `step` on."""
        return ((batch,) for batch in batches(step))

    def exchange(self, message: Any) -> list[Any]:
        """Gives a message, of what JSON can say, to all workers; returns those of all, the chief's first.

        Raises:
          WorkersError: one has ended, or says nothing for too long.
        """
        return [message]

    def guarded(self) -> contextlib.AbstractContextManager[Any]:
        """Names the worker whose loss ends a collective, in a WorkersError."""
        return contextlib.nullcontext()


SINGLE = Distribution()


class Replicated(Distribution):
    """Several replicas: the devices of this machine, or of all workers.

    Args:
      strategy: whose replicas learn.
      channel: to the other workers; None if there are none.
    """

    def __init__(self, strategy: tf.distribute.Strategy, channel: workers.Channel | None = None) -> None:
        self.strategy, self._channel, self._is_traced = strategy, channel, False
        if channel:
            self.worker, self.workers = channel.cluster.index, len(channel.cluster.addresses)
        devices = strategy.extended.worker_devices
        first, count = self.worker * len(devices), strategy.num_replicas_in_sync
        self.shares = tuple(Share(first + place, count, _local(device)) for place, device in enumerate(devices))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with self.strategy.scope(), self.guarded():
            yield

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Ends the process where the others stall.

        TensorFlow sends initial values without a time-out, and that of collectives costs a sleeping thread each, which
        are more than a system has after some hundred steps.
        """
        timeout = self._channel.timeout + (0 if self._is_traced else BUILD_S)
        watchdog = threading.Timer(timeout, self._give_up, [timeout])
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _give_up(self, timeout: float) -> None:
        own = f"a worker: no answer for {timeout:g} s (--worker_timeout_s); {workers.TOGETHER}"
        print(f"error: {self._channel.verdict(self._channel.lost() or own)}", file=sys.stderr, flush=True)
        os._exit(os.EX_TEMPFAIL)

    def function(self, learn: Callable, spec: dict[str, tf.TensorSpec]) -> Callable:
        signature, first = [spec] * len(self.shares), self.shares[0].worker
        local = self.strategy.experimental_local_results

        def step(*batches: Batch) -> tuple[tf.Tensor, tf.Tensor]:
            place = lambda at: batches[at.replica_id_in_sync_group - first]  # noqa: E731
            dealt = self.strategy.experimental_distribute_values_from_function(place)
            rows, values = self.strategy.run(learn, args=(dealt,))
            self._is_traced = True  # from here on a step does not take long
            return tf.concat(local(rows), 0), local(values)[0]

        return tf.function(step, input_signature=signature, autograph=False)

    def streams(self, batches: Callable[..., Iterable[Batch]], step: int) -> Iterator[tuple[Batch, ...]]:
        return zip(*(batches(step, share) for share in self.shares), strict=True)

    def exchange(self, message: Any) -> list[Any]:
        return self._channel.exchange(message) if self._channel else [message]

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        if not self._channel:
            yield
            return
        try:
            with self._watched():
                yield
        except tf.errors.OpError as error:
            if not isinstance(error, LOST) and "ollective" not in error.message:
                raise
            own = self._channel.lost() or self._stalled(error.message)
            raise WorkersError(self._channel.verdict(own)) from error

    def _stalled(self, message: str) -> str:
        """Names the worker whose heartbeat TensorFlow misses, if it says which."""
        task = re.search(r"task:(\d+) heartbeat timeout", message)
        who = self._channel.cluster.name(int(task[1])) if task else "a worker"
        return f"{who}: has ended or does not answer; {workers.TOGETHER}"


def _local(device: str) -> str:
    """`/job:worker/replica:0/task:1/device:GPU:0` -> `/GPU:0`, which every process reads as its own."""
    spec = tf.DeviceSpec.from_string(device)
    return f"/{spec.device_type}:{spec.device_index}"


def open_distribution(strategy: str, timeout: float, on_cluster: Callable[[workers.Cluster], None]) -> Distribution:
    """Opens what a training is to run on; the first that a process does with TensorFlow.

    Args:
      strategy: of `config.STRATEGIES`.
      timeout: seconds that a worker waits for the others, at start and at each step.
      on_cluster: is given the cluster before the others are waited for.

    Raises:
      RunError: no cluster, or one that cannot be.
      ValueError: there is no such strategy.
      WorkersError: a worker is not there in time.
    """
    if strategy == "single":
        return SINGLE
    if strategy == "mirrored":
        devices = [each.name for each in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
        return Replicated(tf.distribute.MirroredStrategy(devices)) if len(devices) > 1 else SINGLE
    if strategy != "workers":
        raise ValueError(f"strategy: want one of {', '.join(STRATEGIES)}, got {strategy!r}")
    cluster = workers.cluster()
    on_cluster(cluster)
    channel = workers.Channel(cluster, timeout)
    gpus = len(tf.config.list_physical_devices("GPU"))
    counts = channel.exchange(gpus)
    if len(set(counts)) > 1:
        raise RunError(f"GPUs: want as many on each worker, got {counts}; hide some with CUDA_VISIBLE_DEVICES")
    return Replicated(_multi_worker(cluster, timeout, gpus), channel)


def _multi_worker(cluster: workers.Cluster, timeout: float, gpus: int) -> tf.distribute.Strategy:
    """Starts TensorFlow's server; all workers have to do so at the same time."""
    jobs = [context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(cluster.addresses))]
    context.context().configure_coordination_service(
        "standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(1000 * timeout),  # by default an hour
        heartbeat_timeout_in_ms=int(1000 * min(timeout, HEARTBEAT_S)),
        coordinated_jobs=jobs,
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": gpus} if gpus else {},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise WorkersError(f"{cluster.name(cluster.index)}: no server ({reason}); {workers.TOGETHER}") from error
