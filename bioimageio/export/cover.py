"""The cover: a real image beside what the network makes of it, twice as wide as high."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.errors import CheckFailedError
from relumen.pictures import to_grey

MAX_BYTES = 480_000
"""The zoo refuses covers of over 500 KB."""
_SIDE = 512  # of each half, pixels
_SMALLEST_SIDE = 64
_PERCENTILES = (0.5, 99.8)


def write_cover(path: Path, image: NDArray, restored: NDArray) -> None:
    """Writes input | output as a PNG; both halves show one square of the image with one contrast.

    Args:
        path: the file.
        image: (y, x) intensities.
        restored: (scale * y, scale * x) intensities in the same units.

    Raises:
        CheckFailedError: no size of the picture is small enough.
    """
    import imageio.v3 as iio

    scale = restored.shape[0] // image.shape[0]
    side = min(*image.shape, max(1, _SIDE // scale))
    while side * scale >= _SMALLEST_SIDE or side == min(image.shape):
        iio.imwrite(path, _halves(image, restored, side, scale), extension=".png")
        if path.stat().st_size <= MAX_BYTES:
            return
        side = side * 3 // 4
    raise CheckFailedError(f"{path.name} is over {MAX_BYTES // 1000} KB at every size.")


def _halves(image: NDArray, restored: NDArray, side: int, scale: int) -> NDArray[np.uint8]:
    top, left = ((length - side) // 2 for length in image.shape)
    before = image[top : top + side, left : left + side]
    after = restored[scale * top : scale * (top + side), scale * left : scale * (left + side)]
    pair = np.hstack([np.kron(before, np.ones((scale, scale))), after])
    low, high = np.percentile(pair, _PERCENTILES)
    enlarged = max(1, _SIDE // (side * scale))  # small images are shown with larger pixels
    return np.kron(to_grey(pair, float(low), float(high)), np.ones((enlarged, enlarged), np.uint8))
