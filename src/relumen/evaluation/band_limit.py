"""The truth without what no pixel of the input can carry: the mark that perfect interpolation would reach."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

Float32 = NDArray[np.float32]


def band_limited(image: NDArray[Any], factor: int) -> Float32:
    """An image without frequencies above the Nyquist frequency of one with 1 / factor of its pixels on each axis.

    The ideal low-pass filter, by the discrete cosine transform: no image of these frequencies is closer to the truth in
    squared error. Detail beyond it is not seen in the input but inferred.

    Args:
        image: (y, x), both multiples of the factor.
        factor: magnification of the input.
    """
    height, width = (size // factor for size in image.shape)
    spectrum: NDArray[Any] = np.asarray(dctn(np.asarray(image, np.float64), norm="ortho"))
    spectrum[height:] = 0
    spectrum[:, width:] = 0
    return np.asarray(idctn(spectrum, norm="ortho"), np.float32)
