"""How much context a network needs: measured on the trained network, not computed from its layers.

A deep network's receptive field is far larger than the part of it that matters; what matters depends on the
weights and on the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from relumen.device import full_float32
from relumen.differences import deviations
from relumen.errors import CheckFailedError
from relumen.tiling import Runner, mirrored

Float32 = NDArray[np.float32]
TOLERANCE = 1e-4
"""Largest difference between tile and whole image that counts as none, in standard deviations of the output."""
_SAFETY = 10  # other images can be so many times harder than the sample: measured on the shipped ones
_SIDES = (256, 512, 1024)  # of the answers to the tiles that are tried
_STEP = 4  # halos are multiples of it, input pixels


@dataclass(frozen=True)
class HaloCurve:
    """The error of a tile against the whole image, by the distance from the tile's edge.

    Attributes:
        errors: at index d, the largest difference at d or more input pixels from the edge, in standard
            deviations of the output; over all places that were tried.
        multiple: of which a halo must be.
    """

    errors: tuple[float, ...]
    multiple: int = 1

    def halo(self, tolerance: float = TOLERANCE) -> int:
        """The smallest halo (a multiple of 4 input pixels) that keeps a tile well within the tolerance.

        Raises:
            CheckFailedError: no halo that leaves a core does.
        """
        limit = tolerance / _SAFETY
        for halo in range(0, len(self.errors), lcm(_STEP, self.multiple)):
            if self.errors[halo] <= limit:
                return halo
        raise CheckFailedError(
            f"No halo makes a tile of this network equal the whole image: {len(self.errors) - 1} pixels from its edge "
            f"it still differs by {self.errors[-1]:.1e} of the output's standard deviation (limit {limit:.0e}). "
            "Networks with instance, group or batch statistics of the image can't be tiled; others need larger tiles."
        )


def halo_curve(run: Runner, sample: Float32, *, scale: int, tile: int, multiple: int = 1) -> HaloCurve:
    """Compares tiles with the image around them at five places of a real image.

    Args:
        run: the network.
        sample: (y, x, channels) in the network's units; mirrored where it is too small.
        scale: the network's magnification.
        tile: height and width of the tile, input pixels.
        multiple: of which the tile must be, and at which it begins.
    """
    reach = max(1, (tile // 2 - _STEP) // multiple) * multiple
    size = tile + 2 * reach
    errors = np.zeros(reach + 1)
    for y, x in _places(sample.shape[0], sample.shape[1], size):
        rows, columns = (
            mirrored(np.arange(y, y + size), sample.shape[0]),
            mirrored(np.arange(x, x + size), sample.shape[1]),
        )
        around = sample[np.ix_(rows, columns)]
        whole = run(around[np.newaxis])[0]
        alone = run(around[np.newaxis, reach : reach + tile, reach : reach + tile])[0]
        inside = slice(scale * reach, scale * (reach + tile))
        difference = deviations(alone, whole[inside, inside], whole, last_bits=False).max(-1)
        for d in range(reach + 1):
            kept = slice(scale * d, scale * (tile - d))
            errors[d] = max(errors[d], float(difference[kept, kept].max()))
    return HaloCurve(tuple(errors.tolist()), multiple)


@full_float32()
def measure_halo(
    run: Runner,
    sample: Float32,
    *,
    scale: int,
    tiles: Sequence[int] | None = None,
    multiple: int = 1,
    tolerance: float = TOLERANCE,
) -> int:
    """The halo of a network in input pixels; see :func:`halo_curve`.

    Args:
        run: the network.
        sample: (y, x, channels) in the network's units.
        scale: the network's magnification.
        tiles: sizes to try, the smallest first: the work grows with their square. None: such as give 256, 512 and
            1024 pixels in the end.
        multiple: of which a tile must be.
        tolerance: largest difference, standard deviations of the output.

    Raises:
        CheckFailedError: the network can't be tiled.
    """
    *smaller, largest = tiles or [side // scale for side in _SIDES]
    for tile in smaller:
        with suppress(CheckFailedError):
            return halo_curve(run, sample, scale=scale, tile=tile, multiple=multiple).halo(tolerance)
    return halo_curve(run, sample, scale=scale, tile=largest, multiple=multiple).halo(tolerance)


def _places(height: int, width: int, size: int) -> list[tuple[int, int]]:
    """Top left corners: the image's corners and its middle, without repeats."""
    bottom, right = max(0, height - size), max(0, width - size)
    return sorted({(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)})
