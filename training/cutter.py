"""Crops centred on nuclei, cut from one field after the other, all in one exposure; and the rules by which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from skimage.measure import regionprops_table
from skimage.transform import rescale

from relumen.configs import Frozen
from relumen.errors import UserError
from relumen.training.data import EMPTY
from relumen.training.nuclei import BACKGROUND, find_nuclei, sharpness
from relumen.training.settings import Region

_FEWEST = 16  # crops; fewer are no set to train on
_POOL = 4_000_000  # pixels of a channel that its exposure is told by


class CropRules(Frozen):
    """Which nuclei give a crop, and how crops are made; lengths and areas are in pixels of the crops."""

    zoom: float = Field(
        default=1.0, gt=0, le=8, description="Magnification of the images, so that nuclei are as large as wanted."
    )
    diameter: float = Field(
        default=32.0, ge=8, description="Typical diameter of a nucleus; what is smoothed and split follows from it."
    )
    area: tuple[int, int] = Field(
        default=(300, 2400), description="Smallest and largest area of a nucleus: discs 20 and 55 pixels across."
    )
    solidity: float = Field(
        default=0.9, ge=0, le=1, description="Least share of its convex hull that a nucleus fills: clumps fill less."
    )
    sharpness: float = Field(
        default=2.0,
        ge=0,
        description="Least sharpness of a nucleus: the median slope of its outline, times the typical diameter, over "
        "its mean brightness above the background. Out of focus it falls.",
    )
    structure: float = Field(
        default=EMPTY,
        ge=0,
        description="Least standard deviation of a crop in each channel, as a share of its image's: an empty one "
        "has less.",
    )
    per_image: int | None = Field(default=None, ge=1, description="Most crops of an image, drawn at random; None: all.")
    exposure: tuple[float, float] = Field(
        default=(0.1, 99.9),
        description="Percentiles that become black and white, of the pixels of all images above their background "
        f"(each image's percentile {BACKGROUND}), for each channel by itself.",
    )
    seed: int = Field(default=0, ge=0, description="Of the nuclei that are drawn where a limit leaves some out.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.area[0] < self.area[1]:
            raise ValueError(f"area is the smallest and the largest, in that order. Received: {self.area}")
        if not 0 <= self.exposure[0] < self.exposure[1] <= 100:
            raise ValueError(f"exposure is two percentiles, in ascending order. Received: {self.exposure}")
        return self


@dataclass(frozen=True)
class Place:
    """Where a crop was cut.

    Attributes:
        field: the image's name.
        y: row of the centre of the nucleus, in pixels of the image as it was read.
        x: column, alike.
        area: of the nucleus, pixels of the crop.
        held_out: whether it is kept from the training.
        compound: that the cells were treated with, where known.
        concentration: of the compound, micromolar.
        moa: mechanism of action, where known.
    """

    field: str
    y: float = 0.0
    x: float = 0.0
    area: int = 0
    held_out: bool = False
    compound: str = ""
    concentration: float | None = None
    moa: str = ""


@dataclass(frozen=True)
class Crops:
    """A set of crops.

    Attributes:
        images: (n, size, size, channels), uint8.
        places: of the n crops.
        channels: names of the stains.
        exposure: for each channel what 0 and 255 stand for, in the files' units above each image's background.
        found: nuclei in all images.
        left_out: why nuclei gave no crop, with how many.
    """

    images: NDArray[np.uint8]
    places: tuple[Place, ...]
    channels: tuple[str, ...]
    exposure: tuple[tuple[float, float], ...]
    found: int
    left_out: Mapping[str, int]

    @property
    def training(self) -> Crops:
        """The crops to train on."""
        return self._part(held_out=False)

    @property
    def held_out(self) -> Crops:
        """The crops that are kept from the training."""
        return self._part(held_out=True)

    def describe(self) -> str:
        """The set in words."""
        held_out = sum(place.held_out for place in self.places)
        size = f"{self.images.shape[1]} x {self.images.shape[2]} pixels"
        return (
            f"{len(self.places)} crops ({held_out} held out) of {size}, {len(self.channels)} channels "
            f"({', '.join(self.channels)}), {self.account()}"
        )

    def account(self) -> str:
        """Of how many images they are, how many nuclei were found there, and why some gave no crop, in words."""
        fields = len({place.field for place in self.places})
        across = np.median(_across([place.area for place in self.places])) if self.places else 0
        return (
            f"of {fields} images; nuclei {across:.0f} pixels across (median); {self.found} nuclei found; "
            f"{_reasons(self.left_out)}"
        )

    def _part(self, *, held_out: bool) -> Crops:
        chosen = [i for i, place in enumerate(self.places) if place.held_out == held_out]
        return replace(self, images=self.images[chosen], places=tuple(self.places[i] for i in chosen))


class Cutter:
    """Cuts crops of one field after the other, and gives all of them one exposure at the end.

    Args:
        rules: see :class:`CropRules`.
        size: height and width of a crop, pixels.
        channels: names of the stains.
        nuclei: the one that shows nuclei.
        fields: about how many will be added, for the pixels that the exposure is told by.
    """

    def __init__(self, rules: CropRules, size: int, channels: tuple[str, ...], nuclei: str, fields: int) -> None:
        self._rules = rules
        self._size = size
        self._channels = channels
        self._dna = channels.index(nuclei)
        self._share = max(_POOL // max(fields, 1), 1000)
        self._pool: list[NDArray[Any]] = []  # (channels, pixels) of each field
        self._crops: list[NDArray[Any]] = []  # in the files' type and units
        self._backgrounds: list[NDArray[Any]] = []
        self._places: list[Place] = []
        self._left_out: Counter[str] = Counter()
        self._areas: list[NDArray[Any]] = []

    def add(
        self, planes: Sequence[NDArray[Any]], place: Place, *, region: Region | None = None, limit: int | None = None
    ) -> int:
        """Cuts the crops of a field.

        Args:
            planes: its channels, each (y, x).
            place: what is known of the field.
            region: a band that is held out.
            limit: most crops, beside the rules' own limit.

        Returns:
            How many were cut.

        Raises:
            UserError: the channels differ in size.
        """
        rules = self._rules
        if len({plane.shape for plane in planes}) > 1:
            sizes = ", ".join(f"{n} {p.shape[0]} x {p.shape[1]}" for n, p in zip(self._channels, planes, strict=True))
            raise UserError(f"The channels of {place.field} differ in size: {sizes}. They must show the same field.")
        rng = np.random.default_rng((rules.seed, len(self._pool)))
        nuclei = rng.permutation(self._usable(planes[self._dna]))
        planes = [_zoomed(plane, rules.zoom) for plane in planes]
        background = np.array([np.percentile(plane, BACKGROUND) for plane in planes], np.float32)
        sampled = rng.integers(planes[0].size, size=min(self._share, planes[0].size))
        self._pool.append(np.stack([p.ravel()[sampled] for p in planes]).astype(np.float32) - background[:, None])
        deviations = np.array([plane.std() for plane in planes])
        kept = 0
        limits = [each for each in (limit, rules.per_image) if each is not None]
        for y, x, area in nuclei:
            window = _window((y + 0.5) * rules.zoom, (x + 0.5) * rules.zoom, self._size, planes[0].shape)
            held_out = None if window is None else _side(window, planes[0].shape, place.held_out, region)
            if window is None or held_out is None:
                self._left_out["too near to an edge"] += 1
                continue
            crop = np.stack([plane[window] for plane in planes], -1)
            if (crop.std((0, 1)) <= rules.structure * deviations).any():
                self._left_out["without structure in a channel"] += 1
            elif limits and kept >= min(limits):
                self._left_out["beyond the limit of an image"] += 1
            else:
                kept += 1
                self._crops.append(crop)
                self._backgrounds.append(background)
                self._places.append(replace(place, y=float(y), x=float(x), area=round(area), held_out=held_out))
        return kept

    def crops(self, source: str) -> Crops:
        """All crops, in one exposure.

        Args:
            source: where they come from, for messages.

        Raises:
            UserError: there are too few, or a channel shows nothing.
        """
        areas = np.concatenate(self._areas)
        black, white = np.percentile(np.concatenate(self._pool, 1), self._rules.exposure, axis=1)
        if blank := [name for name, low, high in zip(self._channels, black, white, strict=True) if not high > low]:
            raise UserError(f"{', '.join(blank)}: nearly all pixels of {source} are alike; the channel shows nothing.")
        if len(self._crops) < _FEWEST:
            across = f", {np.median(_across(areas)):.0f} pixels across (median)" if len(areas) else ""
            raise UserError(
                f"{len(self._crops)} crops could be cut from {source}, and {_FEWEST} are the least: {len(areas)} "
                f"nuclei were found{across}; {_reasons(self._left_out)}. Set zoom so that nuclei are about "
                f"{self._rules.diameter:g} pixels across, change what a rule allows (area, solidity, sharpness, "
                f"structure), cut smaller crops (received: {self._size} pixels; a prior's are its size times "
                "images.binning), or add images."
            )
        images = np.empty((len(self._crops), *self._crops[0].shape), np.uint8)
        for i, (crop, background) in enumerate(zip(self._crops, self._backgrounds, strict=True)):
            images[i] = np.rint(255 * np.clip((crop - background - black) / (white - black), 0, 1))
        exposure = tuple((float(low), float(high)) for low, high in zip(black, white, strict=True))
        return Crops(images, tuple(self._places), self._channels, exposure, len(areas), dict(self._left_out))

    def _usable(self, dna: NDArray[Any]) -> NDArray[Any]:
        """The nuclei that are as the rules want them: y and x in the image, area in a crop (n, 3)."""
        rules = self._rules
        diameter = rules.diameter / rules.zoom
        labels = find_nuclei(dna, diameter)
        found = regionprops_table(labels, properties=("label", "centroid", "area", "solidity"))
        area = found["area"] * rules.zoom**2
        right = (area >= rules.area[0]) & (area <= rules.area[1])
        whole = found["solidity"] >= rules.solidity
        sharp = sharpness(dna, labels, found["label"], diameter) >= rules.sharpness
        self._areas.append(area)
        self._left_out["outside the limits of area"] += int((~right).sum())
        self._left_out["clumped"] += int((right & ~whole).sum())
        self._left_out["out of focus"] += int((right & whole & ~sharp).sum())
        return np.stack([found["centroid-0"], found["centroid-1"], area], 1)[right & whole & sharp]


def _across(areas: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
    """Diameters of discs of these areas."""
    return 2 * np.sqrt(np.asarray(areas) / np.pi)


def _reasons(left_out: Mapping[str, int]) -> str:
    return "left out: " + (", ".join(f"{n} {reason}" for reason, n in left_out.items() if n) or "none")


def _zoomed(plane: NDArray[Any], zoom: float) -> NDArray[Any]:
    """A plane magnified by bicubic interpolation, in its own type."""
    if zoom == 1:
        return np.asarray(plane)
    larger = rescale(plane.astype(np.float32), zoom, order=3, preserve_range=True, anti_aliasing=zoom < 1)
    return (np.rint(larger) if plane.dtype.kind in "iu" else larger).astype(plane.dtype)


def _window(y: float, x: float, size: int, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """The crop around a centre (the first pixel reaches from 0 to 1); None where it leaves the image."""
    top, left = round(y - size / 2), round(x - size / 2)
    if min(top, left) < 0 or top + size > shape[0] or left + size > shape[1]:
        return None
    return slice(top, top + size), slice(left, left + size)


def _side(window: tuple[slice, slice], shape: tuple[int, ...], held_out: bool, region: Region | None) -> bool | None:
    """Whether a crop is held out; None where it is on neither side of the region's edge."""
    if region is None or held_out:
        return held_out
    for side in (False, True):
        parts = region.inside((shape[0], shape[1]), held_out=side)
        if all(part.start <= w.start and w.stop <= part.stop for part, w in zip(parts, window, strict=True)):
            return side
    return None
