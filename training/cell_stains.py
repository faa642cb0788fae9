"""What the stains of procedural cells look like: light from each pixel of a canvas, before any microscope.

A stain is a function of a random generator and :class:`relumen.training.cell_shapes.Shapes` that gives an image
(side, side), float32, in units of a camera's full range at the exposure of its stain set: most structure lies at 0.1 to
0.6, the brightest near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relumen.training.cell_shapes import INTERPHASE, METAPHASE, Shapes, toward
from relumen.training.procedural import lognormal, random_field, soft_step, splat

Float32 = NDArray[np.float32]


def dna(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """Nuclei with mottled chromatin, a brighter rim and dark nucleoli; dividing ones condensed and bright."""
    count = len(shapes.phase)
    resting = shapes.phase == INTERPHASE
    level = 0.34 * lognormal(rng, count, 0.17) * (17 * shapes.scale / shapes.nuclear_radius) ** 0.5
    level = np.where(resting, level, 0.62 * lognormal(rng, count, 0.12))
    depth = np.clip(1 - shapes.nuclear**2, 0, 1)
    body = np.where(shapes.of(resting) > 0, 0.25 * soft_step(depth - 0.08, 0.09) + 0.75 * depth**0.4, depth**0.35)
    coarse, fine = (random_field(rng, shapes.side, shapes.scale * each) for each in (3.5, 1.4))
    rim = 0.12 * np.exp(-(((shapes.nuclear - 0.86) / 0.12) ** 2))
    chromatin = np.maximum(1 + 0.1 * coarse + 0.09 * fine + rim, 0.3) * (1 - 0.42 * shapes.nucleoli)
    image = body * chromatin * shapes.of(level) * (shapes.nuclei > 0)
    return image.astype(np.float32)


def tubulin(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """Microtubules from a centre beside the nucleus to the cell's edge, a haze of short ones, spindles in mitosis."""
    count, scale = len(shapes.phase), shapes.scale
    lost = shapes.effects.microtubules
    resting = shapes.phase == INTERPHASE
    level = lognormal(rng, count, 0.22)
    number = np.where(resting, np.rint(140 * (1 - 0.85 * lost) * lognormal(rng, count, 0.15)), 0).astype(int)
    owner = np.repeat(np.arange(count), number)
    hub = rng.uniform(0, 2 * np.pi, count)
    hubs = shapes.middles + ((0.95 * shapes.nuclear_radius + 2 * scale)[:, np.newaxis] * toward(hub))
    # most start at the centre, the rest around the nucleus and anywhere, above all where the centre has gone
    kind = rng.random(len(owner))
    loose = kind < lost[owner]
    around = ~loose & (rng.random(len(owner)) < 0.5)
    start = rng.uniform(0, 2 * np.pi, len(owner))
    ring = shapes.nuclear_radius[owner] * rng.uniform(1.0, 1.35, len(owner))
    starts = hubs[owner] + scale * rng.normal(0, 2.2, (len(owner), 2))
    starts = np.where(around[:, np.newaxis], shapes.middles[owner] + ring[:, np.newaxis] * toward(start), starts)
    starts = np.where(loose[:, np.newaxis], shapes.within(rng, owner, 0.3, 0.9), starts)
    turns = rng.uniform(0, 2 * np.pi, len(owner))
    side = rng.choice([-1.0, 1.0], len(owner)) * rng.uniform(0.1, 1.5, len(owner))
    turns = np.where(around, start + side, turns)
    length = scale * np.where(loose, rng.uniform(3, 11, len(owner)), rng.uniform(25, 75, len(owner)))
    places, line, along = _curves(rng, starts, turns, length, bend=0.016 / scale, wave=0.26, period=34 * scale)
    bright = (level[owner] * lognormal(rng, len(owner), 0.35) * np.where(loose, 1.3, 1.0))[line]
    bright = bright * np.minimum(1, 0.35 + along / (10 * scale)) * shapes.owns(places, owner[line])
    threads = splat(places, bright, shapes.side)
    sheath = 0.45 + 0.55 * soft_step(shapes.nuclear - 0.85, 0.3)  # most run beside the nucleus, some over it
    grain = np.maximum(1 + 0.22 * random_field(rng, shapes.side, 1.6 * scale), 0.2)
    near = np.exp(-np.maximum(shapes.nuclear - 1, 0) * 1.3)
    haze = shapes.of(level * (0.12 + 0.13 * lost)) * shapes.height * (0.45 + 0.55 * near) * grain
    image = (0.075 * threads * soft_step(shapes.edge - 1.5, 3 * scale) + haze) * sheath
    return (image + _spindles(rng, shapes)).astype(np.float32)


