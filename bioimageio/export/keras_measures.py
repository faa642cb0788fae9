"""What running a network tells of it: magnification, sizes that it takes, and the context that its tiles need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import lcm

import numpy as np

from relumen.differences import largest_deviation
from relumen.errors import CheckFailedError, UserError
from relumen.halo import TOLERANCE, HaloCurve, halo_curve
from relumen.seams import tile_difference
from relumen.tiling import Float32, Runner, mirrored_to, next_multiple

from .tiles import fiji_tile

_MULTIPLES = (*range(1, 17), 20, 24, 28, 32, 40, 48, 56, 64, 96, 128)
_SIZES = ((3, 5), (5, 7), (7, 11), (11, 13), (13, 17), (17, 19), (23, 29), (37, 41), (67, 71))
"""Pairs of primes: what takes both as multiples of a number takes all multiples of it."""
_LEAST = 64  # pixels of the sides that are tried
_ANSWERS = (256, 512)  # sides of the answers to the tiles that are tried, pixels: the work grows with their square
_PHASES = (1, 2, 4, 8, 16)
_HALOS = (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # of networks of one size
_SAFETY = 10  # as of a halo: other images can be so many times harder
_REPEATED = 1e-6  # of one image's two answers, standard deviations of them


@dataclass(frozen=True)
class Geometry:
    """How a package is to cut images for a network.

    Attributes:
        scale: output pixels for each input pixel along y and x.
        channels: of the answer.
        tile: height and width of a tile, input pixels.
        halo: of it, input pixels; None where no halo makes tiles fit each other.
        multiple: of which height and width of an input must be, or at which tiles must begin for them to fit.
        one_size: whether the network takes the tile's size alone.
    """

    scale: int
    channels: int
    tile: int
    halo: int | None
    multiple: int = 1
    one_size: bool = False


def measured(
    run: Runner,
    image: Float32,
    *,
    size: int | None = None,
    tile: int | None = None,
    fixed_size: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Geometry:
    """Runs a network on parts of a real image, and tells how its tiles must be.

    Args:
        run: the network.
        image: (y, x, channels), as it enters.
        size: height and width that the network takes alone; None: others too.
        tile: height and width of a tile where a person chose it.
        fixed_size: whether tiles may be used that don't fit each other.
        say: told what is found.

    Raises:
        UserError: the answer isn't an image of a whole multiple of the input's size, or the tile is too small.
        CheckFailedError: no halo makes tiles fit each other, or the network gives one image several answers.
    """
    if size is not None:
        return _of_one_size(run, image, size, tile, say)
    multiple, scale, answer = _multiple_and_scale(run, image)
    _check_steady(run, image, multiple)
    say(f"Magnification {scale}, sizes of multiples of {multiple}, {answer.shape[-1]} channel(s) in the answer")
    try:
        halo = _halo(run, image, scale, multiple)
    except CheckFailedError as error:
        if fixed_size:
            side = tile or next_multiple(fiji_tile(scale, None), multiple)
            _check_tile(side, 0, multiple)
            return Geometry(scale, answer.shape[-1], side, None, multiple, one_size=True)
        raise CheckFailedError(
            f"{error} If the answer depends on the whole image by nature (global pooling, attention over all pixels, "
            "instance normalisation), train with batch normalisation or none in its place, or export with "
            "--fixed-size: each tile is then an image of its own, and seams show where tiles meet."
        ) from error
    phase = _phase(run, image, scale, multiple, halo)
    halo = next_multiple(halo, lcm(4, phase))
    side = tile or next_multiple(fiji_tile(scale, halo), phase)
    _check_tile(side, halo, phase)
    say(
        f"Context that a tile needs: {halo} pixels on each side"
        + (f"; it begins at multiples of {phase}" if phase > 1 else "")
    )
    return Geometry(scale, answer.shape[-1], side, halo, phase)


def _multiple_and_scale(run: Runner, image: Float32) -> tuple[int, int, Float32]:
    """The smallest number that heights and widths must be multiples of, the magnification, and an answer."""
    refused: Exception | None = None
    other: tuple[tuple[int, int], Float32] | None = None
    for multiple in _MULTIPLES:
        first, second = next(pair for pair in _SIZES if multiple * pair[0] >= _LEAST)
        height, width = multiple * first, multiple * second
        try:
            answer = run(mirrored_to(image, (height, width))[np.newaxis])
        # An engine says in its own way that it doesn't take a size.
        except Exception as error:
            refused = refused or error
            continue
        scale = answer.shape[1] // height
        if scale and answer.shape[1:3] == (scale * height, scale * width):
            return multiple, scale, answer
        other = (height, width), answer
    if other is not None:
        raise UserError(_no_magnification(*other))
    reason = " ".join(str(refused).split())[:300]
    raise UserError(
        f"The network takes images of none of many sizes up to {_MULTIPLES[-1] * _SIZES[0][1]} pixels: {reason}. If "
        "it takes one size alone, build it for that: keras.Input((height, width, channels))."
    )


def _no_magnification(size: tuple[int, int], answer: Float32) -> str:
    (height, width), (tall, wide) = size, answer.shape[1:3]
    said = f"The network makes {tall} x {wide} pixels of {height} x {width}. "
    wanted = "Fiji and relumen run networks whose answer has as many pixels as the input, or a whole multiple"
    if tall == height - (width - wide) != height:
        lost = height - tall
        pad = f"(({lost // 2}, {lost - lost // 2}), ({lost // 2}, {lost - lost // 2}))"
        way = f"it cuts off {lost}" if lost > 0 else f"it adds {-lost}"
        layer = f"keras.layers.ZeroPadding2D({pad})" if lost > 0 else f"keras.layers.Cropping2D({-lost // 2})"
        place = "before its first layer" if lost > 0 else "after its last"
        return f"{said}{wanted}: {way}. Put {layer} {place}, or build its convolutions with padding='same'."
    if tall / height < 1 and abs(tall / height - wide / width) < 0.05:
        factor = round(height / tall)
        return f"{said}{wanted}: it shrinks images. Put keras.layers.UpSampling2D({factor}) after its last layer."
    if round(tall / height, 2) != round(wide / width, 2):
        return f"{said}{wanted}, alike along y and x."
    return f"{said}{wanted}; {tall / height:.3g} is none. Resize inside the network to a whole multiple."


def _check_steady(run: Runner, image: Float32, multiple: int) -> None:
    side = next_multiple(_LEAST, multiple)
    part = mirrored_to(image, (side, side))[np.newaxis]
    first, second = run(part), run(part)
    if largest_deviation(second, first, last_bits=False) > _REPEATED:
        raise CheckFailedError(
            "The network gives one image two different answers: random numbers are part of it, such as a Dropout that "
            "is called with training=True. A package answers alike each time: build it without."
        )


def _halo(run: Runner, image: Float32, scale: int, multiple: int) -> int:
    """Context that a tile needs which begins where the network's grids do, whichever they are."""
    aligned = multiple * _PHASES[-1] if multiple <= 4 else multiple
    *smaller, largest = (next_multiple(side // scale, aligned) for side in _ANSWERS)
    for tile in smaller:
        with suppress(CheckFailedError):
            return _curve(run, image, scale, tile, aligned).halo(TOLERANCE)
    return _curve(run, image, scale, largest, aligned).halo(TOLERANCE)


def _curve(run: Runner, image: Float32, scale: int, tile: int, multiple: int) -> HaloCurve:
    return HaloCurve(halo_curve(run, image, scale=scale, tile=tile, multiple=multiple).errors)


def _phase(run: Runner, image: Float32, scale: int, multiple: int, halo: int) -> int:
    """The smallest multiple by which an image may be shifted, so that its answer is shifted and nothing else."""
    for factor in _PHASES:
        phase = factor * multiple
        side = next_multiple(2 * halo + 2 * _LEAST, phase)
        part = mirrored_to(image, (side + phase, side + phase))[np.newaxis]
        whole, shifted = run(part[:, :side, :side])[0], run(part[:, phase:, phase:])[0]
        inside, same = (
            slice(scale * (halo + phase), scale * (side - halo)),
            slice(scale * halo, scale * (side - halo - phase)),
        )
        if largest_deviation(shifted[same, same], whole[inside, inside], whole, last_bits=False) <= TOLERANCE:
            return phase
    return _PHASES[-1] * multiple  # the strictest that is tried: the exporter measures the halo with it, and tells


def _of_one_size(run: Runner, image: Float32, size: int, tile: int | None, say: Callable[[str], None]) -> Geometry:
    if tile not in (None, size):
        raise UserError(
            f"The network takes images of {size} x {size} pixels alone: --tile {tile} is none. Leave it out."
        )
    answer = run(mirrored_to(image, (size, size))[np.newaxis])
    scale = answer.shape[1] // size
    if not scale or answer.shape[1:3] != (scale * size, scale * size):
        raise UserError(_no_magnification((size, size), answer))
    part = mirrored_to(image, (2 * size, 2 * size))
    for halo in _HALOS:
        if 8 * halo >= 3 * size:
            break
        # Shifted by an odd number of pixels, since Fiji's tiles begin anywhere.
        if tile_difference(part, run, tile=size, scale=scale, halo=halo, multiple=2) <= TOLERANCE / _SAFETY:
            say(f"Magnification {scale}, images of {size} x {size} pixels alone, whose context is {halo} pixels")
            return Geometry(scale, answer.shape[-1], size, halo, one_size=True)
    say(f"Magnification {scale}, images of {size} x {size} pixels alone; no halo makes them fit each other as tiles")
    return Geometry(scale, answer.shape[-1], size, None, one_size=True)


def _check_tile(tile: int, halo: int, multiple: int) -> None:
    if tile % multiple or tile < 2 * halo + max(8, multiple):
        least = next_multiple(2 * halo + max(8, multiple), multiple)
        raise UserError(
            f"A tile of this network must be a multiple of {multiple} pixels, and {least} or more: {halo} on each side "
            f"are context alone. Received: --tile {tile}"
        )
