"""Procedural fluorescence images: what a stain looks like, drawn from a random generator.

Every family is a pure function of a NumPy generator and a size. It draws its own density, sizes and contrast, blurs
the drawing by a point spread function, and gives an image (size, size), float32, 0..1 with its brightest at 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

Float32 = NDArray[np.float32]
_NEAR = 4  # objects that can cover a pixel


def draw(family: str, size: int, rng: np.random.Generator) -> Float32:
    """An image (size, size) of a family, 0..1.

    Args:
        family: a name of :data:`FAMILIES`.
        size: height and width, pixels, 32 or more.
        rng: equal generators give equal images.

    Raises:
        ValueError: there is no such family.

    >>> draw("puncta", 64, np.random.default_rng(0)).shape
    (64, 64)
    """
    if family not in FAMILIES:
        raise ValueError(f"family is one of {', '.join(FAMILIES)}. Received: {family!r}")
    image = FAMILIES[family](rng, size)
    image = gaussian_filter(image, rng.uniform(0.6, 1.3))  # the point spread function
    image = image + rng.uniform(0, 0.08) * np.percentile(image, 99.5)  # light from out of focus
    return (image / max(float(image.max()), 1e-6)).astype(np.float32)


def nuclei(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Filled ellipses with chromatin: fine mottles, and now and then a bright one, as in division."""
    radius = rng.uniform(5, 14)
    cells, owner = _ellipses(rng, size, _count(rng, size, radius, 0.1, 0.45), radius, spread=0.2)
    inside = soft_step(1 - cells, 0.15) * lognormal(rng, owner.max() + 1, 0.35)[owner]
    chromatin = 1 + rng.uniform(0.1, 0.4) * random_field(rng, size, rng.uniform(0.8, 2.5))
    return inside.max(0) * np.maximum(chromatin, 0.1)


