"""Pixels that lie in chunks on the disk, and are read when a part of them is asked for."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from relumen.errors import UserError

if TYPE_CHECKING:
    import zarr


class Pixels(Protocol):
    """What an image's pixels are at the least: a numpy array, a memory map, or :class:`ChunkedPixels`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def ndim(self) -> int:
        """Number of axes."""
        ...

    @property
    def size(self) -> int:
        """Number of pixels."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of a pixel."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...  # noqa: ANN401 (pixels, or an array)
    def __array__(self, *args: Any, **options: Any) -> NDArray[Any]: ...  # noqa: ANN401 (as numpy calls it)
    def astype(self, dtype: DTypeLike, /) -> NDArray[Any]:
        """All pixels in memory, as another type."""
        ...


@dataclass(frozen=True, eq=False)
class ChunkedPixels:
    """An array in chunks that stands for its pixels.

    Whole numbers choose a plane, and read nothing: ``pixels[2, 0]`` are pixels of two axes less. Slices read that
    part into memory: ``plane[100:200]`` is a numpy array of 100 rows. So is ``np.asarray(plane)``.

    Attributes:
        array: what the pixels lie in.
        path: its place, for messages.
        axes: which of the array's axes stand here, in the order in which they stand here.
        chosen: index on each of its other axes.
    """

    array: zarr.Array
    path: Path
    axes: tuple[int, ...]
    chosen: Mapping[int, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.array.shape[axis] for axis in self.axes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype:
        """Type of a pixel."""
        return np.dtype(self.array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> ChunkedPixels | NDArray[Any]:  # noqa: ANN401 (whole numbers and slices)
        """Pixels of fewer axes for whole numbers, an array where there is a slice.

        Raises:
            UserError: that part of the file is damaged.
        """
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > self.ndim:
            raise IndexError(f"{len(index)} indices for {self.ndim} axes")
        slices = {axis: each for axis, each in zip(self.axes, index, strict=False) if isinstance(each, slice)}
        whole = {
            axis: range(self.array.shape[axis])[operator.index(each)]
            for axis, each in zip(self.axes, index, strict=False)
            if axis not in slices
        }
        left = replace(
            self, axes=tuple(axis for axis in self.axes if axis not in whole), chosen={**self.chosen, **whole}
        )
        return left._read(slices) if slices else left

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Pixels on the disk are always copied into memory.")
        return self._read({}).astype(dtype or self.dtype, copy=False)

    def astype(self, dtype: DTypeLike) -> NDArray[Any]:
        """All pixels in memory, as another type."""
        return np.asarray(self, dtype)

    def _read(self, slices: Mapping[int, slice]) -> NDArray[Any]:
        def region(axis: int) -> int | slice:
            return self.chosen[axis] if axis in self.chosen else slices.get(axis, slice(None))

        try:
            block = np.asarray(self.array[tuple(region(axis) for axis in range(self.array.ndim))])
        except MemoryError as error:
            raise UserError(
                f"{self.path}: its chunks of {' x '.join(map(str, self.array.chunks))} pixels don't fit into memory. "
                "Save it in smaller chunks."
            ) from error
        except Exception as error:  # decoders raise whatever they like on a damaged chunk
            raise UserError(
                f"{self.path}: pixels can't be read; it may be damaged or cut short ({error}). Copy or save it again."
            ) from error
        stored = sorted(self.axes)
        return block.transpose([stored.index(axis) for axis in self.axes])
