"""A TensorFlow graph whose convolutions want channels first -> the same with channels last, which Fiji's engines run.

TensorFlow's convolutions on a CPU take channels last; newer builds for some processors take both, Fiji's don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relumen.errors import CheckFailedError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_IMAGES = {"Conv2DBackpropInput": 2}
"""Which input of an operation is the image; the first one of all others."""
_BY_AXIS = ("strides", "ksize", "dilations")
_SUFFIX = "/channels_last"


def has_channels_first(graph: GraphDef) -> bool:
    """Whether there is an operation in it that wants channels first."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return any(_is_first(node) for node in nodes)


def with_channels_last(graph: GraphDef) -> GraphDef:
    """A copy in which each such operation is one for channels last, with transpositions around it.

    Raises:
        CheckFailedError: one stands in a function of the graph, such as a loop's.
    """
    from tensorflow.core.framework.graph_pb2 import GraphDef

    if any(_is_first(node) for function in graph.library.function for node in function.node_def):
        raise CheckFailedError(
            "The network wants channels first inside a loop or a branch, which can't be turned. Build it with channels "
            "last."
        )
    turned = GraphDef()
    turned.versions.CopyFrom(graph.versions)
    turned.library.CopyFrom(graph.library)
    _constant(turned, f"to_last{_SUFFIX}", _TO_LAST)
    _constant(turned, f"to_first{_SUFFIX}", _TO_FIRST)
    _constant(turned, f"axis{_SUFFIX}", 0)
    firsts = {node.name for node in graph.node if _is_first(node)}
    for node in graph.node:
        if node.name in firsts:
            _turn(turned, node)
        else:
            turned.node.add().CopyFrom(node)
    for node in turned.node:
        for index, source in enumerate(node.input):
            name, _, output = source.partition(":")
            if name in firsts and output not in ("", "0"):  # statistics beside the image, which have no axes to turn
                node.input[index] = f"{name}{_SUFFIX}:{output}"
    return turned


def _is_first(node: NodeDef) -> bool:
    return node.attr["data_format"].s == b"NCHW" if "data_format" in node.attr else False


def _turn(graph: GraphDef, node: NodeDef) -> None:
    """Adds an operation for channels last, which ends under the old one's name."""
    kind = node.attr["T"].type
    inner = graph.node.add()
    inner.CopyFrom(node)
    inner.name = f"{node.name}{_SUFFIX}"
    inner.attr["data_format"].s = b"NHWC"
    for name in _BY_AXIS:
        if name in inner.attr and len(inner.attr[name].list.i) == 4:
            inner.attr[name].list.i[:] = [inner.attr[name].list.i[axis] for axis in _TO_LAST]
    if len(pads := list(inner.attr["explicit_paddings"].list.i) if "explicit_paddings" in inner.attr else []) == 8:
        inner.attr["explicit_paddings"].list.i[:] = [pads[2 * axis + end] for axis in _TO_LAST for end in (0, 1)]
    index = _IMAGES.get(node.op, 0)
    inner.input[index] = _transposed(graph, f"{node.name}{_SUFFIX}/in", node.input[index], "to_last", kind)
    if node.op == "Conv2DBackpropInput":
        inner.input[0] = _reordered(graph, f"{node.name}{_SUFFIX}/sizes", node.input[0])
    _transposed(graph, node.name, inner.name, "to_first", kind)


def _transposed(graph: GraphDef, name: str, source: str, order: str, kind: Any) -> str:  # noqa: ANN401  an enum's number
    import tensorflow as tf

    node = graph.node.add(name=name, op="Transpose", input=[source, f"{order}{_SUFFIX}"])
    node.attr["T"].type = kind
    node.attr["Tperm"].type = tf.int32.as_datatype_enum
    return name


def _reordered(graph: GraphDef, name: str, source: str) -> str:
    """A list of four sizes, channels last."""
    import tensorflow as tf

    node = graph.node.add(name=name, op="GatherV2", input=[source, f"to_last{_SUFFIX}", f"axis{_SUFFIX}"])
    for attribute in ("Tparams", "Tindices", "Taxis"):
        node.attr[attribute].type = tf.int32.as_datatype_enum
    return name


def _constant(graph: GraphDef, name: str, value: int | Sequence[int]) -> None:
    import tensorflow as tf

    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.int32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.int32))