def cytoplasm(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Cell bodies with dark nuclei and a shade from the middle outwards."""
    radius = rng.uniform(12, 26)
    cells, owner = _ellipses(rng, size, _count(rng, size, radius, 0.2, 0.7), radius, spread=0.25, wobble=0.25)
    body = soft_step(1 - cells, 0.2) * (1.1 - 0.6 * np.minimum(cells, 1))
    hole = 1 - rng.uniform(0.4, 0.9) * soft_step(rng.uniform(0.35, 0.55) - cells, 0.08)
    brightness = lognormal(rng, owner.max() + 1, 0.4)[owner]
    grain = 1 + rng.uniform(0.05, 0.2) * random_field(rng, size, rng.uniform(1, 3))
    return (body * hole * brightness).max(0) * np.maximum(grain, 0.1)


def membranes(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Outlines between neighbouring cells, uneven along their length (a Voronoi tessellation)."""
    spacing = rng.uniform(14, 34)
    seeds = _jittered_grid(rng, size, spacing)
    edge, owner = _voronoi(rng, size, seeds, wobble=spacing * 0.08)
    outline = np.exp(-((edge / rng.uniform(0.8, 1.6)) ** 2)) * (1 + 0.4 * random_field(rng, size, 5))
    inside = rng.uniform(0, 0.25) * lognormal(rng, len(seeds), 0.4)[owner]
    present = (rng.random(len(seeds)) < rng.uniform(0.6, 1))[owner]
    return np.maximum(outline, 0) * gaussian_filter(present.astype(np.float32), 1.5) + inside * present


def puncta(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Spots of all brightnesses, gathered in cells with a faint haze: vesicles, foci, transcripts."""
    radius = rng.uniform(16, 34)
    bodies, _ = _ellipses(rng, size, _count(rng, size, radius, 0.2, 0.7), radius, spread=0.25, wobble=0.2)
    cells = soft_step(1 - bodies.min(0), 0.2)
    count = int(rng.uniform(0.002, 0.015) * size * size)
    places = rng.uniform(0, size - 1, (4 * count, 2))
    kept = rng.random(len(places)) < cells[tuple(places.astype(int).T)] + 0.03
    places = places[kept][:count]
    spots = gaussian_filter(splat(places, lognormal(rng, len(places), 0.8), size), rng.uniform(0.5, 1.2))
    return spots / max(float(spots.max()), 1e-6) + rng.uniform(0.02, 0.25) * cells


def beads(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Discs of one size and nearly one brightness, scattered on black."""
    radius = rng.uniform(1, 5)
    count = _count(rng, size, max(radius, 2.5), 0.03, 0.2)
    discs, owner = _ellipses(rng, size, count, radius, spread=0.02, stretch=0.0)
    return (soft_step(1 - discs, 0.2) * rng.normal(1, 0.05, count).astype(np.float32)[owner]).sum(0)


def rings(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Hollow circles of many sizes: large vesicles, endosomes, nuclear envelopes."""
    radius = rng.uniform(3, 10)
    circles, owner = _ellipses(rng, size, _count(rng, size, radius, 0.1, 0.45), radius, spread=0.4, stretch=0.15)
    wall = rng.uniform(0.7, 1.3) / radius
    brightness = lognormal(rng, owner.max() + 1, 0.4)[owner]
    lumen = rng.uniform(0, 0.2) * soft_step(1 - circles, 0.2)
    return ((np.exp(-(((circles - 1) / wall) ** 2)) + lumen) * brightness).sum(0)


def filaments(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Long curved lines that start at some centres: microtubules, intermediate filaments."""
    count = int(rng.uniform(8, 40) * size / 128)
    centres = rng.uniform(0, size, (max(1, size // 96), 2))
    starts = centres[rng.integers(len(centres), size=count)] + rng.normal(0, rng.uniform(4, size / 4), (count, 2))
    return _lines(rng, size, starts, rng.uniform(0, 2 * np.pi, count), bend=rng.uniform(0.01, 0.06))


def bundles(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Straight parallel fibres of unequal thickness over a shaded sheet: actin stress fibres, collagen."""
    count = int(rng.uniform(10, 40) * size / 128)
    turns = rng.uniform(0, np.pi) + rng.normal(0, rng.uniform(0.03, 0.25), count) + np.pi * rng.integers(0, 2, count)
    fibres = _lines(rng, size, rng.uniform(0, size, (count, 2)), turns, bend=0.004)
    thick = gaussian_filter(fibres, rng.uniform(0.5, 2))
    sheet = np.maximum(0, 0.5 + 0.5 * random_field(rng, size, size / 8))
    share = rng.uniform(0.2, 0.8)
    return (share * fibres / fibres.max() + thick / thick.max() + rng.uniform(0, 0.3)) * sheet


def mesh(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """A net of thin winding strands with small holes, brighter in some places: endoplasmic reticulum."""
    field = random_field(rng, size, rng.uniform(2, 4.5))
    strands = np.exp(-((field / rng.uniform(0.15, 0.35)) ** 2))
    cell = np.maximum(0, 0.6 + 0.5 * random_field(rng, size, size / 8))
    return strands * cell + rng.uniform(0, 0.15) * cell


def clouds(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """Structure on every scale and no edge (a random field whose power falls with frequency): diffuse stain."""
    slope = rng.uniform(1.2, 2.2)
    y, x = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    frequency = np.maximum(np.hypot(y, x), 1 / size)
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * frequency**-slope, (size, size))
    return np.exp(rng.uniform(0.4, 1) * field / field.std()).astype(np.float32)


FAMILIES: dict[str, Callable[[np.random.Generator, int], NDArray[Any]]] = {
    family.__name__: family
    for family in (nuclei, cytoplasm, membranes, puncta, beads, rings, filaments, bundles, mesh, clouds)
}
"""Every family by its name."""


def _count(rng: np.random.Generator, size: int, radius: float, low: float, high: float) -> int:
    """How many objects of a radius cover a random share of the image."""
    return max(2, int(rng.uniform(low, high) * size * size / (np.pi * radius**2)))


def lognormal(rng: np.random.Generator, count: int, deviation: float) -> Float32:
    """Random factors (count,) around 1."""
    return rng.lognormal(0, deviation, count).astype(np.float32)


def soft_step(x: NDArray[Any], width: float) -> Float32:
    """0 below -width, 1 above width, smooth between."""
    t = np.clip(0.5 + x / (2 * width), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def random_field(rng: np.random.Generator, size: int, scale: float) -> Float32:
    """A Gaussian random field of a correlation length, with mean 0 and deviation 1."""
    field = gaussian_filter(rng.normal(size=(size, size)).astype(np.float32), scale, mode="wrap")
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _ellipses(
    rng: np.random.Generator,
    size: int,
    count: int,
    radius: float,
    spread: float,
    wobble: float = 0.0,
    stretch: float = 0.3,
) -> tuple[Float32, NDArray[np.intp]]:
    """Random ellipses: at each pixel the distance from the middles of the nearest few, and which those are.

    Args:
        rng: random generator.
        size: of the image.
        count: of ellipses.
        radius: their mean, pixels.
        spread: relative deviation of the radii.
        wobble: how far outlines leave the ellipse, as a share of the radius.
        stretch: how far the ratio of the axes goes from 1.

    Returns:
        Distances (near, size, size), 1 on the outline of the ellipse; numbers 0..count - 1 of the ellipses, alike.
    """
    middles = _apart(rng, size, count, radius)
    turn, ratio = rng.uniform(0, np.pi, count), 1 + rng.uniform(0, stretch, count)
    radii = radius * np.maximum(1 + spread * rng.normal(size=count), 0.3)
    pixels = _pixels(size)
    _, owner = KDTree(middles).query(pixels, min(count, _NEAR))
    owner = np.moveaxis(owner.reshape(size, size, -1), -1, 0)
    dy, dx = np.moveaxis(pixels.reshape(size, size, 2) - middles[owner], -1, 0)
    cos, sin = np.cos(turn)[owner], np.sin(turn)[owner]
    distance = np.hypot((cos * dy + sin * dx) / (radii * ratio)[owner], (cos * dx - sin * dy) / (radii / ratio)[owner])
    if wobble:
        distance = distance * (1 + wobble * np.clip(random_field(rng, size, radius / 2), -2, 2))
    return distance.astype(np.float32), owner


def _apart(rng: np.random.Generator, size: int, count: int, radius: float) -> NDArray[Any]:
    """Random middles (count, 2); those that crowd another move to a new place, up to three times."""
    places = rng.uniform(0, size, (count, 2))
    for _ in range(3):
        near, _ = KDTree(places).query(places, 2)
        crowded = near[:, 1] < 1.5 * radius
        places[crowded] = rng.uniform(0, size, (int(crowded.sum()), 2))
    return places


def _pixels(size: int) -> NDArray[Any]:
    """The places (size * size, 2) of all pixels."""
    return np.moveaxis(np.indices((size, size)), 0, -1).reshape(-1, 2).astype(np.float64)


def _jittered_grid(rng: np.random.Generator, size: int, spacing: float) -> NDArray[Any]:
    steps = np.arange(-spacing, size + 2 * spacing, spacing)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    return grid + rng.uniform(-0.45, 0.45, grid.shape) * spacing


def _voronoi(rng: np.random.Generator, size: int, seeds: NDArray[Any], wobble: float) -> tuple[Float32, NDArray[Any]]:
    """Distance (size, size) to the nearest border, pixels, and the index of each pixel's cell."""
    shift = wobble * np.stack([random_field(rng, size, 6), random_field(rng, size, 6)], -1)
    near, owner = KDTree(seeds).query(_pixels(size) + shift.reshape(-1, 2), 2)
    edge = (near[:, 1] - near[:, 0]) / 2
    return edge.reshape(size, size).astype(np.float32), np.asarray(owner)[:, 0].reshape(size, size)


def _lines(rng: np.random.Generator, size: int, starts: NDArray[Any], turns: NDArray[Any], bend: float) -> Float32:
    """Lines that walk on from their starts in half-pixel steps, bending at random.

    Args:
        rng: random generator.
        size: of the image.
        starts: (lines, 2), pixels.
        turns: first direction of each line (lines,), radians.
        bend: deviation of the change of direction at each pixel, radians.
    """
    steps = int(rng.uniform(1, 2.5) * size)
    change = gaussian_filter(rng.normal(size=(len(starts), steps)), (0, 12)) * bend * 4
    direction = turns[:, np.newaxis] + np.cumsum(change, 1)
    places = starts[:, np.newaxis] + 0.5 * np.cumsum(np.stack([np.sin(direction), np.cos(direction)], -1), 1)
    brightness = np.repeat(lognormal(rng, len(starts), 0.4), steps)
    return splat(places.reshape(-1, 2), brightness, size)


def splat(places: NDArray[Any], brightness: NDArray[Any], size: int) -> Float32:
    """Adds points to an image, each shared out among its four pixels; points outside are dropped."""
    inside = ((places >= 0) & (places < size - 1)).all(1)
    places, brightness = places[inside], brightness[inside]
    corner = places.astype(int)
    (fy, fx), flat = (places - corner).T, corner[:, 0] * size + corner[:, 1]
    image = np.zeros(size * size)
    for dy, dx, share in ((0, 0, (1 - fy) * (1 - fx)), (0, 1, (1 - fy) * fx), (1, 0, fy * (1 - fx)), (1, 1, fy * fx)):
        image += np.bincount(flat + dy * size + dx, share * brightness, size * size)
    return image.reshape(size, size).astype(np.float32)
