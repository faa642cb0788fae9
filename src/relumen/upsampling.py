"""Plain upsampling, against which every network is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bicubic(image: NDArray, scale: int) -> NDArray[np.float32]:
    """Bicubic interpolation of (y, x) with half-pixel centres, the counterpart of binning."""
    from skimage.transform import resize

    shape = (image.shape[0] * scale, image.shape[1] * scale)
    return resize(image.astype(np.float32), shape, order=3, mode="edge", anti_aliasing=False, clip=False)
