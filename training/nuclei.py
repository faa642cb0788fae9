"""Nuclei in images of DNA: where they are, and whether they are in focus."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_local, threshold_otsu
from skimage.measure import label
from skimage.segmentation import find_boundaries, watershed

BACKGROUND = 1
"""The percentile of an image that counts as its background."""


def find_nuclei(dna: NDArray[Any], diameter: float = 32.0) -> NDArray[np.int32]:
    """Labels nuclei in an image of DNA: 0 is background.

    Pixels count that are above Otsu's threshold of the logarithm (dim nuclei beside bright ones) and above their
    surroundings (gaps between close nuclei); touching nuclei are split by a watershed of the distance transform.

    Args:
        dna: (y, x), any unit.
        diameter: typical diameter of a nucleus, pixels.

    Returns:
        Labels (y, x), from 1.
    """
    smooth = gaussian(np.asarray(dna, np.float32), diameter / 20, preserve_range=True)
    signal = smooth - np.percentile(smooth, BACKGROUND)
    if not signal.max() > 0:
        return np.zeros(dna.shape, np.int32)
    logarithm = np.log(np.maximum(signal, signal.max() / 1000))
    surroundings = threshold_local(smooth, 2 * int(diameter) + 1, method="gaussian")
    nuclear = (logarithm > threshold_otsu(logarithm)) & (smooth > surroundings)
    nuclear = ndimage.binary_opening(nuclear, iterations=max(1, round(diameter / 16)))
    nuclear = ndimage.binary_fill_holes(nuclear)
    depth = np.asarray(ndimage.distance_transform_edt(nuclear), np.float32)
    depth = gaussian(depth, diameter / 16, preserve_range=True)
    middles = peak_local_max(depth, min_distance=round(diameter / 3), labels=label(nuclear), exclude_border=False)
    seeds = np.zeros(dna.shape, np.int32)
    seeds[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    return watershed(-depth, seeds, mask=nuclear).astype(np.int32)


def sharpness(dna: NDArray[Any], labels: NDArray[Any], numbers: NDArray[Any], diameter: float) -> NDArray[Any]:
    """How steep the outlines of nuclei are: out of focus it falls.

    The median slope of the outline, times the typical diameter, over the nucleus's mean brightness above the
    background. The median, since where nuclei touch the outline has no slope.

    Args:
        dna: (y, x).
        labels: of the nuclei (y, x).
        numbers: the labels to measure (n,).
        diameter: typical diameter of a nucleus, pixels.

    Returns:
        (n,), without a unit: about 3 in focus, 2 with a blur of an eighth of the diameter (standard deviation), 1.5
        with one of a quarter.
    """
    if not len(numbers):  # an outline of nothing has no median
        return np.zeros(0)
    dna = dna.astype(np.float32)
    slope = ndimage.gaussian_gradient_magnitude(dna, diameter / 20)
    outline = find_boundaries(labels, mode="inner")
    steepness = np.asarray(ndimage.median(slope[outline], labels[outline], numbers))
    brightness = np.asarray(ndimage.mean(dna, labels, numbers)) - np.percentile(dna, BACKGROUND)
    return diameter * steepness / np.maximum(brightness, 1e-6)
