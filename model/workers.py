"""The workers of a training on several machines: who they are, and messages between them.

Messages pass through the chief, over one connection a worker that stays open. So the end of a process is seen at once,
and the workers can agree on what TensorFlow's collectives do not carry: settings, positions, when to stop.
"""

import dataclasses
import json
import math
import os
import socket
import struct
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import tensorflow as tf

from model.config import TF_CONFIG_EXAMPLE
from model.errors import RunError, WorkersError

TOGETHER = "start the same command on all workers to continue from the last checkpoint"
RETRY_S = 0.2
HELLO_S, MAX_HELLO = 1.0, 1 << 20  # a stranger may say nothing, or what reads as a length of gigabytes
FIRST_PORT, PORTS = 12_000, 20_000  # of Slurm jobs, each with its own, since two may share a machine
GRACE_S = 5.0  # for the chief to say who is silent, before the others blame the chief


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The addresses "host:port" of all workers, the chief's first, and the number of this one."""

    addresses: tuple[str, ...]
    index: int

    def name(self, index: int) -> str:
        """Returns what a worker is called in messages."""
        return f"{'the chief' if index == 0 else f'worker {index}'} ({self.addresses[index]})"


def cluster(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Reads the cluster from `TF_CONFIG`, or from Slurm's variables where it is not set.

    Raises:
      RunError: neither is set, or `TF_CONFIG` is not as TensorFlow documents it.
    """
    if "TF_CONFIG" in environ:
        return _of_tf_config(environ["TF_CONFIG"])
    if "SLURM_STEP_NODELIST" in environ:
        return _of_slurm(environ)
    raise RunError(
        f"TF_CONFIG: not set, nor are Slurm's variables; set it to what is, on the first worker, {TF_CONFIG_EXAMPLE}"
    )


def _of_tf_config(text: str) -> Cluster:
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
        index = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        fits = (
            set(jobs) <= {"chief", "worker"} and task["type"] in jobs and int(task["index"]) < len(jobs[task["type"]])
        )
        addresses = tuple(str(address) for address in [*chiefs, *workers])
        if len(set(addresses)) < len(addresses):
            raise ValueError("an address is there twice")
        if not fits or len(chiefs) > 1 or not all(address.rpartition(":")[2].isdecimal() for address in addresses):
            raise ValueError("want the address host:port of each worker, and a task that is one of them")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"TF_CONFIG: {error}, in {text}; want such as {TF_CONFIG_EXAMPLE}") from error
    return Cluster(addresses, index)


def _of_slurm(environ: Mapping[str, str]) -> Cluster:
    """TensorFlow's resolver names the addresses; the place among them is found by node, whose order is its own."""
    try:
        tasks = int(environ["SLURM_STEP_NUM_TASKS"])
        port = FIRST_PORT + int(environ["SLURM_JOB_ID"]) % PORTS
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )  # so many that no task lacks an address: Slurm itself gives each task its GPUs
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        first = min(int(address.rpartition(":")[2]) for address in addresses)
        own = f"{environ['SLURMD_NODENAME']}:{first + int(environ['SLURM_LOCALID'])}"
        return Cluster(addresses, addresses.index(own))
    except KeyError as error:
        raise RunError(
            f"{error.args[0]}: not set; start with srun, or set TF_CONFIG to such as {TF_CONFIG_EXAMPLE}"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"Slurm's variables: {error}; start with srun, or set TF_CONFIG to such as {TF_CONFIG_EXAMPLE}"
        ) from error


