"""Whether a feature network sees what a perceptual loss must: blur and noise, more than a slight shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Clean, blurred
from relumen.normalisation import EPS

Float32 = NDArray[np.float32]
Embedding = Callable[[Float32], NDArray[Any]]
"""(1, y, x, 1) in units of an image's mean and deviation -> anything of which differences can be taken."""

BLURS = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Standard deviations, pixels."""
PHOTONS = (1000.0, 300.0, 100.0, 30.0, 10.0)
"""Photons at the image's brightest."""
CHANGES = (*(f"blur, sigma {sigma:g} px" for sigma in BLURS), *(f"noise, {photons:g} photons" for photons in PHOTONS))
"""All of them, in words."""
READ_NOISE = 2.0
SHIFT = 1
"""Pixels, down and to the right."""


@dataclass(frozen=True)
class Sensitivity:
    """Distances between an image and the same image after a change: means of absolute differences.

    Attributes:
        blur: at each of :data:`BLURS`.
        noise: at each of :data:`PHOTONS`.
        shift: at a shift by :data:`SHIFT`.
    """

    blur: tuple[float, ...]
    noise: tuple[float, ...]
    shift: float

    @property
    def grows(self) -> bool:
        """Whether more blur is always further away, and more noise too."""
        return all(bool((np.diff([0, *row]) > 0).all()) for row in (self.blur, self.noise))


def sensitivity(embedding: Embedding, image: Clean, seed: int = 0) -> Sensitivity:
    """Judges a feature network on one image.

    Args:
        embedding: the network, or ``pixels`` for comparison.
        image: what is changed, (y, x).
        seed: of the noise.
    """
    seen = embedding(standardised(image.signal, image))

    def distance(changed: Float32) -> float:
        return float(np.mean(np.abs(embedding(standardised(changed, image)) - seen)))

    return Sensitivity(
        blur=tuple(distance(blurred(image.signal, sigma).astype(np.float32)) for sigma in BLURS),
        noise=tuple(
            distance(with_noise(image, photons, np.random.default_rng((seed, i)))) for i, photons in enumerate(PHOTONS)
        ),
        shift=distance(np.roll(image.signal, SHIFT, (0, 1))),
    )


def pixels(batch: Float32) -> NDArray[Any]:
    """The embedding whose distance is the mean absolute error of pixels."""
    return batch


def standardised(signal: Float32, image: Clean) -> Float32:
    """A signal (y, x) as a batch (1, y, x, 1) in units of the image's mean and deviation."""
    return ((signal - image.signal.mean()) / (image.signal.std() + EPS))[np.newaxis, ..., np.newaxis]


def with_noise(image: Clean, photons: float, rng: np.random.Generator) -> Float32:
    """The signal with the noise of so many photons, in its own units."""
    return Clean(image.signal, 0.0, 1.0).noisy(photons, READ_NOISE, rng)
