"""Arrays as NumPy and PyTorch pickle them: shape and bytes, which must agree before anything is allocated."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.prior.pickles import Maker, Name, RefusedError, Unfinished, told

STORAGES = {
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
"""What a storage's numbers are; a storage is the flat memory of PyTorch's tensors."""

NAMES = {"numpy.ndarray", *STORAGES}
"""What is named and not called."""

MOST_AXES = 32
"""A kernel has five, and NumPy takes up to 64. The product of a million lengths would take for ever to find."""

_DTYPE = re.compile(r"[fiu][1248]|b1")


def _dtype(kind: str, *_: object) -> Unfinished:
    """``numpy.dtype(kind)``, whose state holds the order of bytes."""
    if not isinstance(kind, str) or not _DTYPE.fullmatch(kind):
        raise RefusedError("it has an array of something else than numbers")
    return Unfinished(lambda state: np.dtype(kind).newbyteorder(state[1]))


def _array(*_: object) -> Unfinished:
    """``numpy.core.multiarray._reconstruct``: an array whose state holds all of it."""

    def finish(state: tuple[Any, ...]) -> NDArray[Any]:
        _version, shape, dtype, fortran, data = state
        return _filled(data, dtype, shape, "F" if fortran else "C")

    return Unfinished(finish)


def _filled(data: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Any = "C") -> NDArray[Any]:  # noqa: ANN401
    """``numpy.core.numeric._frombuffer``."""
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or not _sizes(shape):
        raise RefusedError("it has an array of something else than numbers")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise RefusedError(f"it has an array of shape {shape} with {len(data)} bytes, which do not agree")
    return np.ndarray(shape, dtype, data, order="F" if order == "F" else "C")


def _scalar(dtype: np.dtype, data: bytes) -> Any:  # noqa: ANN401  a number
    """``numpy.core.multiarray.scalar``."""
    return _filled(data, dtype, ()).item()


def _encoded(text: str, coding: str) -> bytes:
    """``_codecs.encode``: how protocol 2 writes bytes."""
    if coding != "latin1" or not isinstance(text, str):
        raise RefusedError("it has bytes in an unknown coding")
    return text.encode("latin1")


def _tensor(storage: NDArray[Any], offset: int, shape: Any, strides: Any, *_: object) -> NDArray[Any]:  # noqa: ANN401
    """``torch._utils._rebuild_tensor_v2``: a view of a storage; offset and strides count elements."""
    if not isinstance(storage, np.ndarray) or storage.ndim != 1 or not all(map(_sizes, (shape, strides, (offset,)))):
        raise RefusedError("it has a tensor of something else than numbers")
    if len(shape) != len(strides) or math.prod(shape) > storage.size:
        raise RefusedError(f"it has a tensor of shape {shape} with {storage.size} numbers, which do not agree")
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [size * stride for stride in strides])


def _parameter(tensor: NDArray[Any], *_: object) -> NDArray[Any]:
    """``torch._utils._rebuild_parameter``."""
    return tensor


def dictionary() -> dict[Any, Any]:
    """``collections.OrderedDict`` and the like, whose items follow; calls of a pickle copy nothing."""
    return {}


def _as_it_is(items: Any) -> Any:  # noqa: ANN401  of any kind at first
    """``set`` of a list, ``torch.Size`` of a tuple."""
    if not isinstance(items, list | tuple):
        raise RefusedError("it has a set of something else than a list")
    return items


def _sizes(numbers: Any) -> bool:  # noqa: ANN401  of any kind at first
    """Whether it is a tuple of lengths.

    Raises:
        RefusedError: for more axes than an array has.
    """
    if not isinstance(numbers, tuple):
        return False
    if len(numbers) > MOST_AXES:
        raise RefusedError(f"it has an array of {len(numbers)} axes, and the most that is known is {MOST_AXES}")
    return all(type(number) is int and number >= 0 for number in numbers)


def new_storage(kind: Any, count: Any, room: int) -> NDArray[Any]:  # noqa: ANN401  of any kind at first
    """A storage of ``count`` numbers, still to be filled.

    Raises:
        RefusedError: it would be greater than ``room`` bytes, or its kind is unknown.
    """
    if not isinstance(kind, Name) or kind.path not in STORAGES or type(count) is not int:
        raise RefusedError("it has a tensor of an unknown kind")
    dtype = np.dtype(STORAGES[kind.path])
    if not 0 <= count * dtype.itemsize <= room:
        raise RefusedError(
            f"it is cut short, or claims too much: it has no bytes for a tensor of {told(count)} numbers"
        )
    return np.empty(count, dtype)


MAKERS: dict[str, Maker] = {
    "argparse.Namespace": dictionary,
    "collections.OrderedDict": dictionary,
    "builtins.set": _as_it_is,
    "__builtin__.set": _as_it_is,
    "_codecs.encode": _encoded,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _filled,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _filled,
    "torch.Size": _as_it_is,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_tensor_v2": _tensor,
}
"""What stands for each function or class that is called."""
