"""Image quality: PSNR and SSIM against a reference, as scikit-image computes them; and the distance of two sets.

PSNR and SSIM are raw or after an affine fit, and both refer to the same range, that of the reference
(:func:`data_range`), whatever the image's own range is. The one exception is :func:`rescaled`, a fault of published
figures that is kept so that they can be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def data_range(reference: NDArray) -> float:
    """The range that PSNR and SSIM refer to: from the 0.1st to the 99.9th percentile of the reference.

    A few hot pixels would otherwise set the scale.
    """
    low, high = np.percentile(reference, (0.1, 99.9))
    return float(high - low)


def psnr(reference: NDArray, image: NDArray, span: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB.

    Args:
        reference: (y, x) intensities.
        image: (y, x) of the same shape.
        span: the range that it refers to; None: :func:`data_range`.
    """
    from skimage.metrics import peak_signal_noise_ratio

    a, b = reference.astype(np.float64), image.astype(np.float64)
    return float(peak_signal_noise_ratio(a, b, data_range=span or data_range(reference)))


def ssim(reference: NDArray, image: NDArray, span: float | None = None) -> float:
    """Structural similarity (Gaussian window, sigma 1.5; Wang et al. 2004); arguments as of :func:`psnr`."""
    from skimage.metrics import structural_similarity

    value: Any = structural_similarity(  # a tuple only where a map or a gradient is asked for
        reference.astype(np.float64),
        image.astype(np.float64),
        data_range=span or data_range(reference),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def affine_fitted(reference: NDArray, image: NDArray) -> NDArray[np.float64]:
    """The image as ``a * image + b`` with the a and b of least squared error to the reference.

    A microscope's gain and offset are no fault of a restoration: figures after the fit tell its structure alone. A
    constant image becomes the reference's mean.

    Source: CSBDeep's ``normalize_minmse`` (Weigert et al. 2018), by which CARE's figures are made.

    Args:
        reference: (y, x) intensities, left as they are.
        image: (y, x) of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != image.shape:
        raise ValueError(f"reference and image have one shape. Received: {reference.shape} and {image.shape}")
    a, b = reference.astype(np.float64), image.astype(np.float64)
    deviation = b - b.mean()
    variance = float(np.mean(deviation**2))
    slope = float(np.mean((a - a.mean()) * deviation)) / variance if variance > 0 else 0.0
    return slope * deviation + a.mean()


def rescaled(image: NDArray) -> NDArray[np.float64]:
    """The image from its own smallest value, which becomes 0, to its own largest, which becomes 1.

    A fault, kept for comparison: CIN-GAN's published scripts rescale every image so, restored and true ones, before
    they compute PSNR and SSIM over a range of 1. One hot pixel then darkens a whole image, and gain and offset are
    undone by the two pixels that tell least of them: the figures are others than those of what the network gave. A
    constant image becomes 0.

    Args:
        image: (y, x) intensities.
    """
    low, high = float(image.min()), float(image.max())
    return (image.astype(np.float64) - low) / (high - low or 1.0)


@dataclass(frozen=True)
class KernelDistance:
    """How far two sets of images are apart, in the features of a network.

    Attributes:
        value: squared maximum mean discrepancy, without bias: about 0 for sets of one kind, and then perhaps negative.
        low: end of the interval that holds 95 % of the values on random halves of both sets.
        high: its other end.
    """

    value: float
    low: float
    high: float


def kernel_distance(features: NDArray, others: NDArray, *, seed: int = 0, halves: int = 200) -> KernelDistance:
    """The kernel distance of Binkowski et al., Demystifying MMD GANs, ICLR 2018, Sec. 4: KID, over any features.

    The kernel is (x . y / d + 1)^3. Values on halves of the sets scatter about as much as the value does from one draw
    of the sets to another (delete-half jackknife).

    Args:
        features: of one set of images, (images, d).
        others: of the other.
        seed: of the halves.
        halves: how many are drawn.

    Raises:
        ValueError: fewer than four images in a set, or features of another length.
    """
    if min(len(features), len(others)) < 4 or features.shape[1] != others.shape[1]:
        raise ValueError(f"four images a set at least, of equal features. Received: {features.shape}, {others.shape}")
    a, b = (each.astype(np.float64) for each in (features, others))
    kernels = [(x @ y.T / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(halves):
        i, j = (rng.permutation(len(each))[: len(each) // 2] for each in (a, b))
        values.append(_discrepancy(*(k[np.ix_(*at)] for k, at in zip(kernels, ((i, i), (j, j), (i, j)), strict=True))))
    low, high = np.percentile(values, (2.5, 97.5))
    return KernelDistance(_discrepancy(*kernels), float(low), float(high))


def _discrepancy(own: NDArray, others: NDArray, across: NDArray) -> float:
    """Squared maximum mean discrepancy of kernel matrices, none with itself (Gretton et al. 2012, Eq. 3)."""
    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (own, others))
    return float(within - 2 * across.mean())