def actin(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """A bright cortex, stress fibres along one direction of a cell, ruffles and spikes; clumps where they are lost."""
    count, scale = len(shapes.phase), shapes.scale
    lost = shapes.effects.actin
    resting = shapes.phase == INTERPHASE
    level = lognormal(rng, count, 0.22)
    uneven, patchy = random_field(rng, shapes.side, 4 * scale), random_field(rng, shapes.side, 7 * scale)
    cortex = np.exp(-(((shapes.edge - 0.8) / (1.5 * scale)) ** 2)) * np.maximum(1 + 0.4 * uneven, 0.15)
    cortex = cortex * (0.55 + 0.45 * shapes.contact) * shapes.of(0.42 * level * (1 - 0.75 * lost))
    ruffle = np.exp(-((np.maximum(shapes.edge - 1, 0) / (4.5 * scale)) ** 2)) * np.maximum(patchy - 0.5, 0)
    ruffle = ruffle * (1 - shapes.contact) * shapes.of(0.3 * level * (1 - lost))
    grain = np.maximum(1 + 0.25 * random_field(rng, shapes.side, 1.3 * scale), 0.2)
    haze = shapes.of(0.1 * level * np.where(resting, 1, 1.8)) * (0.35 + 0.65 * shapes.height) * grain
    haze = haze * (1 - 0.2 * (shapes.nuclear < 1))
    image = (cortex + ruffle + haze) * (shapes.cells > 0)
    image += _fibres(rng, shapes, level * (1 - lost) ** 1.5 * resting)
    image += _spikes(rng, shapes, level * (1 - lost))
    return (image + _clumps(rng, shapes, level * np.maximum(lost - 0.1, 0))).astype(np.float32)


def nfkb(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """A reporter that fills the cytoplasm, and the nucleus but its nucleoli where it moved in."""
    count = len(shapes.phase)
    moved = shapes.effects.reporter
    level = 0.24 * lognormal(rng, count, 0.25) * np.where(shapes.phase == INTERPHASE, 1, 1.5)
    grain = np.maximum(1 + 0.1 * random_field(rng, shapes.side, 1.5) + 0.1 * random_field(rng, shapes.side, 5), 0.2)
    near = np.exp(-np.maximum(shapes.nuclear - 1, 0) * 2.2)
    rise = soft_step(shapes.edge - 1, 1.5)
    rise += 0.7 * (1 - rise) * shapes.contact * (shapes.cells > 0)  # where two cells touch there is no gap
    cytoplasm = shapes.of(level * (1 - 0.3 * moved)) * rise * (0.15 + 0.4 * shapes.height + 0.45 * near) * grain
    inside = shapes.of(level * lognormal(rng, count, 0.13) * (0.72 + 0.52 * moved) * (shapes.phase == INTERPHASE))
    inside = inside * (1 - shapes.of(0.1 + 0.5 * moved) * shapes.nucleoli) * grain
    mask = soft_step(1 - shapes.nuclear, 0.12) * (shapes.nuclei > 0)
    return (cytoplasm * (1 - mask) + np.where(inside > 0, inside, cytoplasm) * mask).astype(np.float32)


def golgi(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """Ribbons gathered on one side of the nucleus, many small spots all over where microtubules are lost; a haze."""
    grain = np.maximum(1 + 0.2 * random_field(rng, shapes.side, 1.5), 0.2)
    level = 0.07 * lognormal(rng, len(shapes.phase), 0.25)
    haze = shapes.of(level) * shapes.height * grain * (1 - 0.35 * (shapes.nuclear < 1))
    return (_golgi_spots(rng, shapes) + haze).astype(np.float32)


STAINS: dict[str, Callable[[np.random.Generator, Shapes], Float32]] = {
    "actin": actin,
    "tubulin": tubulin,
    "DNA": dna,
    "NF-kB": nfkb,
    "Golgi": golgi,
}
"""Every stain by its name."""


def _curves(
    rng: np.random.Generator,
    starts: NDArray[Any],
    turns: NDArray[Any],
    length: NDArray[Any],
    bend: float,
    wave: float,
    period: float,
) -> tuple[Float32, NDArray[np.intp], Float32]:
    """Smooth lines in steps of a pixel: places (points, 2), the line of each point, how far along it is, pixels.

    Args:
        rng: random generator.
        starts: (lines, 2).
        turns: first direction (lines,), radians.
        length: (lines,), pixels.
        bend: deviation of a line's curvature, radians a pixel.
        wave: deviation of the turns to and fro around that, radians.
        period: their mean wavelength, pixels.
    """
    lines = len(starts)
    along = np.arange(np.ceil(length.max(initial=1)), dtype=np.float32)

    def each(values: NDArray[Any]) -> Float32:
        return values[:, np.newaxis].astype(np.float32)

    phase, pace = each(rng.uniform(0, 2 * np.pi, lines)), each(2 * np.pi / period / lognormal(rng, lines, 0.3))
    size, curve = each(rng.normal(0, wave, lines)), each(rng.normal(0, bend, lines))
    direction = each(turns) + curve * along + size * (np.sin(pace * along + phase) - np.sin(phase))
    places = each(starts) + np.cumsum(toward(direction), 1, dtype=np.float32)
    lit = along < length[:, np.newaxis]
    line, step = np.nonzero(lit)
    return places[lit], line, along[step]


def _spindles(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """Fibres from two poles towards the plate, short ones all round, and a bright haze, in dividing cells."""
    dividing = np.flatnonzero(shapes.phase != INTERPHASE)
    scale = shapes.scale
    count = np.rint(80 * (1 - 0.95 * shapes.effects.microtubules[dividing])).astype(int)
    owner = np.repeat(dividing, count)
    sign = rng.choice([-1.0, 1.0], len(owner))
    axis = shapes.turn[owner] + np.pi / 2
    apart = scale * np.where(shapes.phase[owner] == METAPHASE, 11.0, 15.0)
    starts = shapes.middles[owner] + (sign * apart)[:, np.newaxis] * toward(axis)
    starts = starts + scale * rng.normal(0, 1.3, (len(owner), 2))
    astral = rng.random(len(owner)) < 0.25
    inward = axis + np.where(sign > 0, np.pi, 0) + rng.normal(0, 0.45, len(owner))
    turns = np.where(astral, rng.uniform(0, 2 * np.pi, len(owner)), inward)
    length = scale * rng.uniform(6, 14, len(owner))
    places, line, along = _curves(rng, starts, turns, length, bend=0.02 / scale, wave=0.1, period=20 * scale)
    bright = 0.13 * np.minimum(1, 0.2 + along / (7 * scale)) * shapes.owns(places, owner[line])
    threads = splat(places, bright, shapes.side)
    plate = 1 - 0.4 * soft_step(1 - shapes.nuclear, 0.3)
    return (threads * plate + 0.13 * shapes.of(shapes.phase != INTERPHASE) * shapes.height * plate).astype(np.float32)


def _fibres(rng: np.random.Generator, shapes: Shapes, level: NDArray[Any]) -> Float32:
    """Stress fibres, nearly parallel within a cell, thick and thin."""
    count, scale = len(level), shapes.scale
    rich = rng.beta(1.3, 1.6, count)
    owner = np.repeat(np.arange(count), np.rint(6 + 26 * rich).astype(int))
    starts = shapes.within(rng, owner, 0.05, 1.0)
    length = scale * 38 * lognormal(rng, len(owner), 0.4)
    astray = np.where(rng.random(count) < 0.25, 1.2, 0.25)  # fibres of most cells follow its long axis
    turns = (shapes.turn + astray * rng.normal(size=count))[owner] + rng.normal(0, 0.13, len(owner))
    starts = starts - 0.5 * length[:, np.newaxis] * toward(turns)
    places, line, along = _curves(rng, starts, turns, length, bend=0.006 / scale, wave=0.04, period=50 * scale)
    share = along / length[line]
    bright = np.clip(4 * np.minimum(share, 1 - share), 0, 1) * shapes.owns(places, owner[line])
    bright = bright * (level[owner] * (0.4 + 0.8 * rich[owner]) * lognormal(rng, len(owner), 0.5))[line]
    drawn = splat(places, bright, shapes.side)
    return (0.17 * drawn + 0.31 * gaussian_filter(drawn, 1.5 * scale)).astype(np.float32)


def _spikes(rng: np.random.Generator, shapes: Shapes, level: NDArray[Any]) -> Float32:
    """Short thin protrusions of free edges."""
    count, scale = len(level), shapes.scale
    owner = np.repeat(np.arange(count), rng.integers(0, 26, count))
    angle = rng.integers(shapes.outlines.shape[1], size=len(owner))
    turns = angle * (2 * np.pi / shapes.outlines.shape[1])
    starts = shapes.centres[owner] + (shapes.outlines[owner, angle] - 3 * scale)[:, np.newaxis] * toward(turns)
    length = scale * rng.uniform(5, 10, len(owner))
    turns = turns + rng.normal(0, 0.3, len(owner))
    places, line, along = _curves(rng, starts, turns, length, bend=0.03 / scale, wave=0.1, period=20 * scale)
    free = shapes.owns(places, owner[line]) | shapes.owns(places, np.full(1, -1))
    bright = 0.19 * (1 - along / length[line]) * free * level[owner[line]]
    return splat(places, bright, shapes.side)


def _golgi_spots(rng: np.random.Generator, shapes: Shapes) -> Float32:
    """Short winding ribbons beside the nucleus, and points anywhere in the cytoplasm."""
    count, scale = len(shapes.phase), shapes.scale
    level = lognormal(rng, count, 0.2)
    lost = np.where(shapes.phase == INTERPHASE, np.clip(1.15 * shapes.effects.microtubules - 0.05, 0, 1), 0.9)
    owner = np.repeat(np.arange(count), rng.integers(26, 48, count))
    scattered = rng.random(len(owner)) < lost[owner]
    at, span = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.35, 0.75, count)
    angle = at[owner] + span[owner] * rng.normal(size=len(owner))
    away = shapes.nuclear_radius[owner] * 1.08 + scale * np.abs(rng.normal(2, 3, len(owner)))
    starts = shapes.middles[owner] + away[:, np.newaxis] * toward(angle)
    starts = np.where(scattered[:, np.newaxis], shapes.within(rng, owner, 0.15, 0.85), starts)
    length = scale * np.where(scattered, rng.uniform(0.3, 1.5, len(owner)), rng.uniform(2, 9, len(owner)))
    turns = np.where(
        scattered, rng.uniform(0, 2 * np.pi, len(owner)), angle + np.pi / 2 + rng.normal(0, 0.6, len(owner))
    )
    places, line, _ = _curves(rng, starts, turns, length, bend=0.05 / scale, wave=0.8, period=9 * scale)
    mass = np.where(scattered, 2.0, 1.8 * length / (4 * scale)) * lognormal(rng, len(owner), 0.4) * level[owner]
    bright = (mass / np.ceil(length))[line] * shapes.owns(places, owner[line]) * (1 - 0.75 * shapes.in_nucleus(places))
    return np.asarray(gaussian_filter(splat(places, bright, shapes.side), 0.8 * scale), np.float32)


def _clumps(rng: np.random.Generator, shapes: Shapes, level: NDArray[Any]) -> Float32:
    """Aggregates of all sizes, as cytochalasin leaves them, more towards the cell's edge."""
    count, scale = len(level), shapes.scale
    owner = np.repeat(np.arange(count), np.rint(rng.uniform(14, 40, count) * np.minimum(1.5 * level, 1)).astype(int))
    middles = shapes.within(rng, owner, 0.35, 0.98)
    parts = rng.integers(1, 7, len(owner))
    size = scale * (0.5 + 0.35 * parts)
    places = np.repeat(middles, parts, axis=0) + np.repeat(size, parts)[:, np.newaxis] * rng.normal(
        0, 0.8, (parts.sum(), 2)
    )
    bright = np.repeat(level[owner] * lognormal(rng, len(owner), 0.45), parts)
    bright = bright * shapes.owns(places, np.repeat(owner, parts)) * (1 - 0.6 * shapes.in_nucleus(places))
    drawn = splat(places, bright, shapes.side)
    sharp, soft = (gaussian_filter(drawn, each * scale) for each in (0.9, 2.2))
    return np.asarray(1.5 * sharp + 1.4 * soft, np.float32)