class Channel:
    """Connects all workers through the chief, which listens at its own address until all are there.

    Args:
      cluster: who takes part.
      timeout: seconds to wait for the others, now and at each message.

    Raises:
      RunError: the chief's port cannot be had.
      WorkersError: one is not there in time.
    """

    def __init__(self, cluster: Cluster, timeout: float) -> None:
        self.cluster, self.timeout = cluster, timeout
        self._connections = self._accept() if cluster.index == 0 else {0: self._connect()}
        self._meet()

    def _meet(self) -> None:
        """Waits until all are there."""
        try:
            self.exchange(None)
        except WorkersError as error:
            if self.cluster.index and "has ended" in str(error):
                index = self.cluster.index
                why = f"hangs up: it has ended, or it trains already with another process of index {index}"
                raise WorkersError(f"{self.cluster.name(0)}: {why}; {TOGETHER}") from error
            raise

    def _accept(self) -> dict[int, Connection]:
        deadline, found = time.monotonic() + self.timeout, {}
        port = int(self.cluster.addresses[0].rpartition(":")[2])
        try:
            server = socket.create_server(("", port))
        except OSError as error:
            ways = "end the other process of index 0, if there is one, or choose another port"
            raise RunError(
                f"{self.cluster.addresses[0]}: cannot listen ({os.strerror(error.errno)}); {ways}"
            ) from error
        refused: list[str] = []
        with server:
            while missing := [each for each in range(1, len(self.cluster.addresses)) if each not in found]:
                server.settimeout(max(deadline - time.monotonic(), 0.01))
                try:
                    accepted, _ = server.accept()
                except TimeoutError as error:
                    names = ", ".join([*map(self.cluster.name, missing)])
                    why = "; ".join([f"{names}: not started within {self.timeout:g} s", *dict.fromkeys(refused)])
                    raise WorkersError(f"{why}; {TOGETHER}") from error
                self._greet(accepted, found, refused)
        return found

    def _greet(self, accepted: socket.socket, found: dict[int, Connection], refused: list[str]) -> None:
        """Enters a worker of this cluster that is new; tells another what is wrong, and leaves strangers alone."""
        _limit(accepted, HELLO_S)
        connection = Connection(os.dup(accepted.fileno()))
        try:
            hello = json.loads(connection.recv_bytes(MAX_HELLO))
            addresses, index = hello["addresses"], int(hello["index"])
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            connection.close()
            return
        problem = ""
        if addresses != list(self.cluster.addresses):
            problem = (
                f"worker {index} has the cluster {', '.join(addresses)}, the chief {', '.join(self.cluster.addresses)}"
            )
        elif index in found or not 0 < index < len(addresses):
            problem = f"two workers have the index {index}"
        if problem:
            refused.append(problem)
            connection.send_bytes(json.dumps({"refused": problem}).encode())
            connection.close()
        else:
            _limit(accepted, self.timeout)
            found[index] = connection

    def _connect(self) -> Connection:
        deadline, (host, _, port) = time.monotonic() + self.timeout, self.cluster.addresses[0].rpartition(":")
        while time.monotonic() < deadline:
            try:
                opened = socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout)
                _limit(opened, self.timeout)
                connection = Connection(opened.detach())
                connection.send_bytes(json.dumps(dataclasses.asdict(self.cluster)).encode())
                return connection
            except OSError:
                time.sleep(RETRY_S)
        late = f"{self.cluster.name(0)}, the worker of index 0: not started within {self.timeout:g} s"
        raise WorkersError(f"{late}; {TOGETHER}, each with its own index")

    def exchange(self, message: Any) -> list[Any]:
        """Gives a message, of what JSON can say, to all workers; returns those of all, the chief's first.

        Raises:
          WorkersError: one has ended, or says nothing for too long.
        """
        if self.cluster.index:
            self._send(0, message)
            said = self._receive(0, time.monotonic() + self.timeout + GRACE_S)
            if isinstance(said, str):  # the chief knows better who is lost
                raise WorkersError(said)
            if isinstance(said, dict):
                raise RunError(f"TF_CONFIG: {said['refused']}; give all workers the same cluster, each its own index")
            return said
        deadline, others = time.monotonic() + self.timeout, list(self._connections)
        try:
            said = [message, *(self._receive(each, deadline) for each in sorted(others))]
        except WorkersError as error:
            self._tell(str(error))
            raise
        for each in others:
            self._send(each, said)
        return said

    def lost(self) -> str | None:
        """Returns what is known of workers whose processes have ended; None if nothing is."""
        ended = [each for each, connection in self._connections.items() if _has_ended(connection)]
        return f"{', '.join(map(self.cluster.name, ended))}: has ended; {TOGETHER}" if ended else None

    def verdict(self, own: str) -> str:
        """Returns what the chief says of a loss, which it has the best view of; what this worker knows otherwise."""
        if self.cluster.index == 0:
            self._tell(own)
            return own
        try:
            end = time.monotonic() + GRACE_S
            while not isinstance(said := self._receive(0, end), str):
                pass
            return said
        except WorkersError:
            return own

    def _tell(self, problem: str) -> None:
        for connection in self._connections.values():
            try:
                connection.send_bytes(json.dumps(problem).encode())
            except OSError:
                continue

    def _send(self, index: int, message: Any) -> None:
        try:
            self._connections[index].send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise WorkersError(f"{self.cluster.name(index)}: has ended; {TOGETHER}") from error

    def _receive(self, index: int, deadline: float) -> Any:
        connection = self._connections[index]
        try:
            if connection.poll(max(deadline - time.monotonic(), 0)):
                return json.loads(connection.recv_bytes())
        except (OSError, EOFError) as error:
            raise WorkersError(f"{self.cluster.name(index)}: has ended; {TOGETHER}") from error
        silent = f"{self.cluster.name(index)}: no answer for {self.timeout:g} s (--worker_timeout_s)"
        raise WorkersError(f"{silent}; end its process, and {TOGETHER}")


def _limit(peer: socket.socket, seconds: float) -> None:
    """Limits each read and write, so that half a message is not waited for without an end."""
    peer.settimeout(None)
    limit = struct.pack("ll", math.ceil(seconds), 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        peer.setsockopt(socket.SOL_SOCKET, option, limit)


def _has_ended(connection: Connection) -> bool:
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as peer:
            return peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
