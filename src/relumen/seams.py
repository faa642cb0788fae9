"""What shows where tiles meet: how far tiles disagree, and how much the picture jumps from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.differences import largest_deviation
from relumen.errors import UserError
from relumen.tiling import Float32, Runner, TilePlan, predict_tiled

_MOST_SHIFTS = 8


def jump_ratio(picture: NDArray[Any], plan: TilePlan) -> float:
    """The mean absolute difference of neighbouring pixels across the borders of tiles, as a multiple of that inside.

    Borders lie between two input pixels, where a network's answer may change more or less than between two output
    pixels of one input pixel; so inside, too, neighbours are those between two input pixels. About 1 where tiles fit
    each other, more where seams show.

    Args:
        picture: a network's tiled answer, (scale * y, scale * x, ...).
        plan: how its tiles were cut.

    Raises:
        UserError: there is one tile alone, or nothing changes inside tiles.
    """
    across, inside = [], []
    for axis in (0, 1):
        starts = {tile.target[axis].start for tile in plan.tiles()} - {0}
        lines = np.moveaxis(np.asarray(picture, np.float64), axis, 0)
        places = np.arange(plan.scale, len(lines), plan.scale)
        jumps = np.abs(lines[places] - lines[places - 1]).reshape(len(places), -1)
        at_border = np.isin(places, sorted(starts))
        across.append(jumps[at_border].ravel())
        inside.append(jumps[~at_border].ravel())
    borders, others = np.concatenate(across), np.concatenate(inside)
    if not borders.size or not others.size or not others.any():
        raise UserError(
            f"Jumps are measured where tiles meet: {plan.grid[0]} x {plan.grid[1]} tiles of an image of "
            f"{plan.shape[0]} x {plan.shape[1]} pixels show none. Choose smaller tiles, or an image with structure."
        )
    return float(borders.mean() / others.mean())


def tile_difference(image: Float32, run: Runner, *, tile: int, scale: int, halo: int = 0, multiple: int = 1) -> float:
    """How far tiles of one size disagree on what they both show, standard deviations of the output.

    The largest difference of the image's tiled answer from that with all tiles shifted by half of what is kept of one,
    and by half a multiple besides. The image's border, which has a halo of its mirror image, is left out.

    Args:
        image: (y, x, channels), more than half a tile each, in the network's units.
        run: the network.
        tile: height and width of a tile, input pixels.
        scale: the network's magnification.
        halo: of the tiles, input pixels.
        multiple: of which the height and width of an input must be.
    """

    def tiled(part: Float32) -> Float32:
        return predict_tiled(part, run, TilePlan((part.shape[0], part.shape[1]), (tile, tile), halo, scale))

    shift = tile // 2 - halo + multiple // 2
    answer, shifted = tiled(image), tiled(image[shift:, shift:])
    border, seen = scale * halo, scale * (halo + shift)
    return largest_deviation(shifted[border:, border:], answer[seen:, seen:], answer, last_bits=False)


def phase_difference(image: Float32, run: Runner, *, tile: int, halo: int, scale: int, multiple: int) -> float:
    """How far tiles that begin elsewhere than at a multiple disagree with those that begin there.

    The largest difference of the image's tiled answer from that with all tiles shifted along both axes, by each number
    of pixels below the multiple (by eight of them, where there are more), in standard deviations of the output. The
    image's border is left out: its mirrors are shifted too.

    Args:
        image: (y, x, channels), more than halo + multiple pixels each, in the network's units.
        run: the network.
        tile: height and width of a tile, input pixels.
        halo: of a tile, input pixels.
        scale: the network's magnification.
        multiple: of which the height and width of an input must be.
    """

    def tiled(part: Float32) -> Float32:
        return predict_tiled(part, run, TilePlan((part.shape[0], part.shape[1]), (tile, tile), halo, scale, multiple))

    answer = tiled(image)
    largest = 0.0
    shifts = np.unique(np.linspace(1, multiple - 1, min(_MOST_SHIFTS, multiple - 1)).astype(int))
    for shift in shifts.tolist():
        border, seen = scale * halo, scale * (halo + shift)
        shifted = tiled(image[shift:, shift:])[border:, border:]
        largest = max(largest, largest_deviation(shifted, answer[seen:, seen:], answer, last_bits=False))
    return largest
