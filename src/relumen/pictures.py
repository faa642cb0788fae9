"""Pictures for people: grey images beside each other, with one contrast for all of a row, or grids in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GAP = 8
_PERCENTILES = (0.5, 99.8)


def to_grey(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Maps intensities from low..high to 0..255, clipped."""
    return np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)


def side_by_side(rows: Sequence[Sequence[NDArray[Any]]]) -> NDArray[np.uint8]:
    """Rows of images (y, x) as one picture; the contrast of a row is that of its last image.

    Args:
        rows: images of one size within a row.

    Returns:
        (y, x), white between the images.
    """
    strips = []
    for row in rows:
        low, high = np.percentile(row[-1], _PERCENTILES)
        cells = [np.pad(to_grey(image, low, high), ((0, 0), (0, _GAP)), constant_values=255) for image in row]
        strips.append(np.pad(np.hstack(cells)[:, :-_GAP], ((0, _GAP), (0, 0)), constant_values=255))
    width = max(strip.shape[1] for strip in strips)
    strips = [np.pad(strip, ((0, 0), (0, width - strip.shape[1])), constant_values=255) for strip in strips]
    return np.vstack(strips)[:-_GAP]


def in_colour(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image (y, x, channels), 0..1, as :func:`as_rgb` of 8 bits, (y, x, 3)."""
    return np.rint(255 * as_rgb(image)).astype(np.uint8)


def as_rgb(images: NDArray[Any]) -> NDArray[np.float32]:
    """Images of any stains as colours: three channels red, green and blue, two blue and green, one grey.

    Args:
        images: (..., channels), 0..1, clipped. Of more than three channels the first three are shown.

    Returns:
        (..., 3), 0..1.

    >>> as_rgb(np.array([0.25, 0.5])).tolist()
    [0.0, 0.5, 0.25]
    """
    clipped = np.clip(images, 0, 1).astype(np.float32)
    if clipped.shape[-1] == 2:
        return np.stack([np.zeros_like(clipped[..., 0]), clipped[..., 1], clipped[..., 0]], -1)
    return np.repeat(clipped, 3, -1) if clipped.shape[-1] == 1 else clipped[..., :3]


def grid(images: NDArray[Any], columns: int) -> NDArray[np.uint8]:
    """Images (n, y, x, channels), 0..1, in rows of so many, each as :func:`in_colour`; black fills the last row."""
    shown = [in_colour(image) for image in images]
    shown += [np.zeros_like(shown[0])] * (-len(shown) % columns)
    return np.vstack([np.hstack(shown[i : i + columns]) for i in range(0, len(shown), columns)])
