"""Pictures for people: grey images beside each other, with one contrast for all of a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GAP = 8
_PERCENTILES = (0.5, 99.8)


def to_grey(image: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    """Maps intensities from low..high to 0..255, clipped."""
    return np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)


def side_by_side(rows: Sequence[Sequence[NDArray]]) -> NDArray[np.uint8]:
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
