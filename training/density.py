"""Cell density of patches, so that a training sees crowded and empty ones alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from skimage.filters import threshold_otsu

_WINDOW = 3  # pixels over which contrast is taken: at the input even cells are small


def cell_mask(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a phase contrast image (y, x) shows cells: local contrast above Otsu's threshold.

    Cells are neither brighter nor darker than what lies between them, but they are rougher. The threshold is on the
    logarithm, so that a few bright, dead cells don't hide the others.
    """
    pixels = image.astype(np.float64)
    variance = uniform_filter(pixels**2, _WINDOW) - uniform_filter(pixels, _WINDOW) ** 2
    contrast = np.log(np.maximum(variance, 1e-6 * max(float(pixels.var()), 1e-12)))
    return contrast > threshold_otsu(contrast)


def cell_densities(
    images: Sequence[NDArray[Any]], places: Sequence[tuple[int, int, int]], patch: int
) -> NDArray[np.float64]:
    """Share of each patch that cells cover, 0 to 1.

    Args:
        images: (y, x) each.
        places: (image, y, x) of the patches' top left corners.
        patch: their height and width.
    """
    masks = [cell_mask(image) for image in images]
    return np.array([masks[i][y : y + patch, x : x + patch].mean() for i, y, x in places])
