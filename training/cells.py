"""Procedural fields of fluorescently stained cells, centred on a nucleus, with exact masks and features.

They stand in for crops of high-content screens (BBBC021's three stains, BBBC014's translocation assay, a Golgi assay)
where a prior is trained and where features must be known exactly. A figure made of them says so.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relumen.errors import UserError
from relumen.training.cell_shapes import INTERPHASE, Labels, Shapes, place
from relumen.training.cell_stains import STAINS
from relumen.whole import file_appears_whole

Float32 = NDArray[np.float32]

VERSION = 3
"""Of the drawings: goes up whenever equal arguments give another image."""
STAIN_SETS: dict[str, tuple[str, ...]] = {
    "cells": ("actin", "tubulin", "DNA"),
    "nfkb": ("DNA", "NF-kB"),
    "golgi": ("DNA", "Golgi"),
}
"""Stains in the order of the channels."""
PHENOTYPES: tuple[str, ...] = ("dmso", "nocodazole", "cytochalasin", "tnf-alpha")
"""Untreated, and what a treatment changes: microtubules and Golgi, actin, the place of NF-kB."""
_BODIES = {"cells": 39.0, "nfkb": 33.0, "golgi": 39.0}  # mean radius at scale 1, pixels: nfkb as BBBC014 has them
_EXPOSURE = {"actin": 1.25, "tubulin": 2.2, "DNA": 1.9, "NF-kB": 1.9, "Golgi": 1.4}  # 0.1 % of pixels come near to 1
_MARGIN = 14  # drawn around a crop: light spreads into it from there
_INNER = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
_SMALLEST = 32
_SCALES = (0.5, 2.0)
_RING = (3, 9)  # pixels around a nucleus at scale 1
_GOLGI = 0.22  # a Golgi spot is brighter


@dataclass(frozen=True)
class Camera:
    """The microscope and its camera.

    Attributes:
        blur: standard deviation of the point spread function, from and to, pixels.
        haze: share of the light that comes from out of focus.
        background: of the empty field, from and to.
        photons: at brightness 1 before the exposure.
        read_noise: standard deviation, in units of brightness.
    """

    blur: tuple[float, float] = (0.8, 1.2)
    haze: float = 0.14
    background: tuple[float, float] = (0.02, 0.05)
    photons: float = 2500.0
    read_noise: float = 0.004

    def take(self, light: Float32, rng: np.random.Generator, exposure: float = 1.0) -> Float32:
        """A picture (size, size) of a canvas that is larger by the margin on all sides, 0..1.

        Args:
            light: of the stain, about 0..1.
            rng: draws blur, background and noise.
            exposure: what the camera's signal is multiplied by; it is clipped at 1.
        """
        sharp = ndimage.gaussian_filter(light, rng.uniform(*self.blur))
        coarse = np.asarray(ndimage.gaussian_filter(light[::2, ::2], 4.0))
        wide = ndimage.zoom(coarse, np.divide(light.shape, coarse.shape), order=1)
        seen = np.asarray((1 - self.haze) * sharp + self.haze * wide + rng.uniform(*self.background))[_INNER]
        noisy = rng.poisson(seen * self.photons) / self.photons + rng.normal(0, self.read_noise, seen.shape)
        return np.clip(exposure * noisy, 0, 1).astype(np.float32)


_CAMERA = Camera()


@dataclass(frozen=True)
class Features:
    """What is true of the cell in the middle, measured on the drawing before the microscope.

    Attributes:
        nuclear_area: pixels.
        cell_area: of the part within the crop, pixels.
        nuclear_brightness: mean of the DNA stain within the nucleus, 0..1.
        mitotic: whether its chromosomes are condensed.
        translocation: mean of the NF-kB stain within the nucleus, over that in a ring of the cell around it; None
            where the stain set lacks it, or the crop no pixel of the ring.
        golgi_spots: connected parts of the Golgi stain; None alike.
        golgi_spot_area: their mean area, pixels, 0 without any; None alike.
    """

    nuclear_area: int
    cell_area: int
    nuclear_brightness: float
    mitotic: bool
    translocation: float | None = None
    golgi_spots: int | None = None
    golgi_spot_area: float | None = None


@dataclass(frozen=True)
class Cells:
    """A crop, and the truth about it.

    Attributes:
        image: (size, size, stains), float32, 0..1.
        nuclei: labels (size, size), 0 where there is none; 1 in the middle.
        cells: labels of the bodies, the same numbers.
        features: of the cell in the middle.
        phenotype: a name of :data:`PHENOTYPES`.
        stain_set: a name of :data:`STAIN_SETS`.
    """

    image: Float32
    nuclei: Labels
    cells: Labels
    features: Features
    phenotype: str
    stain_set: str


@dataclass(frozen=True)
class Culture:
    """What is drawn.

    Attributes:
        stain_set: a name of :data:`STAIN_SETS`.
        phenotypes: names of :data:`PHENOTYPES`.
        size: height and width of an image, pixels.
        scale: size of the cells; at 1 a nucleus measures 28 to 42 pixels.
        confluence: share of the places around a cell that another one grew at, 0..1.

    Raises:
        UserError: there is no such stain set or phenotype, or a number is out of range.
    """

    stain_set: str
    phenotypes: tuple[str, ...] = PHENOTYPES
    size: int = 128
    scale: float = 1.0
    confluence: float = 1.0

    def __post_init__(self) -> None:
        if self.stain_set not in STAIN_SETS:
            raise UserError(f"A stain set is one of {', '.join(STAIN_SETS)}. Received: {self.stain_set!r}")
        if not self.phenotypes or not set(self.phenotypes) <= set(PHENOTYPES):
            received = ", ".join(self.phenotypes) or "none"
            raise UserError(f"A phenotype is one of {', '.join(PHENOTYPES)}. Received: {received}")
        if self.size < _SMALLEST:
            raise UserError(f"size is {_SMALLEST} pixels or more. Received: {self.size}")
        if not _SCALES[0] <= self.scale <= _SCALES[1]:
            raise UserError(f"scale lies between {_SCALES[0]:g} and {_SCALES[1]:g}. Received: {self.scale:g}")
        if not 0 <= self.confluence <= 1:
            raise UserError(f"confluence lies between 0 (each cell alone) and 1. Received: {self.confluence:g}")

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """Of so many images: (count, size, size, stains)."""
        return (count, self.size, self.size, len(STAIN_SETS[self.stain_set]))


def draw_cells(
    stain_set: str,
    phenotype: str,
    rng: np.random.Generator,
    size: int = 128,
    *,
    scale: float = 1.0,
    confluence: float = 1.0,
    camera: Camera = _CAMERA,
) -> Cells:
    """A crop whose middle is a nucleus, with the cells around it.

    Each stain has one exposure: no image is stretched to its own range.

    Args:
        stain_set: a name of :data:`STAIN_SETS`.
        phenotype: a name of :data:`PHENOTYPES`.
        rng: equal generators give equal images, to the bit.
        size: height and width, pixels, 32 or more.
        scale: size of the cells; at 1 a nucleus measures 28 to 42 pixels.
        confluence: share of the places around the cell that another one grew at, 0..1.
        camera: microscope and camera.

    Raises:
        UserError: as :class:`Culture`.

    >>> draw_cells("nfkb", "tnf-alpha", np.random.default_rng(0)).image.shape
    (128, 128, 2)
    """
    return _draw(Culture(stain_set, (phenotype,), size, scale, confluence), phenotype, rng, camera)


def draw_one(culture: Culture, seed: int, index: int) -> Cells:
    """Crop number ``index`` of a culture, whose phenotypes come in turn."""
    phenotype = culture.phenotypes[index % len(culture.phenotypes)]
    return _draw(culture, phenotype, np.random.default_rng((seed, index)), _CAMERA)


def _draw(culture: Culture, phenotype: str, rng: np.random.Generator, camera: Camera) -> Cells:
    stain_set = culture.stain_set
    side = culture.size + 2 * _MARGIN
    shapes = place(rng, side, phenotype, culture.scale, _BODIES[stain_set], culture.confluence)
    light = {stain: STAINS[stain](rng, shapes) for stain in STAIN_SETS[stain_set]}
    return Cells(
        image=np.stack([camera.take(each, rng, _EXPOSURE[stain]) for stain, each in light.items()], -1),
        nuclei=shapes.nuclei[_INNER],
        cells=shapes.cells[_INNER],
        features=_features(shapes, {stain: each[_INNER] for stain, each in light.items()}),
        phenotype=phenotype,
        stain_set=stain_set,
    )


def draw_images(culture: Culture, count: int, seed: int, *, processes: int = 1) -> NDArray[np.uint8]:
    """Images (count, size, size, stains) to train on, 0..255, phenotypes in turn.

    Args:
        culture: what is drawn.
        count: of images.
        seed: image i is a function of the culture, the seed and i alone.
        processes: that draw at once; with more than one, a script calls this under ``if __name__ == "__main__"``.
    """
    images = np.empty(culture.shape(count), np.uint8)
    one = partial(_draw_image, culture, seed)
    if processes == 1:
        for i in range(count):
            images[i] = one(i)
        return images
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for i, image in enumerate(pool.map(one, range(count), chunksize=32)):
            images[i] = image
    return images


def cached_images(folder: Path, culture: Culture, count: int, seed: int, *, processes: int = 1) -> NDArray[np.uint8]:
    """:func:`draw_images`, kept in a folder: drawn the first time, read from then on.

    The file is named by the arguments and by :data:`VERSION`. One that is damaged is drawn again.
    """
    arguments = json.dumps([VERSION, asdict(culture), count, seed])
    path = folder / f"{culture.stain_set}-{hashlib.sha256(arguments.encode()).hexdigest()[:16]}.npy"
    if path.exists():
        try:
            images = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            images = None
        if images is not None and images.shape == culture.shape(count) and images.dtype == np.uint8:
            return images
    images = draw_images(culture, count, seed, processes=processes)
    folder.mkdir(parents=True, exist_ok=True)
    with file_appears_whole(path, images.nbytes) as partly:
        np.save(partly, images)
    return images


def _draw_image(culture: Culture, seed: int, index: int) -> NDArray[np.uint8]:
    return np.rint(draw_one(culture, seed, index).image * 255).astype(np.uint8)


def _features(shapes: Shapes, light: dict[str, Float32]) -> Features:
    """Of cell 0, from the light of the stains within the crop."""
    cell, nucleus = shapes.cells[_INNER] == 1, shapes.nuclei[_INNER] == 1
    translocation = spots = area = None
    if "NF-kB" in light:
        around = np.asarray(ndimage.distance_transform_edt(~nucleus))
        near, far = (shapes.scale * each for each in _RING)
        ring = (around > near) & (around <= far) & cell & (shapes.nuclei[_INNER] == 0)
        if ring.any():
            translocation = float(light["NF-kB"][nucleus].mean() / light["NF-kB"][ring].mean())
    if "Golgi" in light:
        lit = (light["Golgi"] > _GOLGI) & cell
        labels = np.zeros(lit.shape, np.int32)
        ndimage.label(lit, output=labels)
        spots = int(labels.max())
        area = float(lit.sum() / max(spots, 1))
    return Features(
        nuclear_area=int(nucleus.sum()),
        cell_area=int(cell.sum()),
        nuclear_brightness=float(light["DNA"][nucleus].mean()),
        mitotic=bool(shapes.phase[0] != INTERPHASE),
        translocation=translocation,
        golgi_spots=spots,
        golgi_spot_area=area,
    )
