"""The stated degradation: from a high-quality image to the low-quality one that a worse microscope would take.

By it the inputs of trainings and evaluations are made; what losses, drawn cells and alterations blur for ends of their
own stands with these. The model: blur by a Gaussian point spread function, binning of
``factor`` x ``factor`` camera pixels, Poisson noise of the photons, Gaussian noise of the read-out; any may be none.
Without its noise it is linear: :class:`ForwardOperator` is blur and reduction as matrices, for whoever inverts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from relumen.errors import UserError
from relumen.upsampling import bicubic_to

Float32 = NDArray[np.float32]
Reduction = Literal["area", "bicubic"]
Border = Literal["cut", "mirror", "edge", "zero"]
"""What an image is beyond its edge: left out, the rest weighing more (as Pillow does it), its mirror image, its
outermost pixels, or dark."""


class Degradation(BaseModel):
    """A range of degradations, from which each training patch draws its own blur and noise."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(
        default=2, ge=1, description="Camera pixels binned on each axis: the magnification to be learnt."
    )
    reduction: Reduction = Field(
        default="area",
        description="How so many pixels become one: their mean, as a camera bins them ('area'), or antialiased cubic "
        "convolution ('bicubic').",
    )
    blur: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(1.0,),
        min_length=1,
        description="Standard deviations of the Gaussian blur, high-resolution pixels; each patch draws one of them.",
    )
    photons: tuple[float, float] | None = Field(
        default=(20.0, 600.0),
        description="Photons at the image's brightest (99.9th percentile), from and to; None: no noise is added.",
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
    def _ordered(cls, photons: tuple[float, float] | None) -> tuple[float, float] | None:
        if photons is not None and not 0 < photons[0] <= photons[1]:
            raise ValueError(f"photons are two numbers above 0, the smaller first, received {photons}")
        return photons

    def cleans(self, image: NDArray[Any]) -> tuple[Clean, ...]:
        """What is left of a high-quality image (y, x) before noise, by each blur."""
        if self.photons is None:
            return tuple(Clean(reduced(blurred(image, blur), self.factor, self.reduction)) for blur in self.blur)
        return tuple(clean(image, blur, self.factor, self.reduction) for blur in self.blur)

    def describe(self) -> str:
        """The degradation in words, for cards and logs."""
        sigmas = " or ".join(f"{sigma:g}" for sigma in self.blur)
        parts = [f"Gaussian blur (sigma {sigmas} px)"] if any(self.blur) else []
        parts.append(f"{self.factor}x binning" if self.reduction == "area" else f"{self.factor}x bicubic reduction")
        if self.photons is None:
            return ", ".join([*parts, "no added noise"])
        parts.append("Poisson noise of {:g} to {:g} photons at the brightest".format(*self.photons))
        return ", ".join([*parts, f"read-out noise of {self.read_noise:g} electrons"])


@dataclass(frozen=True)
class Clean:
    """A low-resolution image before its noise.

    Attributes:
        signal: (y, x), 0 at the image's dark level and about 1 at its brightest; intensities where no noise follows.
        dark: intensity of the high-quality image that counts as no light.
        span: intensity between dark and brightest.
    """

    signal: Float32
    dark: float = 0.0
    span: float = 1.0

    @property
    def image(self) -> Float32:
        """The image, in the intensities of the high-quality image."""
        return self.signal * np.float32(self.span) + np.float32(self.dark)

    def noisy(self, photons: float, read_noise: float, rng: np.random.Generator) -> Float32:
        """The image as the camera would give it, in the intensities of the high-quality image."""
        return self.with_noise(self.signal, photons, read_noise, rng)

    def with_noise(self, signal: Float32, photons: float, read_noise: float, rng: np.random.Generator) -> Float32:
        """Noise on any part of the signal, in the intensities of the high-quality image."""
        electrons = rng.poisson(signal * photons) + rng.normal(0.0, read_noise, signal.shape)
        return (electrons / photons * self.span + self.dark).astype(np.float32)

    def statistics(self, photons: float = math.inf, read_noise: float = 0.0) -> tuple[float, float]:
        """Expected mean and standard deviation over the whole noisy image, without drawing the noise."""
        mean, variance = self._moments
        variance = variance + mean / photons + (read_noise / photons) ** 2
        return mean * self.span + self.dark, float(np.sqrt(variance)) * self.span

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """Mean and variance of the signal; a training asks for them with every patch."""
        return float(self.signal.mean(dtype=np.float64)), float(self.signal.var(dtype=np.float64))


def clean(image: NDArray[Any], blur: float, factor: int, reduction: Reduction = "area") -> Clean:
    """Blur and binning, before the noise of the photons that are left.

    Args:
        image: (y, x) high-quality intensities, y and x multiples of the factor.
        blur: standard deviation, high-resolution pixels.
        factor: camera pixels binned on each axis.
        reduction: how they are binned.
    """
    dark, bright = np.percentile(image, (0.1, 99.9))
    span = max(float(bright - dark), 1e-6)
    signal = blurred(np.maximum(image.astype(np.float32) - dark, 0) / span, blur)
    # Cubic convolution undershoots, and there are no photons below none.
    return Clean(np.maximum(reduced(signal, factor, reduction), 0), float(dark), span)


@dataclass(frozen=True)
class ForwardOperator:
    """D of regularized latent search: blur and reduction of a square image as dense matrices.

    ``D(x) = gain * sum_k rows[k] @ x @ columns[k].T``, for each channel by itself. One pair of matrices is enough for
    all that separates into lines: cubic convolution, means, Gaussian blur. Another point spread function takes as many
    pairs as it has rank.

    Attributes:
        rows: (k, m, n) from n pixels along y to m, float64.
        columns: (k, m, n), likewise along x.
        gain: (m, m), what weights that a border cuts are made up for by; 1 elsewhere.
        description: the operator in words.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    gain: NDArray[np.float64]
    description: str

    @property
    def size(self) -> int:
        """n, height and width of the high-resolution image."""
        return self.rows.shape[2]

    @property
    def low_size(self) -> int:
        """m, height and width of the low-resolution image."""
        return self.rows.shape[1]

    @property
    def factor(self) -> int:
        """Of the reduction."""
        return self.size // self.low_size

    def __call__(self, images: NDArray[Any]) -> Float32:
        """Images (..., n, n, channels) as (..., m, m, channels)."""
        low = np.einsum("kmy,...yxc,kpx->...mpc", self.rows, images, self.columns, optimize=True)
        return (low * self.gain[..., np.newaxis]).astype(np.float32)


def forward_operator(
    size: int,
    factor: int,
    *,
    blur: float = 0.0,
    psf: NDArray[Any] | None = None,
    reduction: Reduction = "bicubic",
    border: Border = "cut",
) -> ForwardOperator:
    """The operator of a point spread function and a factor.

    Args:
        size: height and width of the high-resolution image, pixels.
        factor: pixels that become one on each axis; it divides the size.
        blur: standard deviation of a Gaussian before the reduction, high-resolution pixels; 0: none.
        psf: a point spread function (y, x) in place of the Gaussian, sampled at high-resolution pixels, odd on both
            axes, its centre in the middle; it is scaled to a sum of 1.
        reduction: Keys's cubic convolution (a = -0.5), widened against aliasing, as Pillow computes it ("bicubic"), or
            the mean that a camera's binning is ("area").
        border: what the image is beyond its edge.

    Raises:
        UserError: the factor doesn't divide the size, the blur is negative or there are both blur and psf, or the psf
            is none: even, of a sum that is not positive, or not finite.

    >>> d = forward_operator(128, 16)
    >>> d.rows.shape, d(np.ones((128, 128, 3))).shape
    ((1, 8, 128), (8, 8, 3))
    """
    if factor < 1 or size % factor:
        fit = ", ".join(str(each) for each in range(1, size + 1) if size % each == 0)
        raise UserError(f"A factor divides the prior's {size} pixels: one of {fit}. Received: {factor}")
    if blur < 0 or (blur and psf is not None):
        raise UserError(f"A blur is 0 or more, and stands alone, without a PSF. Received: blur {blur:g}")
    steps, sampled = _kernel_of(reduction, factor)
    words = [f"{factor}x {'binning' if reduction == 'area' else 'bicubic reduction'}"]
    if psf is not None:
        lines = _lines_of(psf)
        words.insert(0, f"a PSF of {psf.shape[0]} x {psf.shape[1]} pixels")
    else:
        reach = math.ceil(4 * blur)
        gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2) if blur else np.ones(1)
        lines = [(gaussian / gaussian.sum(),) * 2]
        words = [f"Gaussian blur (sigma {blur:g} px)", *words] if blur else words

    def matrices(axis: int) -> NDArray[np.float64]:
        blurs = [_band(line[axis], np.arange(size) - len(line[axis]) // 2, size, border) for line in lines]
        reduce = _band(sampled, factor * np.arange(size // factor) + steps, size, border)
        return np.stack([reduce @ each for each in blurs])

    rows, columns = matrices(0), matrices(1)
    kept = np.einsum("kmy,kpx->mp", rows, columns)
    gain = 1 / kept if border == "cut" else np.ones_like(kept)
    words.append(f"border: {border}")
    return ForwardOperator(rows, columns, gain, ", ".join(words))


def _kernel_of(reduction: Reduction, factor: int) -> tuple[int, NDArray[np.float64]]:
    """Where the kernel begins, from the first of the pixels that become one; and its weights, whose sum is 1."""
    if reduction == "area":
        return 0, np.full(factor, 1 / factor)
    first = -math.floor(1.5 * factor)
    last = factor - 1 - first
    t = np.abs((np.arange(first, last + 1) + 0.5) / factor - 0.5)
    inner, outer = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, inner, np.where(t < 2, outer, 0.0))
    return first, weights / weights.sum()


def _lines_of(psf: NDArray[Any]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """A point spread function as a sum of products of lines along y and x, by singular values."""
    psf = np.asarray(psf, np.float64)
    if psf.ndim != 2 or not all(side % 2 for side in psf.shape) or not np.isfinite(psf).all() or psf.sum() <= 0:
        raise UserError(
            "A PSF is one plane (y, x), odd on both axes so that it has a middle, finite, of a positive sum. "
            f"Received: shape {psf.shape}, sum {psf.sum():g}"
        )
    u, s, v = np.linalg.svd(psf[::-1, ::-1] / psf.sum())  # mirrored: correlated below, but to convolve is meant
    rank = int((s > 1e-7 * s[0]).sum())
    return [(u[:, k] * math.sqrt(s[k]), v[k] * math.sqrt(s[k])) for k in range(rank)]


def _band(kernel: NDArray[Any], starts: NDArray[Any], size: int, border: Border) -> NDArray[np.float64]:
    """The matrix (starts, size) that lays a kernel along a line from each start; what lies beyond is as the border."""
    at = starts[:, np.newaxis] + np.arange(len(kernel))
    weights = np.broadcast_to(kernel, at.shape)
    if border == "mirror":
        at = at % (2 * size)
        at = np.minimum(at, 2 * size - 1 - at)
    elif border == "edge":
        at = np.clip(at, 0, size - 1)
    else:
        weights = np.where((at >= 0) & (at < size), weights, 0.0)
        at = np.clip(at, 0, size - 1)
    matrix = np.zeros((len(starts), size))
    np.add.at(matrix, (np.arange(len(starts))[:, np.newaxis], at), weights)
    return matrix


def without_planes(image: NDArray[Any], step: int, sigma: float) -> Float32:
    """An image (y, x) as a stack looks from its side whose planes are far apart: y stands for z.

    It is blurred along y as by a long point spread function, every ``step``-th row is kept, and the rows between are
    interpolated linearly (Weigert et al. 2018, isotropic reconstruction).

    Args:
        image: intensities.
        step: rows from one that is kept to the next.
        sigma: standard deviation of the blur along y, pixels.
    """
    rows = np.arange(image.shape[0])
    kept = rows[step // 2 :: step]
    slices = image.astype(np.float32)
    slices = (gaussian_filter1d(slices, sigma, axis=0) if sigma else slices)[kept]
    below = np.clip(np.searchsorted(kept, rows, side="right") - 1, 0, len(kept) - 1)
    above = np.minimum(below + 1, len(kept) - 1)
    share = np.clip((rows - kept[below]) / np.maximum(kept[above] - kept[below], 1), 0, 1).astype(np.float32)
    return slices[below] * (1 - share[:, np.newaxis]) + slices[above] * share[:, np.newaxis]


def unresolved(image: NDArray[Any], factor: int, sigma: float) -> Float32:
    """An image (y, x) as a microscope of less resolution gives it, enlarged to the same size by cubic convolution.

    Args:
        image: intensities, y and x multiples of the factor.
        factor: pixels that became one, on each axis.
        sigma: standard deviation of the blur before, pixels.
    """
    height, width = image.shape
    return bicubic_to(reduced(blurred(image.astype(np.float32), sigma), factor), (height, width))


def reduced(image: NDArray[Any], factor: int, reduction: Reduction = "area") -> Float32:
    """An image (y, x) at 1 / factor of its size, half-pixel centres.

    Args:
        image: y and x multiples of the factor.
        factor: high-resolution pixels that become one, on each axis.
        reduction: their mean ("area"), or Keys's cubic convolution (a = -0.5), widened against aliasing, as Pillow
            computes it ("bicubic").
    """
    height, width = (size // factor for size in image.shape)
    if reduction == "bicubic":
        return bicubic_to(image, (height, width))
    return image.reshape(height, factor, width, factor).mean((1, 3)).astype(np.float32)


def blurred(image: NDArray[Any], sigma: float) -> NDArray[Any]:
    """An image (y, x) through a Gaussian point spread function of this standard deviation, pixels."""
    return gaussian_filter(image, sigma) if sigma else image


def crop_to_multiple(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """Drops the last rows and columns of (..., y, x) that binning could not fill."""
    return image[..., : image.shape[-2] // factor * factor, : image.shape[-1] // factor * factor]
