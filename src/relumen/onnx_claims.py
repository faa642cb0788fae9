"""What an ONNX file says of its own size, looked at before an engine believes it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto

_VALUES_A_BYTE = 2
"""At most: of the format's narrowest numbers, of four bits, a byte holds two."""


def check_onnx(file: Path) -> None:
    """Looks whether each of a network's tensors holds as many values as its shape says.

    An engine makes room for what the shape says. Weights in files beside are left to it.

    Raises:
        ValueError: a tensor is shorter than its shape, or no ONNX file can be read there (then of ``onnx``'s own kind).
    """
    import onnx

    for tensor in _tensors(onnx.load_model(str(file), load_external_data=False).graph):
        claimed = math.prod(tensor.dims)
        if tensor.data_location != onnx.TensorProto.EXTERNAL and claimed > _VALUES_A_BYTE * tensor.ByteSize():
            raise ValueError(f"its tensor {tensor.name[:60]!r} says to hold {claimed:,} values, and is shorter")


def _tensors(graph: GraphProto) -> Iterator[Any]:
    """All constants of a graph and of the graphs inside it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)
