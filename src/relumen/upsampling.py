"""Cubic convolution: plain upsampling, against which every network is measured, and its way down."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bicubic(image: NDArray[Any], scale: int) -> NDArray[np.float32]:
    """Bicubic interpolation of (y, x): Keys's cubic convolution (a = -0.5), as Pillow computes it.

    Half-pixel centres, so it is the counterpart of binning.
    """
    return bicubic_to(image, (image.shape[0] * scale, image.shape[1] * scale))


def bicubic_to(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The same to any (height, width); where that is smaller, the kernel is widened against aliasing."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    height, width = shape
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def enlarged(low: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Images (n, m, m, channels) by cubic convolution, as Pillow computes it, (n, size, size, channels), any range.

    >>> enlarged(np.ones((2, 8, 8, 3)), 128).shape
    (2, 128, 128, 3)
    """
    lines = bicubic_to(np.eye(low.shape[1]), (size, low.shape[1]))
    return np.einsum("ym,nmkc,xk->nyxc", lines, low, lines, optimize=True).astype(np.float32)
