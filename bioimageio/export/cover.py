"""The cover: a real image beside what the network makes of it, twice as wide as high."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.errors import CheckFailedError
from relumen.pictures import to_grey

MAX_BYTES = 480_000
"""The zoo refuses covers of over 500 KB."""
_SIDE = 512  # of each half, pixels
_SMALLEST_SIDE = 64
_PERCENTILES = (0.5, 99.8)


def write_cover(path: Path, image: NDArray[Any], restored: NDArray[Any], *, one_contrast: bool = True) -> None:
    """Writes input | output as a PNG; both halves show one square of the image.

    Args:
        path: the file.
        image: (y, x) intensities.
        restored: (scale * y, scale * x) intensities.
        one_contrast: whether both are in the same units, and shown in one contrast.

    Raises:
        CheckFailedError: no size of the picture is small enough.
    """
    import imageio.v3 as iio

    scale = restored.shape[0] // image.shape[0]
    side = min(*image.shape, max(1, _SIDE // scale))
    while side * scale >= _SMALLEST_SIDE or side == min(image.shape):
        iio.imwrite(path, _halves(image, restored, side, scale, one_contrast), extension=".png")
        if path.stat().st_size <= MAX_BYTES:
            return
        side = side * 3 // 4
    raise CheckFailedError(f"{path.name} is over {MAX_BYTES // 1000} KB at every size.")


def _halves(
    image: NDArray[Any], restored: NDArray[Any], side: int, scale: int, one_contrast: bool
) -> NDArray[np.uint8]:
    top, left = ((length - side) // 2 for length in image.shape)
    before = image[top : top + side, left : left + side]
    after = restored[scale * top : scale * (top + side), scale * left : scale * (left + side)]
    halves = [np.kron(before, np.ones((scale, scale))), after]
    shown = [_in_contrast(np.hstack(halves))] if one_contrast else [_in_contrast(half) for half in halves]
    enlarged = max(1, _SIDE // (side * scale))  # small images are shown with larger pixels
    return np.kron(np.hstack(shown), np.ones((enlarged, enlarged), np.uint8))


def _in_contrast(picture: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = np.percentile(picture, _PERCENTILES)
    return to_grey(picture, float(low), float(high))
