"""Diffraction pattern filters: how a small phase-retarding particle looks in a positive phase contrast microscope.

Source: Su, Yin, Huh and Kanade, Cell segmentation in phase contrast microscopy images via semi-supervised
classification over optics-related features, Medical Image Analysis 2013; Han and Yin, Sec. 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

Float64 = NDArray[np.float64]
Mode = Literal["paper", "physical"]


@dataclass(frozen=True)
class Optics:
    """A bank of diffraction pattern filters, and the microscope that they are of.

    K_t(r) = (zeta cos t - sin t) A(r) + sin t delta(r), divided by its spectral norm, with the airy pattern of the
    phase ring A(r) = pi R^2 somb(2 R r) - pi (R - W)^2 somb(2 (R - W) r), somb(x) = 2 J1(pi x) / (pi x), and
    t = 2 pi m / count, m = 1 .. count.

    In mode "paper", r is in pixels, and R = 4 and W = 0.8 have no unit: these are the published filters. With them A
    is nearly a delta itself, and so is every filter, of either sign. In mode "physical", R and W are those of the
    objective's phase ring, and A((r pixel) / (wavelength focal)) (pixel / (wavelength focal))^2 takes its place.

    Attributes:
        mode: "paper" or "physical".
        count: filters in the bank, M.
        zeta: amplitude that the phase ring lets pass.
        pixel_um: pixel size at the network's input, micrometres; only "physical" looks at it.
        ring_radius_mm: outer radius R of the phase ring, for "physical".
        ring_width_mm: width W of the phase ring, for "physical".
        focal_mm: focal length; an assumption, since makers seldom state it for the plane of the ring.
        wavelength_um: of the light.

    Raises:
        ValueError: fewer than two filters, a length that is not above 0, or a ring that is wider than its radius.
    """

    mode: Mode = "paper"
    count: int = 12
    zeta: float = 0.8
    pixel_um: float | None = None
    ring_radius_mm: float = 3.75
    ring_width_mm: float = 0.45
    focal_mm: float = 20.0
    wavelength_um: float = 0.55

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"A bank has two filters or more. Received: count={self.count}")
        for name in ("pixel_um", "ring_radius_mm", "ring_width_mm", "focal_mm", "wavelength_um"):
            if (length := getattr(self, name)) is not None and not length > 0:
                raise ValueError(f"A length must be above 0. Received: {name}={length}")
        if self.ring_width_mm > self.ring_radius_mm:
            raise ValueError(
                "A phase ring is no wider than its radius. "
                f"Received: ring_width_mm={self.ring_width_mm}, ring_radius_mm={self.ring_radius_mm}"
            )

    def kernel_radius(self, level: int) -> int:
        """Pixels on each side of a kernel's centre where the image is ``level`` times as large as the input."""
        return max(1, level // 2) if self.mode == "paper" else 3 * level

    def airy(self, level: int) -> Float64:
        """The airy pattern A of the phase ring, (size, size) with size = 2 kernel_radius + 1.

        Raises:
            ValueError: "physical" without a pixel size.
        """
        reach = self.kernel_radius(level)
        steps = np.arange(-reach, reach + 1)
        r = np.hypot(steps[:, np.newaxis], steps)
        if self.mode == "paper":
            return _airy(r, 4.0, 0.8)
        if self.pixel_um is None:
            raise ValueError(f"Physical filters need the input's pixel size. Received: pixel_um={self.pixel_um}")
        # Cycles per millimetre of the ring's plane, so that R r has no unit.
        per_pixel = (self.pixel_um / level) / (self.wavelength_um * self.focal_mm)
        return _airy(r * per_pixel, self.ring_radius_mm, self.ring_width_mm) * per_pixel**2

    def weights(self, level: int) -> Float64:
        """(2, count): how much of A and of delta each filter is; all filters are combinations of these two."""
        airy = self.airy(level)
        retardation = 2 * np.pi * np.arange(1, self.count + 1) / self.count
        raw = np.stack([self.zeta * np.cos(retardation) - np.sin(retardation), np.sin(retardation)])
        norms = [np.linalg.norm(kernel, 2) for kernel in _combined(airy, raw)]
        return raw / np.asarray(norms)

    def kernels(self, level: int = 1) -> Float64:
        """The filters, (count, size, size), where the image is ``level`` times as large as the input.

        >>> Optics().kernels()[0, 1].round(4).tolist()
        [-0.0343, 0.9977, -0.0343]
        """
        return _combined(self.airy(level), self.weights(level))

    def singular_value_ratio(self, level: int = 1) -> float:
        """Second by first singular value of all filters as rows of a matrix: 0 where they are all one, up to sign."""
        values = np.linalg.svd(self.kernels(level).reshape(self.count, -1), compute_uv=False)
        return float(values[1] / values[0])


def _combined(airy: Float64, weights: Float64) -> Float64:
    """Kernels (count, size, size) of the weights (2, count) of A and of delta."""
    delta = np.zeros_like(airy)
    delta[airy.shape[0] // 2, airy.shape[1] // 2] = 1
    return np.tensordot(weights, np.stack([airy, delta]), (0, 0))


def _airy(r: Float64, radius: float, width: float) -> Float64:
    inner = radius - width
    return np.pi * radius**2 * _somb(2 * radius * r) - np.pi * inner**2 * _somb(2 * inner * r)


def _somb(x: Float64) -> Float64:
    """The sombrero function, 1 at 0."""
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, 2 * j1(np.pi * safe) / (np.pi * safe))
