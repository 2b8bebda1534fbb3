"""Which operations of a graph TensorFlow has no GPU kernel for; it knows that on a machine without a GPU too."""

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.framework import kernels

CALLS = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf"}
ANYWHERE = CALLS | {"Placeholder", "_Arg", "NoOp", "Const"}


def host_only(function: tf.types.experimental.ConcreteFunction) -> set[str]:
    """Names of the operations, functions within included, of whose dtypes there is no kernel for a GPU.

    A function for the CPU that has a twin for the GPU, as of an LSTM or CTC, is not run there.
    """
    graph = function.graph.as_graph_def()
    twins = {_twin(each) for each in graph.library.function if each.attr["api_preferred_device"].s == b"GPU"}
    run = [
        each
        for each in graph.library.function
        if each.attr["api_preferred_device"].s != b"CPU" or _twin(each) not in twins
    ]
    nodes = [*graph.node, *(node for each in run for node in each.node_def)]
    own = {each.signature.name for each in graph.library.function}
    return {node.op for node in nodes if node.op not in ANYWHERE | own and not _on_gpu(node)}


def _twin(function: FunctionDef) -> bytes:
    return function.attr["api_implements"].s


def _on_gpu(node: tf.compat.v1.NodeDef) -> bool:
    found = [k for k in kernels.get_registered_kernels_for_op(node.op).kernel if k.device_type in ("GPU", "DEFAULT")]
    return any(
        all(node.attr[rule.name].type in (0, *rule.allowed_values.list.type) for rule in kernel.constraint)
        for kernel in found
    )
