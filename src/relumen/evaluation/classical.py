"""Denoising and interpolation without learning, each at the setting that is best for the image at hand.

The best setting is chosen against the truth, which no user could do: these are upper bounds of the methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relumen.metrics import psnr
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]
GAUSSIAN_SIGMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.1)
NON_LOCAL_STRENGTHS = (0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5)


@dataclass(frozen=True)
class Baseline:
    """A restored image (y, x) with the method that made it, its setting, and its PSNR in dB."""

    method: str
    setting: str
    image: Float32
    psnr: float


def baselines(low: Float32, target: Float32, scale: int) -> list[Baseline]:
    """Bicubic, and the best of Gaussian and of non-local means denoising before bicubic.

    Args:
        low: noisy image (y, x).
        target: truth (scale * y, scale * x), used to choose the settings.
        scale: magnification.
    """
    return [
        _judged("bicubic", "", bicubic(low, scale), target),
        best_gaussian(low, target, scale),
        best_non_local_means(low, target, scale),
    ]


def best_gaussian(low: Float32, target: Float32, scale: int) -> Baseline:
    """Gaussian denoising before bicubic interpolation; arguments as of :func:`baselines`."""
    return _best("Gaussian + bicubic", _gaussian(low), target, scale)


def best_non_local_means(low: Float32, target: Float32, scale: int) -> Baseline:
    """Non-local means before bicubic interpolation; arguments as of :func:`baselines`."""
    return _best("non-local means + bicubic", _nlm(low), target, scale)


def _best(method: str, candidates: Iterator[tuple[str, Float32]], target: Float32, scale: int) -> Baseline:
    tried = [_judged(method, setting, bicubic(image, scale), target) for setting, image in candidates]
    return max(tried, key=lambda baseline: baseline.psnr)


def _judged(method: str, setting: str, image: Float32, target: Float32) -> Baseline:
    return Baseline(method, setting, image, psnr(target, image))


def _gaussian(low: Float32) -> Iterator[tuple[str, Float32]]:
    for sigma in GAUSSIAN_SIGMAS:
        yield f"sigma {sigma:g}", np.asarray(gaussian_filter(low, sigma), np.float32)


def _nlm(low: Float32) -> Iterator[tuple[str, Float32]]:
    """Non-local means (Buades et al. 2005) at strengths relative to the estimated noise."""
    from skimage.restoration import denoise_nl_means, estimate_sigma

    noise = float(np.mean(estimate_sigma(low)))
    for strength in NON_LOCAL_STRENGTHS:
        for sigma in (0.0, noise):
            image = np.asarray(
                denoise_nl_means(low, patch_size=5, patch_distance=6, h=strength * noise, sigma=sigma, fast_mode=True),
                np.float32,
            )
            yield f"h {strength:g} x noise{', corrected' if sigma else ''}", image
