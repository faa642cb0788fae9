"""The size of Fiji's tiles for a network."""

from __future__ import annotations

from relumen.run import About


def tile_of(about: About) -> int:
    """Height and width of a network's tile in input pixels: the only one that it takes, or one that suits Fiji."""
    return about.tile or fiji_tile(about.scale, about.halo)


def fiji_tile(scale: int, halo: int | None) -> int:
    """Height and width of Fiji's tile in input pixels, halo included.

    The work and memory of a tile go with its answer, (scale * tile)^2, and Fiji refuses images of less than a third of
    a tile, which those for large magnifications often are: so the tile is smaller where the scale is larger. It has
    at least four halos, so that no less than half of it is kept along each side.

    Args:
        scale: magnification.
        halo: as the training measured it.
    """
    side = {1: 128, 2: 128, 4: 96}.get(scale, 64)
    return max(side, 4 * (halo or 0))
