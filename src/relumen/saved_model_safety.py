"""What a SavedModel would do when it is run: its graph is a program, which can read and write files and call Python.

Networks of images need none of that. Their operations have no state but for variables and random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.errors import UserError

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_STATEFUL = {
    *("Variable", "VariableV2", "VarHandleOp", "VarIsInitializedOp", "ReadVariableOp", "ResourceGather"),
    *("Assign", "AssignVariableOp", "IsVariableInitialized", "DestroyResourceOp"),
    *("StatefulPartitionedCall", "PartitionedCall", "If", "While", "Case", "Assert", "Placeholder"),
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "StatefulStandardNormalV2"),
    *("StatefulUniform", "StatefulTruncatedNormal", "RngReadAndSkip", "Multinomial"),
}
"""Operations with a state that networks have."""
_FILES = (
    *("File", "Dataset", "Reader", "Save", "Restore", "Checkpoint", "Summary", "Proto", "Debug", "Print", "PyFunc"),
    "XlaCustom",
)
"""In the names of operations that read or write files, or run code; some of them don't say that they have a state."""


_RESTORING = {"Restore", "RestoreV2", "RestoreSlice"}
"""Operations that read a checkpoint: what restores the variables does that, and nothing else may."""


class UnsafeGraphError(UserError):
    """A graph would do more than compute."""


def check_saved_model(folder: Path, source: Path) -> None:
    """Refuses a SavedModel that does anything beside computing.

    What TensorFlow runs when it loads and calls it is looked at: its signatures, what they reach, what makes its
    objects, and what restores its variables. What would save it again isn't.

    Args:
        folder: in which saved_model.pb lies.
        source: what the user named, for the message.

    Raises:
        UnsafeGraphError: it does.
        UserError: it is no SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise UserError(f"{source} is not a SavedModel that can be read ({error}). Export it again.") from error
    for graph in model.meta_graphs:
        own = {each.signature.name for each in graph.graph_def.library.function}
        ran = {node.op for node in _run(graph)} | ({node.op for node in _restored(graph)} - _RESTORING)
        found = sorted(operation for operation in ran - own if not _computes(operation))
        if found:
            raise UnsafeGraphError(
                f"{source} was not loaded: beside computing, its graph would do {', '.join(found[:5])}, by which a "
                "file can read and write others or run programs. Ask its maker for a network that only computes."
            )


def _computes(operation: str) -> bool:
    """Whether an operation of TensorFlow's only computes."""
    from tensorflow.python.framework import op_def_registry

    if operation in _STATEFUL:
        return True
    if any(part in operation for part in _FILES):
        return False
    definition = op_def_registry.get(operation)
    return definition is not None and not definition.is_stateful


def _run(graph: MetaGraphDef) -> Iterator[NodeDef]:
    """Every node that is run when the graph is loaded and called, but for those that restore its variables."""
    begins = [tensor.name for signature in graph.signature_def.values() for tensor in signature.outputs.values()]
    for key in ("saved_model_main_op", "legacy_init_op", "table_initializer"):  # of TensorFlow 1
        begins += graph.collection_def[key].node_list.value
    begins += _local_initialisers(graph)
    return _all_run(graph, begins, graph.object_graph_def.concrete_functions)


def _restored(graph: MetaGraphDef) -> Iterator[NodeDef]:
    """Every node that is run when a session restores the variables."""
    return _all_run(graph, [graph.saver_def.restore_op_name], ())


def _local_initialisers(graph: MetaGraphDef) -> Iterator[str]:
    """What sets the variables that no checkpoint holds; TensorFlow runs it where a graph names nothing else."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.variable_pb2 import VariableDef

    for data in graph.collection_def["local_variables"].bytes_list.value:
        try:
            yield VariableDef.FromString(data).initializer_name
        except DecodeError:  # TensorFlow refuses it too
            continue


def _all_run(graph: MetaGraphDef, begins: Iterable[str], concrete: Iterable[str]) -> Iterator[NodeDef]:
    """Every node on which some outputs depend, and every node of what these and some functions call."""
    functions = {each.signature.name: each.node_def for each in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    waiting = list(_reached(nodes, begins))
    called = set(concrete) & set(functions)
    waiting += [node for name in called for node in functions[name]]
    while waiting:
        node = waiting.pop()
        yield node
        for name in _called(node):
            if name not in called and name in functions:
                called.add(name)
                waiting += functions[name]


def _reached(nodes: dict[str, NodeDef], begins: Iterable[str]) -> Iterator[NodeDef]:
    """The nodes on which some outputs depend."""
    waiting, seen = list(begins), set()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in seen:
            seen.add(name)
            yield nodes[name]
            waiting += nodes[name].input


def _called(node: NodeDef) -> Iterator[str]:
    """The functions that a node names."""
    yield node.op  # a function can be called as if it were an operation
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (each.name for each in attribute.list.func)
