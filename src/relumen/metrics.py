"""Image quality: PSNR, SSIM and MS-SSIM against a reference; and the distance of two sets of images.

PSNR, SSIM and MS-SSIM are raw or after an affine fit, and refer to the same range, that of the reference
(:func:`data_range`), whatever the image's own range is. The one exception is :func:`rescaled`, a fault of published
figures that is kept so that they can be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales of MS-SSIM, finest first, as Wang, Simoncelli and Bovik measured them on observers (2003, Sec. 3.2)."""

WINDOW = 11
"""Height and width of SSIM's Gaussian window, pixels: a smaller image has no SSIM."""
FEWEST_IMAGES = 4
"""Images of a set that :func:`kernel_distance` can be told by."""
_SIGMA = 1.5  # of that window, pixels


def data_range(reference: NDArray[Any]) -> float:
    """The range that PSNR and SSIM refer to: from the 0.1st to the 99.9th percentile of the reference.

    A few hot pixels would otherwise set the scale.
    """
    low, high = np.percentile(reference, (0.1, 99.9))
    return float(high - low)


def psnr(reference: NDArray[Any], image: NDArray[Any], span: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB, by scikit-image; infinite for equal images, and minus so for a blank reference.

    Args:
        reference: (y, x) intensities.
        image: (y, x) of the same shape.
        span: the range that it refers to; None: :func:`data_range`.
    """
    from skimage.metrics import peak_signal_noise_ratio

    a, b = reference.astype(np.float64), image.astype(np.float64)
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(a, b, data_range=span or data_range(reference)))


def ssim(reference: NDArray[Any], image: NDArray[Any], span: float | None = None) -> float:
    """Structural similarity (Gaussian window, sigma 1.5; Wang et al. 2004), by scikit-image; see :func:`psnr`."""
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


def ms_ssim(reference: NDArray[Any], image: NDArray[Any], span: float | None = None, scales: int = 4) -> float:
    """Multi-scale structural similarity, 1 for equal images.

    Contrast and structure are compared at each scale, luminance at the coarsest alone. Means of 2 x 2 pixels lead from
    a scale to the next; an odd last row or column counts twice. Windows are whole, and a scale on which contrast and
    structure are opposed on average counts as 0. With fewer than the published five scales, which images below 161
    pixels are too small for, the weights of the finer ones are divided by their sum: another figure than that of five,
    to be named with its scales.

    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity for image quality assessment, Asilomar 2003,
    Eq. 7, with the means over places that its authors' program takes at each scale.

    Args:
        reference: (y, x) intensities.
        image: (y, x) of the same shape.
        span: the range that it refers to; None: :func:`data_range`.
        scales: 1 to 5.

    Raises:
        ValueError: the shapes differ, the images are too small for so many scales, or there are no such scales.
    """
    if not 1 <= scales <= len(SCALE_WEIGHTS):
        raise ValueError(f"MS-SSIM has 1 to {len(SCALE_WEIGHTS)} scales. Received: scales={scales}")
    least = least_side(scales)
    if reference.shape != image.shape or reference.ndim != 2 or min(reference.shape) < least:
        raise ValueError(
            f"MS-SSIM of {scales} scales takes two images (y, x) of one shape, {least} pixels or more each way. "
            f"Received: {reference.shape} and {image.shape}"
        )
    a, b = reference.astype(np.float64), image.astype(np.float64)
    span = span or data_range(reference)
    value = 1.0
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    for scale, weight in enumerate(weights, 1):
        luminance, structure = _similarities(a, b, span)
        term = structure if scale < scales else luminance * structure
        value *= max(float(term.mean()), 0.0) ** weight
        a, b = _halved(a), _halved(b)
    return float(value)


def least_side(scales: int) -> int:
    """Height and width, pixels, of the smallest image that has so many scales of MS-SSIM, each with a whole window."""
    return (WINDOW - 1) * 2 ** (scales - 1) + 1


def _similarities(a: NDArray[Any], b: NDArray[Any], span: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Luminance, and contrast times structure, at all places of a whole window (Wang et al. 2004, Eqs. 6 to 13)."""
    from scipy.ndimage import gaussian_filter

    def mean(x: NDArray[Any]) -> NDArray[Any]:
        edge = WINDOW // 2
        return gaussian_filter(x, _SIGMA, radius=edge)[edge:-edge, edge:-edge]

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    a_mean, b_mean = mean(a), mean(b)
    variances = mean(a * a) - a_mean**2 + mean(b * b) - b_mean**2
    covariance = mean(a * b) - a_mean * b_mean
    luminance = (2 * a_mean * b_mean + c1) / (a_mean**2 + b_mean**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _halved(image: NDArray[Any]) -> NDArray[Any]:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    even = np.pad(image, [(0, size % 2) for size in image.shape], mode="edge")
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def affine_fitted(reference: NDArray[Any], image: NDArray[Any]) -> NDArray[np.float64]:
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


def rescaled(image: NDArray[Any]) -> NDArray[np.float64]:
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


def frechet_distance(features: NDArray[Any], others: NDArray[Any]) -> float:
    """The Frechet distance of two sets of images: FID, over any features.

    ||m1 - m2||^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), with unbiased covariances: that of two Gaussians with the sets' means
    and covariances. With fewer images than features the covariances are singular and the value is biased: too great,
    and the more so the fewer the images. Then lead with :func:`kernel_distance`, which has no such bias, and compare
    Frechet distances of equally many images alone.

    Source: Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017, Eq. 6.

    Args:
        features: of one set of images, (images, d).
        others: of the other.

    Raises:
        ValueError: fewer than two images in a set, or features of another length.
    """
    if min(len(features), len(others)) < 2 or features.shape[1] != others.shape[1]:
        raise ValueError(f"two images a set at least, of equal features. Received: {features.shape}, {others.shape}")
    a, b = (each.astype(np.float64) for each in (features, others))
    means = float(np.sum((a.mean(0) - b.mean(0)) ** 2))
    # With C1 = A'A and C2 = B'B, the eigenvalues of C1 C2 but for zeros are those of (AB')(AB')': their roots are the
    # singular values of AB', which is real and small where there are few images.
    a, b = _root(a), _root(b)
    shared = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    return max(means + float(np.sum(a**2)) + float(np.sum(b**2)) - 2 * shared, 0.0)


def _root(features: NDArray[Any]) -> NDArray[Any]:
    """A matrix A of up to d rows whose A'A is the covariance of features (images, d)."""
    a = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return a if len(a) <= a.shape[1] else np.linalg.qr(a)[1]


@dataclass(frozen=True)
class KernelDistance:
    """How far two sets of images are apart, in the features of a network.

    Attributes:
        value: squared maximum mean discrepancy, without bias: about 0 for sets of one kind, and then perhaps negative.
        halves: its values on random halves of both sets.
    """

    value: float
    halves: tuple[float, ...]

    @property
    def low(self) -> float:
        """End of the interval that holds 95 % of the values on halves."""
        return float(np.percentile(self.halves, 2.5))

    @property
    def high(self) -> float:
        """Its other end."""
        return float(np.percentile(self.halves, 97.5))

    def nearer_than(self, other: KernelDistance) -> float:
        """Share of the halves, 0 to 1, on which this distance is the smaller one.

        Args:
            other: of as many images to the same ones, by the same seed, so that the same images were drawn for both.
        """
        return float(np.mean(np.less(self.halves, other.halves)))


def kernel_distance(
    features: NDArray[Any], others: NDArray[Any], *, seed: int = 0, halves: int = 200
) -> KernelDistance:
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
    if min(len(features), len(others)) < FEWEST_IMAGES or features.shape[1] != others.shape[1]:
        raise ValueError(f"four images a set at least, of equal features. Received: {features.shape}, {others.shape}")
    a, b = (each.astype(np.float64) for each in (features, others))
    kernels = [(x @ y.T / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(halves):
        i, j = (rng.permutation(len(each))[: len(each) // 2] for each in (a, b))
        values.append(_discrepancy(*(k[np.ix_(*at)] for k, at in zip(kernels, ((i, i), (j, j), (i, j)), strict=True))))
    return KernelDistance(_discrepancy(*kernels), tuple(values))


def _discrepancy(own: NDArray[Any], others: NDArray[Any], across: NDArray[Any]) -> float:
    """Squared maximum mean discrepancy of kernel matrices, none with itself (Gretton et al. 2012, Eq. 3)."""
    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (own, others))
    return float(within - 2 * across.mean())
