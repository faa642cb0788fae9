"""Where the cells of a procedural field of view lie, and how their bodies and nuclei are shaped.

Cells are star-shaped outlines around jittered places. Where two meet, the border runs between them, as in a Voronoi
tessellation; elsewhere an outline is free. Nothing here has a colour: :mod:`relumen.training.cell_stains` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relumen.training.procedural import lognormal, splat

Float32 = NDArray[np.float32]
Labels = NDArray[np.int32]

INTERPHASE, METAPHASE, ANAPHASE = range(3)
_ANGLES = 720  # an outline is a table of radii over these
_THETA = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False, dtype=np.float32)
_FAR = 9.0  # stands for a distance that nobody measured


@dataclass(frozen=True)
class Effects:
    """How far a treatment took each cell (cells,), 0 not at all .. 1 wholly.

    Attributes:
        microtubules: lost, as by nocodazole.
        actin: fibres lost to clumps, as by cytochalasin.
        reporter: NF-kB moved into the nucleus, as by TNF-alpha.
    """

    microtubules: Float32
    actin: Float32
    reporter: Float32


@dataclass(frozen=True)
class Shapes:
    """The cells of a square canvas. Cell i has the label i + 1; cell 0 has its nucleus in the middle.

    Attributes:
        cells: labels (side, side), 0 where there is no cell.
        nuclei: labels (side, side) of the nuclei, the same numbers.
        edge: from each pixel of a cell to its border (side, side), pixels; 0 outside.
        contact: how near that border is another cell's rather than free (side, side), 0..1.
        height: of the cell above the glass (side, side), 0..1.
        nuclear: distance from the middle of the nearest nucleus (side, side), 1 on its outline.
        nucleoli: in nuclei that don't divide (side, side), 0..1.
        middles: of the nuclei (cells, 2), pixels, as all places: y, x.
        centres: of the bodies (cells, 2).
        outlines: radius of the body at each angle around its centre (cells, angles), pixels.
        nuclear_radius: (cells,), pixels.
        turn: direction of the nucleus' long axis, the metaphase plate's too (cells,), radians.
        phase: INTERPHASE, METAPHASE or ANAPHASE (cells,).
        effects: of the treatment.
        scale: 1 where nuclei measure about 34 pixels.
    """

    cells: Labels
    nuclei: Labels
    edge: Float32
    contact: Float32
    height: Float32
    nuclear: Float32
    nucleoli: Float32
    middles: NDArray[Any]
    centres: NDArray[Any]
    outlines: Float32
    nuclear_radius: NDArray[Any]
    turn: NDArray[Any]
    phase: NDArray[np.intp]
    effects: Effects
    scale: float

    @property
    def side(self) -> int:
        """Height and width of the canvas, pixels."""
        return len(self.cells)

    def owns(self, places: NDArray[Any], owner: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether places (..., 2) lie in the bodies of cells (...)."""
        return self._label(self.cells, places) == owner + 1

    def in_nucleus(self, places: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether places (..., 2) lie over a nucleus."""
        return self._label(self.nuclei, places) > 0

    def of(self, values: NDArray[Any]) -> Float32:
        """A value of each cell (cells,), spread over its pixels (side, side); 0 outside."""
        return np.concatenate([[0], values]).astype(np.float32)[self.cells]

    def within(self, rng: np.random.Generator, owner: NDArray[Any], inner: float, outer: float) -> NDArray[Any]:
        """Random places (n, 2) in the bodies of cells (n,), from and to a share of the outline's radius."""
        angle = rng.integers(_ANGLES, size=len(owner))
        share = np.sqrt(rng.uniform(inner**2, outer**2, len(owner)))
        return self.centres[owner] + (self.outlines[owner, angle] * share)[:, np.newaxis] * toward(_THETA[angle])

    def _label(self, labels: Labels, places: NDArray[Any]) -> Labels:
        corner = np.rint(places).astype(np.intp)
        there = ((corner >= 0) & (corner < self.side)).all(-1)
        y, x = np.moveaxis(np.clip(corner, 0, self.side - 1), -1, 0)
        return np.where(there, labels[y, x], 0)


def toward(angle: NDArray[Any]) -> NDArray[Any]:
    """Unit vectors (..., 2) of angles (...), y before x."""
    return np.stack([np.sin(angle), np.cos(angle)], -1)


def place(
    rng: np.random.Generator, side: int, phenotype: str, scale: float = 1.0, body: float = 39.0, confluence: float = 1.0
) -> Shapes:
    """Lays out cells on a canvas (side, side), one nucleus in its middle.

    Args:
        rng: random generator.
        side: height and width of the canvas, pixels.
        phenotype: ``nocodazole``, ``cytochalasin`` and ``tnf-alpha`` change cells, any other does not.
        scale: 1 where nuclei measure about 34 pixels; every length grows with it.
        body: mean radius of a body at scale 1, pixels.
        confluence: share of the places around the middle that a cell grew at, 0..1.
    """
    radius, middles = _layout(rng, side, scale * body, confluence)
    count = len(radius)
    effects = _effects(rng, count, phenotype)
    dividing = rng.random(count) < 0.04 + 0.06 * effects.microtubules  # without microtubules mitosis stops
    phase = np.where(dividing, np.where(rng.random(count) < 0.65 + 0.35 * effects.microtubules, 1, 2), 0)
    turn = rng.uniform(0, 2 * np.pi, count)
    nuclear_radius = scale * np.clip(17 * (radius / (body * scale)) ** 0.5 * lognormal(rng, count, 0.09), 13.5, 21)
    radius = np.where(phase > 0, np.minimum(radius, scale * 27), radius)
    radius = radius * (1 - 0.12 * effects.microtubules - 0.06 * effects.actin)
    outlines = np.stack(
        [_outline(rng, radius[i], phase[i], turn[i], effects.microtubules[i], effects.actin[i]) for i in range(count)]
    )
    centres = middles + (radius * 0.12 * (phase == 0))[:, np.newaxis] * rng.normal(size=(count, 2))
    nearest, second, nuclear = (np.full((side, side), _FAR, np.float32) for _ in range(3))
    owner = np.zeros((side, side), np.int32)
    core = np.zeros((side, side), np.int32)
    for i in range(count):
        whole = _polar(side, centres[i], outlines[i], 1.6)
        if whole is None:
            continue
        box, distance = whole
        for offset, table in _bodies(rng, nuclear_radius[i], phase[i], turn[i], scale):
            # the body always reaches a few pixels beyond the nucleus, whatever its outline does
            around = _polar(side, middles[i] + offset, table + 5 * scale, 1.6)
            if around is not None:
                there, wide = around
                grown = np.full((side, side), _FAR, np.float32)
                grown[there] = wide
                distance = np.minimum(distance, grown[box])
            inner = _polar(side, middles[i] + offset, table, 1.6)
            if inner is not None:
                there, near = inner
                closer = near < nuclear[there]
                nuclear[there] = np.where(closer, near, nuclear[there])
                core[there] = np.where(closer, i + 1, core[there])
        best = nearest[box]
        wins = distance < best
        second[box] = np.where(wins, best, np.minimum(second[box], distance))
        owner[box] = np.where(wins, i + 1, owner[box])
        nearest[box] = np.minimum(distance, best)
    cells = np.where(nearest < 1, owner, 0).astype(np.int32)
    free, shared = 1 - nearest, (second - nearest) / 2
    inward = np.minimum(free, shared)
    slope = np.hypot(*np.gradient(inward))
    edge = np.where(cells > 0, inward / np.maximum(slope, 0.6 / (body * scale)), 0)
    reach = 0.5 + np.minimum(1, (nearest + second) / 2) / 2  # lower at a free edge than against a neighbour
    height = (1 - np.minimum(nearest / np.maximum(reach, 1e-3), 1) ** 2) ** 0.7
    return Shapes(
        cells=cells,
        nuclei=np.where((nuclear < 1) & (core == cells), core, 0).astype(np.int32),
        edge=np.minimum(edge, 60).astype(np.float32),
        contact=(1 / (1 + np.exp(np.clip(12 * (shared - free), -30, 30)))).astype(np.float32),
        height=np.where(cells > 0, height, 0).astype(np.float32),
        nuclear=nuclear,
        nucleoli=_nucleoli(rng, side, scale, middles, nuclear_radius * (phase == INTERPHASE)),
        middles=middles,
        centres=centres,
        outlines=outlines,
        nuclear_radius=nuclear_radius,
        turn=turn,
        phase=phase,
        effects=effects,
        scale=scale,
    )


def _effects(rng: np.random.Generator, count: int, phenotype: str) -> Effects:
    """Most treated cells respond, each as far as it does; untreated ones differ a little from one another."""

    def effect(treated: bool) -> Float32:
        e = 1 - 0.6 * rng.beta(1.2, 3, count) if treated else 0.3 * rng.beta(1, 4, count)
        return e.astype(np.float32)

    return Effects(*(effect(phenotype == each) for each in ("nocodazole", "cytochalasin", "tnf-alpha")))


def _layout(rng: np.random.Generator, side: int, body: float, confluence: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean radii (cells,) and places (cells, 2): a cell in the middle, others around it in groups that touch."""
    candidates = 90
    radii = body * np.clip(lognormal(rng, candidates, 0.16), 0.77, 1.33)
    reach = 1.2 * body
    places = rng.uniform(-reach, side + reach, (candidates, 2))
    places[0] = (side - 1) / 2
    closeness, loners = rng.uniform(0.62, 0.84), rng.uniform(0, 1) ** 2
    chance = rng.random(candidates)
    kept = [0]
    for i in range(1, candidates):
        apart = np.hypot(*(places[kept] - places[i]).T) / (radii[kept] + radii[i])
        nearest = apart.min()
        if nearest > closeness and (nearest < 0.95 or chance[i] < loners * 0.5):
            kept.append(i)
    if confluence < 1:
        kept = [0, *(i for i in kept[1:] if rng.random() < confluence)]
    return radii[kept], places[kept]


def _waves(rng: np.random.Generator, orders: NDArray[Any], amplitudes: NDArray[Any]) -> Float32:
    """A random periodic function (angles,) of Fourier orders."""
    waves = np.cos(orders[:, np.newaxis] * _THETA + rng.uniform(0, 2 * np.pi, (len(orders), 1)))
    return ((amplitudes * rng.normal(size=len(orders))) @ waves).astype(np.float32)


def _outline(
    rng: np.random.Generator, radius: float, phase: int, turn: float, microtubules: float, actin: float
) -> Float32:
    """Radii (angles,) of a body: lobed, rounder without microtubules or in mitosis, drawn in to arms without actin."""
    orders = np.arange(2, 15)
    uneven = (rng.lognormal(-1.75, 0.4) if phase == INTERPHASE else 0.03) * (1 - 0.45 * microtubules)
    ratio = 1 + (0.8 * rng.beta(1.2, 2) if phase == INTERPHASE else 0.03) * (1 - 0.6 * microtubules)
    shape = _ellipse(1, ratio, turn + 0.4 * rng.normal()) * (1 + _waves(rng, orders, uneven / orders**1.15))
    if phase == ANAPHASE:
        shape = 1 + 0.18 * np.cos(2 * (_THETA - turn - np.pi / 2))
    arms = np.full(_ANGLES, 0.6, np.float32)
    for _ in range(rng.integers(3, 8)):
        width, at = rng.uniform(6, 50), rng.uniform(0, 2 * np.pi)
        arms += rng.uniform(0.15, 0.65) * np.exp(width * (np.cos(_THETA - at) - 1))
    share = actin if phase == INTERPHASE else 0.0
    return (radius * np.clip((1 - share) * shape + share * arms, 0.4, 1.5)).astype(np.float32)


def _bodies(
    rng: np.random.Generator, radius: float, phase: int, turn: float, scale: float
) -> list[tuple[NDArray[Any], Float32]]:
    """The nucleus, or the plates of a division: offset from the middle, and radii (angles,)."""
    orders = np.arange(2, 7)
    if phase == INTERPHASE:
        ratio = 1 + 0.35 * rng.beta(1.3, 2)
        return [(np.zeros(2), _ellipse(radius, ratio, turn) * (1 + _waves(rng, orders, 0.05 / orders**1.2)))]
    long, short = scale * rng.uniform(10.5, 13.5), scale * rng.uniform(3.6, 5)
    apart = 0.0 if phase == METAPHASE else scale * rng.uniform(7, 12)
    across = toward(np.asarray(turn + np.pi / 2))
    sides = (0.0,) if phase == METAPHASE else (-apart, apart)
    return [
        (
            each * across,
            _ellipse((long * short) ** 0.5, long / short, turn + 0.1 * rng.normal())
            * (1 + _waves(rng, orders, 0.09 / orders**0.3)),
        )
        for each in sides
    ]


def _nucleoli(
    rng: np.random.Generator, side: int, scale: float, middles: NDArray[Any], radius: NDArray[Any]
) -> Float32:
    """One to four roundish bodies (side, side) in each nucleus of a radius above 0."""
    owner = np.repeat(np.arange(len(radius)), np.where(radius > 0, rng.integers(1, 5, len(radius)), 0))
    away = (radius[owner] * 0.62 * np.sqrt(rng.random(len(owner))))[:, np.newaxis]
    parts = np.repeat(middles[owner] + away * toward(rng.uniform(0, 2 * np.pi, len(owner))), 4, axis=0)
    spread = 1.6 * scale
    drops = splat(parts + scale * rng.normal(0, 1.1, parts.shape), np.ones(len(parts)), side)
    return np.clip(np.pi * spread**2 * gaussian_filter(drops, spread), 0, 1).astype(np.float32)


def _ellipse(radius: float, ratio: float, turn: float) -> Float32:
    """Radii (angles,) of an ellipse whose axes have a ratio and the area of a circle."""
    long, short = radius * ratio**0.5, radius / ratio**0.5
    table = long * short / np.hypot(short * np.cos(_THETA - turn), long * np.sin(_THETA - turn))
    return table.astype(np.float32)


def _polar(side: int, centre: NDArray[Any], table: Float32, reach: float) -> tuple[tuple[slice, slice], Float32] | None:
    """Distances from a centre in units of the outline's radius, in the box that they matter in; None: off canvas."""
    radius = reach * float(table.max())
    low = np.maximum(np.floor(centre - radius), 0).astype(int)
    high = np.minimum(np.ceil(centre + radius) + 1, side).astype(int)
    if (low >= high).any():
        return None
    dy = (np.arange(low[0], high[0]) - centre[0]).astype(np.float32)[:, np.newaxis]
    dx = (np.arange(low[1], high[1]) - centre[1]).astype(np.float32)
    angle = np.arctan2(dy, dx) * np.float32(_ANGLES / (2 * np.pi))
    distance = np.hypot(dy, dx) / table[angle.astype(np.int32) % _ANGLES]
    return (slice(low[0], high[0]), slice(low[1], high[1])), distance
