"""Image quality against a reference: PSNR and SSIM, as scikit-image computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def data_range(reference: NDArray) -> float:
    """The range that PSNR and SSIM refer to: from the 0.1st to the 99.9th percentile of the reference.

    A few hot pixels would otherwise set the scale.
    """
    low, high = np.percentile(reference, (0.1, 99.9))
    return float(high - low)


def psnr(reference: NDArray, image: NDArray) -> float:
    """Peak signal-to-noise ratio in dB, over :func:`data_range`."""
    from skimage.metrics import peak_signal_noise_ratio

    a, b = reference.astype(np.float64), image.astype(np.float64)
    return float(peak_signal_noise_ratio(a, b, data_range=data_range(reference)))


def ssim(reference: NDArray, image: NDArray) -> float:
    """Structural similarity (Gaussian window, sigma 1.5; Wang et al. 2004), over :func:`data_range`."""
    from skimage.metrics import structural_similarity

    value: Any = structural_similarity(  # a tuple only where a map or a gradient is asked for
        reference.astype(np.float64),
        image.astype(np.float64),
        data_range=data_range(reference),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)
