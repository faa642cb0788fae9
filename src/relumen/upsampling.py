"""Plain upsampling, against which every network is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bicubic(image: NDArray, scale: int) -> NDArray[np.float32]:
    """Bicubic interpolation of (y, x): Keys's cubic convolution (a = -0.5), as Pillow computes it.

    Half-pixel centres, so it is the counterpart of binning.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float32)
