"""Which part of an image a figure shows enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def liveliest(image: NDArray[Any], size: int, besides: Sequence[tuple[int, int]] = ()) -> tuple[int, int]:
    """Top left corner (y, x) of the square with most edges, on a coarse grid of even positions.

    Args:
        image: (y, x); where it is smaller than the square, the corner is 0 on that axis.
        size: height and width of the square, pixels.
        besides: corners of squares that it shall not overlap, as far as there is another place.
    """
    down, across = np.gradient(image)
    edges = np.hypot(down, across)
    step = max(2, size // 4 // 2 * 2)
    corners = [
        (y, x)
        for y in range(0, max(1, image.shape[0] - size + 1), step)
        for x in range(0, max(1, image.shape[1] - size + 1), step)
    ]
    free = [c for c in corners if all(max(abs(c[0] - y), abs(c[1] - x)) >= size for y, x in besides)]
    return max(free or corners, key=lambda c: float(edges[c[0] : c[0] + size, c[1] : c[1] + size].mean()))
