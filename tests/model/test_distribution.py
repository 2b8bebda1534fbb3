"""Several replicas learn what one does; the workers of a training find each other, and name who is lost."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import workers
from model.errors import RunError, WorkersError
from model.workers import Channel, Cluster
from tests.workers import addresses, ends, start, tf_config

# Largest differences that are allowed of the losses, of the gradients' norms (relative), and of the weights (as a share
# of the way that they have gone) after 20 steps, since rounding grows. Seen, on an EPYC: 2e-4, 7e-4, 3e-4; on a Xeon:
# 5e-6, 2e-5, 5e-6, and with CTC 1.4e-3, 4.4e-3, 1.0e-3.
LAW = {"word": (1e-3, 4e-3, 2e-3), "ctc": (5e-3, 2e-2, 5e-3)}
FIRST = 2e-5  # of the first four steps, relative for norms: a factor that is wrong is seen here


def _both(strategy: str, head: str, precision: str, output: Path) -> tuple[Any, Any]:
    module, arguments = "tests.model.replicated_steps", (strategy, head, precision, str(output))
    cluster = addresses()
    processes = [start(cluster, index, module, *arguments) for index in range(1 + (strategy == "workers"))]
    for code, _, stderr in ends(processes):
        assert code == 0, stderr
    several = np.load(output / "several.npz")
    assert several["replicas"] == 2
    return np.load(output / "single.npz"), several


def _assert_equal(single: Any, several: Any, head: str) -> None:
    loss, norm = np.abs(several["taken"] - single["taken"]).T
    norm /= single["taken"][:, 1]
    assert max(loss[:4].max(), norm[:4].max()) < FIRST
    shares = [_share(single, several, kind) for kind in ("weight", "average")]
    for found, allowed in zip((loss.max(), norm.max(), max(shares)), LAW[head], strict=True):
        assert found < allowed


def _share(single: Any, several: Any, kind: str) -> float:
    """The distance between the weights or their averages, as a share of the way that they have gone."""
    names = [name for name in single.files if name.startswith(kind)]
    apart = sum(np.square(several[name] - single[name]).sum() for name in names)
    gone = sum(np.square(single[name] - single[name.replace(kind, "initial")]).sum() for name in names)
    return float(np.sqrt(apart / gone))


def test_two_devices_learn_what_one_does(tmp_path: Path) -> None:
    _assert_equal(*_both("mirrored", "word", "float32", tmp_path), "word")


@pytest.mark.parametrize(
    ("strategy", "head"),
    [("workers", "word"), *(pytest.param(each, "ctc", marks=pytest.mark.slow) for each in ("workers", "mirrored"))],
)
def test_two_workers_learn_what_one_device_does(strategy: str, head: str, tmp_path: Path) -> None:
    _assert_equal(*_both(strategy, head, "float32", tmp_path), head)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "precision"), [("mirrored", "mixed_bfloat16"), ("workers", "mixed_float16")])
def test_they_do_so_roughly_in_half_precision(strategy: str, precision: str, tmp_path: Path) -> None:
    single, several = _both(strategy, "word", precision, tmp_path)
    np.testing.assert_allclose(several["taken"][:5, 0], single["taken"][:5, 0], atol=0.05)
    assert np.isfinite(several["taken"]).all()


CLUSTER = ("ann:2222", "bob:2223", "eve:2224")


@pytest.mark.parametrize(
    ("config", "index"),
    [
        (tf_config(list(CLUSTER), 2), 2),
        ('{"cluster": {"chief": ["ann:2222"], "worker": ["bob:2223", "eve:2224"]}, "task": {"type": "worker", '
         '"index": 0}}', 1),
        ('{"cluster": {"worker": ["bob:2223", "eve:2224"], "chief": ["ann:2222"]}, "task": {"type": "chief", '
         '"index": 0}}', 0),
    ],
)  # fmt: skip
def test_the_cluster_of_tf_config(config: str, index: int) -> None:
    assert workers.cluster({"TF_CONFIG": config}) == Cluster(CLUSTER, index)


@pytest.mark.parametrize(("node", "local", "index"), [("n1", 0, 0), ("n10", 1, 3), ("n2", 0, 4)])
def test_the_cluster_of_slurm_whose_nodes_have_another_order(
    node: str, local: int, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    variables = {
        "JOB_ID": 4711,
        "PROCID": 0,
        "STEP_NUM_TASKS": 6,
        "STEP_NODELIST": "n[1-2,10]",
        "STEP_TASKS_PER_NODE": "2(x3)",
    }
    for name, value in {**variables, "LOCALID": local}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setenv("SLURMD_NODENAME", node)
    found = workers.cluster()
    assert found.addresses == ("n1:16711", "n1:16712", "n10:16711", "n10:16712", "n2:16711", "n2:16712")
    assert found.index == index


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, 'TF_CONFIG: not set, nor are Slurm\'s variables; set it to what is, on the first worker, {"cluster"'),
        ({"TF_CONFIG": "{"}, "TF_CONFIG: .* want such as"),
        ({"TF_CONFIG": "{}"}, "TF_CONFIG: 'cluster', in {}; want such as"),
        ({"TF_CONFIG": tf_config(["ann:2222"], 1)}, "want the address host:port of each worker, and a task that is"),
        ({"TF_CONFIG": tf_config(["ann", "bob:1"], 0)}, "want the address host:port of each worker"),
        ({"TF_CONFIG": tf_config(["ann:1", "ann:1"], 0)}, "an address is there twice"),
        ({"SLURM_STEP_NODELIST": "n1"}, "SLURM_STEP_NUM_TASKS: not set; start with srun, or set TF_CONFIG"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(environ: dict[str, str], named: str) -> None:
    with pytest.raises(RunError, match=named):
        workers.cluster(environ)


def _each(cluster: tuple[str, ...], do: Callable[[int], Any], indices: range) -> dict[int, Any]:
    """What each worker gets or raises, all at the same time."""
    found: dict[int, Any] = {}

    def one(index: int) -> None:
        try:
            found[index] = do(index)
        except (RunError, WorkersError) as error:
            found[index] = error

    threads = [threading.Thread(target=one, args=[index]) for index in indices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_messages_reach_all_in_the_order_of_the_workers() -> None:
    cluster = tuple(addresses(3))
    said = _each(cluster, lambda index: Channel(Cluster(cluster, index), 20).exchange({"mine": index}), range(3))
    assert said == {index: [{"mine": 0}, {"mine": 1}, {"mine": 2}] for index in range(3)}


def test_workers_that_are_not_there_are_named() -> None:
    cluster = tuple(addresses(3))
    said = _each(cluster, lambda index: Channel(Cluster(cluster, index), 0.5), range(1))
    assert str(said[0]) == (
        f"worker 1 ({cluster[1]}), worker 2 ({cluster[2]}): not started within 0.5 s; start the same command on all "
        "workers to continue from the last checkpoint"
    )
    said = _each(cluster, lambda index: Channel(Cluster(cluster, index), 0.5), range(1, 2))
    assert f"the chief ({cluster[0]}), the worker of index 0: not started within 0.5 s; " in str(said[1])


@pytest.mark.parametrize(
    ("ends", "problem"), [(True, "has ended; "), (False, "no answer for 1 s (--worker_timeout_s)")]
)
def test_a_worker_that_ends_or_is_silent_is_named_to_all(ends: bool, problem: str) -> None:
    cluster = tuple(addresses(3))
    channels = _each(cluster, lambda index: Channel(Cluster(cluster, index), 1), range(3))
    if ends:
        del channels[2]
    said = _each(cluster, lambda index: channels[index].exchange(None), range(2))
    assert f"worker 2 ({cluster[2]}): {problem}" in str(said[0])
    assert str(said[1]) == str(said[0])


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0"], ids=["web", "half a length"])
def test_a_port_in_use_and_a_stranger_on_it(said: bytes) -> None:
    cluster = tuple(addresses(2))
    host, _, port = cluster[0].rpartition(":")

    met, done = threading.Event(), threading.Event()

    def stranger(index: int) -> list[str]:
        if index < 2:
            met.wait(5 * index)  # the chief meets the stranger first
            heard = Channel(Cluster(cluster, index), 20).exchange(index)
            done.set()
            return heard
        with socket.socket() as caller:
            while caller.connect_ex((host, int(port))):
                pass
            caller.sendall(said)
            met.set()
            done.wait()  # it does not hang up
            return []

    assert _each(cluster, stranger, range(3)) == {0: [0, 1], 1: [0, 1], 2: []}
    refused = pytest.raises(
        RunError,
        match=r"cannot listen \(Address already in use\); end the other process of index 0, .* or choose another port",
    )
    with socket.create_server(("", int(port))), refused:
        Channel(Cluster(cluster, 0), 1)


def test_a_worker_of_another_cluster_or_with_the_number_of_another_is_told_so() -> None:
    cluster = tuple(addresses(2))
    other = (cluster[0], "eve:1")
    numbers = {0: Cluster(cluster, 0), 1: Cluster(other, 1), 2: Cluster(cluster, 0)}
    said = _each(cluster, lambda index: Channel(numbers[index], 1), range(2))
    assert isinstance(said[1], RunError)
    assert f"worker 1 has the cluster {cluster[0]}, eve:1, the chief {', '.join(cluster)}" in str(said[1])
    assert f"worker 1 ({cluster[1]}): not started within 1 s; worker 1 has the cluster" in str(said[0])


def test_of_three_the_chief_tells_who_is_lost() -> None:
    cluster = tuple(addresses(3))
    channels = _each(cluster, lambda index: Channel(Cluster(cluster, index), 2), range(3))
    own = {0: "worker 2 has ended", 1: "somebody has ended"}
    assert _each(cluster, lambda index: channels[index].verdict(own[index]), range(2)) == dict.fromkeys(own, own[0])
