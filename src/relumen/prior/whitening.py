"""PULSE's transform of style vectors, taken to make them Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SLOPE = 5.0
"""Of the leaky ReLU below 0: the inverse of the mapping network's last activation, whose slope is 0.2."""


@dataclass(frozen=True)
class Whitening:
    """PULSE's transform of codes: a leaky ReLU of slope 5, then mean 0 and deviation 1 in each dimension.

    The mapping network ends in a leaky ReLU of slope 0.2, which this undoes; whether what is left is Gaussian is
    PULSE's assumption. "Affine" is to each dimension by itself, as in PULSE: not by the whole covariance.

    Attributes:
        mean: of LeakyReLU_5(w), (d,).
        deviation: its standard deviation, (d,).

    References:
        Menon et al., PULSE, CVPR 2020, Sec. 3.2 and supplement.
        Gheisari and Genovesio, Sec. 2.3.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, w: NDArray[Any]) -> Self:
        """The statistics of codes (n, d): other ones than those that are judged; PULSE draws a million."""
        seen = _leaky(w)
        return cls(seen.mean(0, dtype=np.float64), seen.std(0, dtype=np.float64))

    def __call__(self, w: NDArray[Any]) -> NDArray[np.float64]:
        """The whitened codes, (n, d) like the raw ones."""
        return (_leaky(w) - self.mean) / self.deviation


def _leaky(w: NDArray[Any]) -> NDArray[Any]:
    return np.where(w > 0, w, SLOPE * w)
