"""Tiles: the one plan by which relumen, and JDLL in Fiji, cut an image for a network of fixed size.

A tile is ``core + 2 * halo`` pixels wide. Only its core is kept, so a network whose receptive field fits into
the halo gives the same pixels as on the whole image. Outside the image there is its mirror image (the edge
pixel repeated), and the last tile of a row or column is moved back so that it ends where the image ends. An image
smaller than a core stands in its middle.

A network that halves its input answers in another way where a tile begins at another pixel. For such a one relumen's
tiles begin at a multiple, and the last one may end a little beyond the image; JDLL's begin anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError

Float32 = NDArray[np.float32]
Runner = Callable[[Float32], Float32]
"""A network: (batch, y, x, channels) -> (batch, scale * y, scale * x, channels), in its own units."""


@dataclass(frozen=True)
class Tile:
    """One tile: where its pixels come from, and where its answer goes.

    Attributes:
        rows: row of the image behind each row of the tile, mirrored at the edges.
        columns: the same for columns.
        crop: the part of the network's answer that is kept, (y, x) slices.
        target: where that part stands in the output image, (y, x) slices.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    crop: tuple[slice, slice]
    target: tuple[slice, slice]

    def needed(self) -> slice:
        """The image's rows that the tile's pixels come from."""
        return slice(int(self.rows.min()), int(self.rows.max()) + 1)

    def cut(self, image: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """The tile's pixels of an image (y, x, ...), read as one block so that a memory map stays cheap.

        Args:
            image: the image, or some of its rows.
            first: which row of the image is the first of those.
        """
        top, left = int(self.rows.min()), int(self.columns.min())
        block = image[top - first : int(self.rows.max()) + 1 - first, left : int(self.columns.max()) + 1]
        return np.asarray(block)[np.ix_(self.rows - top, self.columns - left)]


@dataclass(frozen=True)
class TilePlan:
    """How an image is cut into tiles of one fixed size.

    Attributes:
        shape: the image's (height, width) in pixels.
        tile: the tile's (height, width) in input pixels, both halos included.
        halo: input pixels on each side of a tile that are context only.
        scale: the network's magnification s; the answer to a tile is s times as large.
        multiple: a tile begins at a multiple of it, counted from the image's first pixel; it divides tile and halo.

    Raises:
        UserError: a tile that is all halo or doesn't fit the multiple, or an image without pixels.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    halo: int
    scale: int = 1
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.halo < 0 or self.scale < 1:
            raise UserError(f"A halo is 0 or more and a scale 1 or more. Received: {self.halo=}, {self.scale=}")
        if min(self.core) < 1:
            raise UserError(
                f"A tile of {self.tile[0]} x {self.tile[1]} pixels is all halo ({self.halo} on each side). "
                f"Choose a tile of more than {2 * self.halo} pixels."
            )
        if any(length % self.multiple for length in (*self.tile, self.halo)):
            raise UserError(
                f"Tile and halo must be multiples of {self.multiple}, the only sizes that the network takes. "
                f"Received: tile {self.tile[0]} x {self.tile[1]}, halo {self.halo}"
            )
        if min(self.shape) < 1:
            raise UserError(f"The image has no pixels. Received: shape={self.shape}")

    @property
    def core(self) -> tuple[int, int]:
        """(height, width) of the part of a tile that is kept, in input pixels."""
        return self.tile[0] - 2 * self.halo, self.tile[1] - 2 * self.halo

    @property
    def grid(self) -> tuple[int, int]:
        """Number of tiles along y and x."""
        return _count(self.shape[0], self.core[0]), _count(self.shape[1], self.core[1])

    def bands(self) -> Iterator[list[Tile]]:
        """The tiles, one row of the grid at a time, from top to bottom."""
        for y in range(self.grid[0]):
            yield [self._tile(y, x) for x in range(self.grid[1])]

    def tiles(self) -> Iterator[Tile]:
        """All tiles, row by row."""
        for band in self.bands():
            yield from band

    def _tile(self, y: int, x: int) -> Tile:
        rows, crop_y, target_y = self._along(0, y)
        columns, crop_x, target_x = self._along(1, x)
        return Tile(rows, columns, (crop_y, crop_x), (target_y, target_x))

    def _along(self, axis: int, index: int) -> tuple[NDArray[np.intp], slice, slice]:
        size, core = self.shape[axis], self.core[axis]
        start = max(0, min(index * core, -(-(size - core) // self.multiple) * self.multiple))
        kept = min(core, size - start)
        before = self.halo + -(-(core - kept) // 2) // self.multiple * self.multiple
        source = mirrored(np.arange(start - before, start - before + self.tile[axis]), size)
        s = self.scale
        crop = slice(s * before, s * (before + kept))
        return source, crop, slice(s * start, s * (start + kept))


def mirrored(positions: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Positions on an endless line, folded into 0..size-1 by mirrors that repeat the edge pixel.

    >>> mirrored(np.arange(-3, 6), 3).tolist()
    [2, 1, 0, 0, 1, 2, 2, 1, 0]
    """
    folded = np.mod(positions, 2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


def mirrored_to(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """The top left part of an image (y, x, ...) continued endlessly by mirrors: (height, width, ...)."""
    rows, columns = (mirrored(np.arange(wanted), size) for wanted, size in zip(shape, image.shape[:2], strict=True))
    return image[np.ix_(rows, columns)]


class Rows(Protocol):
    """An image (y, x, channels) of which rows are read when they are asked for; numpy arrays are such images."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def predict_bands(image: Rows, run: Runner, plan: TilePlan) -> Iterator[tuple[int, Float32]]:
    """A network's answer to an image, one row of tiles at a time, so that the whole need not fit into memory.

    Args:
        image: the pixels, of which no more is read at once than the rows of one row of tiles; each tile is given to
            ``run`` as it is.
        run: the network.
        plan: the plan for this image.

    Yields:
        (first row, (rows, scale * x, channels out)) from top to bottom; the last band may begin above the end of
        the one before, with the same pixels.

    Raises:
        UserError: the network's answer is of another size than the plan's scale says.
    """
    for band in plan.bands():
        target, needed = band[0].target[0], band[0].needed()
        pixels = image[needed]
        rows: Float32 | None = None
        for tile in band:
            cut = tile.cut(pixels, needed.start)
            answer = run(cut[np.newaxis])[0]
            height, width = (plan.scale * length for length in cut.shape[:2])
            if answer.shape[:2] != (height, width):
                raise UserError(
                    f"The network answers a tile of {cut.shape[0]} x {cut.shape[1]} pixels with {answer.shape[0]} x "
                    f"{answer.shape[1]}, and not with {height} x {width} as it is said to magnify {plan.scale}x."
                )
            if rows is None:
                rows = np.empty((target.stop - target.start, plan.scale * plan.shape[1], answer.shape[-1]), np.float32)
            rows[:, tile.target[1]] = answer[tile.crop]
        if rows is not None:
            yield target.start, rows


def predict_tiled(image: NDArray[Any], run: Runner, plan: TilePlan) -> Float32:
    """A network's answer to a whole image, (scale * y, scale * x, channels out); see :func:`predict_bands`."""
    bands = predict_bands(image, run, plan)
    first = next(bands)
    height, width = plan.shape
    output = np.empty((plan.scale * height, plan.scale * width, first[1].shape[-1]), np.float32)
    for top, band in chain([first], bands):
        output[top : top + band.shape[0]] = band
    return output


def next_multiple(length: int, multiple: int) -> int:
    """The first multiple that is no less than a length."""
    return -(-length // multiple) * multiple


def _count(size: int, core: int) -> int:
    return -(-size // core)
