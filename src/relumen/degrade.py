"""The stated degradation: from a high-quality image to the low-quality one that a worse microscope would take.

The only place of blur, binning and noise. The model: blur by a Gaussian point spread function, binning of
``factor`` x ``factor`` camera pixels, Poisson noise of the photons, Gaussian noise of the read-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy.ndimage import gaussian_filter

Float32 = NDArray[np.float32]


class Degradation(BaseModel):
    """A range of degradations, from which each training patch draws its own blur and noise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(
        default=2, ge=1, description="Camera pixels binned on each axis: the magnification to be learnt."
    )
    blur: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(1.0,),
        min_length=1,
        description="Standard deviations of the Gaussian blur, high-resolution pixels; each patch draws one of them.",
    )
    photons: tuple[float, float] = Field(
        default=(20.0, 600.0), description="Photons at the image's brightest (99.9th percentile), from and to."
    )
    read_noise: float = Field(
        default=2.0, ge=0, description="Standard deviation of the read-out noise, photoelectrons."
    )

    @field_validator("blur", mode="before")
    @classmethod
    def _several(cls, blur: object) -> object:
        return (blur,) if isinstance(blur, int | float) else blur

    @field_validator("photons")
    @classmethod
    def _ordered(cls, photons: tuple[float, float]) -> tuple[float, float]:
        if not 0 < photons[0] <= photons[1]:
            raise ValueError(f"photons are two numbers above 0, the smaller first, received {photons}")
        return photons

    def describe(self) -> str:
        """The degradation in words, for cards and logs."""
        low, high = self.photons
        sigmas = " or ".join(f"{sigma:g}" for sigma in self.blur)
        return (
            f"Gaussian blur (sigma {sigmas} px), {self.factor}x binning, Poisson noise of {low:g} to {high:g} "
            f"photons at the brightest, read-out noise of {self.read_noise:g} electrons"
        )


@dataclass(frozen=True)
class Clean:
    """A low-resolution image before its noise.

    Attributes:
        signal: (y, x), 0 at the image's dark level and about 1 at its brightest.
        dark: intensity of the high-quality image that counts as no light.
        span: intensity between dark and brightest.
    """

    signal: Float32
    dark: float
    span: float

    def noisy(self, photons: float, read_noise: float, rng: np.random.Generator) -> Float32:
        """The image as the camera would give it, in the intensities of the high-quality image."""
        return self.with_noise(self.signal, photons, read_noise, rng)

    def with_noise(self, signal: Float32, photons: float, read_noise: float, rng: np.random.Generator) -> Float32:
        """Noise on any part of the signal, in the intensities of the high-quality image."""
        electrons = rng.poisson(signal * photons) + rng.normal(0.0, read_noise, signal.shape)
        return (electrons / photons * self.span + self.dark).astype(np.float32)

    def statistics(self, photons: float, read_noise: float) -> tuple[float, float]:
        """Expected mean and standard deviation over the whole noisy image, without drawing the noise."""
        mean, variance = self._moments
        variance = variance + mean / photons + (read_noise / photons) ** 2
        return mean * self.span + self.dark, float(np.sqrt(variance)) * self.span

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """Mean and variance of the signal; a training asks for them with every patch."""
        return float(self.signal.mean(dtype=np.float64)), float(self.signal.var(dtype=np.float64))


def clean(image: NDArray, blur: float, factor: int) -> Clean:
    """Blur and binning, without noise.

    Args:
        image: (y, x) high-quality intensities, y and x multiples of the factor.
        blur: standard deviation, high-resolution pixels.
        factor: camera pixels binned on each axis.
    """
    dark, bright = np.percentile(image, (0.1, 99.9))
    span = max(float(bright - dark), 1e-6)
    signal = blurred(np.maximum(image.astype(np.float32) - dark, 0) / span, blur)
    height, width = (size // factor for size in image.shape)
    binned = signal.reshape(height, factor, width, factor).mean((1, 3))
    return Clean(binned.astype(np.float32), float(dark), span)


def blurred(image: NDArray, sigma: float) -> NDArray:
    """An image (y, x) through a Gaussian point spread function of this standard deviation, pixels."""
    return gaussian_filter(image, sigma)


def crop_to_multiple(image: NDArray, factor: int) -> NDArray:
    """Drops the last rows and columns of (..., y, x) that binning could not fill."""
    return image[..., : image.shape[-2] // factor * factor, : image.shape[-1] // factor * factor]
