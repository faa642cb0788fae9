"""Real images of cells for a prior: crops centred on nuclei, cut from any folder of multi-channel images.

Nuclei are found in the DNA channel, each gives one crop, and all crops of a set share one exposure for each channel.
:mod:`relumen.training.bbbc021` reads BBBC021 as published, by the same rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from skimage.measure import regionprops_table
from skimage.transform import rescale

from relumen.configs import Frozen
from relumen.data import image_path
from relumen.errors import UserError
from relumen.images import list_images, read_image
from relumen.training.data import EMPTY
from relumen.training.items import shortened
from relumen.training.nuclei import BACKGROUND, find_nuclei, sharpness
from relumen.training.settings import Region

NFKB = ("DNA", "NF-kB")
"""Channels of the shipped crops of the stain set nfkb."""

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


class CropsConfig(CropRules):
    """A folder of multi-channel images, and what is held out of it."""

    folder: Path = Field(description="Images: multi-channel files, or one file for each channel.")
    channels: dict[str, int] | dict[str, str] = Field(
        min_length=1,
        description="Stains in the order of the crops' channels. Of multi-channel files their index, counted from 0, "
        "such as {actin: 1, DNA: 0}; else a pattern of file names, such as {actin: '*_R.tif', DNA: '*_D.tif'}: files "
        "whose first * stands for the same text belong together, and that text names the field.",
    )
    nuclei: str = Field(default="DNA", description="The stain that shows nuclei.")
    hold_out: tuple[str, ...] = Field(default=(), description="Fields, by name, that are held out as a whole.")
    region: Region | None = Field(
        default=None,
        description="A band of every image that is held out too; no crop reaches across its edge. None: no band.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.nuclei not in self.channels:
            raise ValueError(f"nuclei is one of {', '.join(self.channels)}. Received: {self.nuclei!r}")
        if bad := [str(c) for c in self.channels.values() if (c < 0 if isinstance(c, int) else "*" not in c)]:
            raise ValueError(f"channels are indices from 0, or file names with a *. Received: {', '.join(bad)}")
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


def load_crops(config: CropsConfig, size: int) -> Crops:
    """Cuts the crops of a folder; every file is read once.

    Args:
        config: the folder, and which crops of it.
        size: height and width of a crop, pixels.

    Raises:
        UserError: there is no image, a pattern matches nothing, a field lacks a channel, channels of a field differ
            in size, a held-out field isn't there, or too few nuclei give a crop.
    """
    fields = _fields(config)
    if unknown := [name for name in config.hold_out if name not in fields]:
        raise UserError(f"No field named {', '.join(unknown)} to hold out. There are: {shortened(list(fields))}")
    cutter = Cutter(config, size, tuple(config.channels), config.nuclei, len(fields))
    for name, files in fields.items():
        cutter.add(read_planes(files), Place(name, held_out=name in config.hold_out), region=config.region)
    crops = cutter.crops(str(config.folder))
    wanted = [False, True] if config.hold_out or config.region else [False]
    if any(all(place.held_out != held for place in crops.places) for held in wanted):
        raise UserError("Nothing is left to train on, or nothing is held out: change hold_out or region.")
    return crops


def shipped_crops(
    stain_set: Literal["nfkb"], size: int = 128, zoom: float = 2.0, region: Region | None = None
) -> Crops:
    """Crops of the real images that come with relumen, for a prior of a stain set.

    ``nfkb``: the translocation assay (BBBC014), channels :data:`NFKB`, fields ``01-A-01`` (reporter in the nucleus)
    and ``12-A-12`` (in the cytoplasm). There is one image of each condition, so a band of both is held out, not one of
    them. Its nuclei are 15 pixels across: at zoom 2 they are 30, and nothing in a crop is finer than about 4 pixels.
    Each nucleus has its crop, so crops of neighbours overlap.

    There is none for ``cells`` (actin, tubulin, DNA): HT29 is stained for DNA, phospho-histone H3 and actin, and
    what Kc167's FITC and rhodamine channels show isn't told by their source (a cell cortex and spots; no
    microtubules are seen).

    Args:
        stain_set: "nfkb".
        size: height and width of a crop, pixels.
        zoom: magnification of the images.
        region: what is held out; None: the right third.

    Raises:
        ValueError: no shipped image has the stains of the set.
    """
    if stain_set != "nfkb":
        raise ValueError(f"no shipped image has the stains of {stain_set!r}; there are crops for 'nfkb'")
    dna, reporter = (f"Channel_{channel}-*-00.tif" for channel in (2, 1))
    return load_crops(
        CropsConfig(
            folder=image_path("translocation/Channel_2-01-A-01-00.tif").parent,
            channels=dict(zip(NFKB, (dna, reporter), strict=True)),
            zoom=zoom,
            diameter=16 * zoom,
            area=(round(75 * zoom**2), round(600 * zoom**2)),
            region=region or Region(side="right", share=1 / 3, gap=0),
        ),
        size,
    )


def read_planes(files: Sequence[tuple[Path, int | None]]) -> list[NDArray]:
    """The channels of a field, each (y, x); a file is read once.

    Args:
        files: of each channel the file and its index in it, from 0; None: the file is that channel.

    Raises:
        UserError: a file that can't be read, or has other axes or fewer channels.
    """
    images = {path: read_image(path) for path in dict.fromkeys(path for path, _ in files)}
    for path, index in files:
        image = images[path]
        wanted = "YX" if index is None else "CYX"
        if image.axes != wanted or (index or 0) >= image.channels:
            raise UserError(
                f"{path}: {image.describe()}. Wanted are axes {wanted}"
                + ("" if index is None else f" with a channel {index}, counted from 0")
                + ". Save single planes (no stack, no time series), or state other channels."
            )
    return [images[path].plane({}, index or 0) for path, index in files]


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
        self._pool: list[NDArray] = []  # (channels, pixels) of each field
        self._crops: list[NDArray] = []  # in the files' type and units
        self._backgrounds: list[NDArray] = []
        self._places: list[Place] = []
        self._left_out: Counter[str] = Counter()
        self._areas: list[NDArray] = []

    def add(
        self, planes: Sequence[NDArray], place: Place, *, region: Region | None = None, limit: int | None = None
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

    def _usable(self, dna: NDArray) -> NDArray:
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


def _across(areas: Sequence[int] | NDArray) -> NDArray:
    """Diameters of discs of these areas."""
    return 2 * np.sqrt(np.asarray(areas) / np.pi)


def _reasons(left_out: Mapping[str, int]) -> str:
    return "left out: " + (", ".join(f"{n} {reason}" for reason, n in left_out.items() if n) or "none")


def _zoomed(plane: NDArray, zoom: float) -> NDArray:
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


def _fields(config: CropsConfig) -> dict[str, list[tuple[Path, int | None]]]:
    """File and channel index (None: the file is one channel) of each stain, by the name of the field."""
    files = list_images(config.folder)
    indices = [channel for channel in config.channels.values() if isinstance(channel, int)]
    if indices:
        return {path.name: [(path, index) for index in indices] for path in files}
    found: dict[str, dict[str, Path]] = {}
    for stain, pattern in config.channels.items():
        first, *rest = (re.escape(part) for part in str(pattern).split("*"))
        matches = [(m[1], path) for path in files if (m := re.fullmatch(f"{first}(.+?){'.*'.join(rest)}", path.name))]
        if not matches:
            names = shortened([path.name for path in files])
            raise UserError(f"{stain}: no image in {config.folder} matches {pattern!r}. There are: {names}")
        for name, path in matches:
            if stain in (field := found.setdefault(name, {})):
                raise UserError(f"{field[stain].name} and {path.name} are both {stain} of {name}: {pattern!r} is wide.")
            field[stain] = path
    lacking = [
        f"{name} has no {', '.join(f'{s} ({p})' for s, p in config.channels.items() if s not in field)}"
        for name, field in found.items()
        if len(field) < len(config.channels)
    ]
    if lacking:
        raise UserError(f"Every field needs one image of each stain in {config.folder}: {shortened(lacking)}.")
    return {name: [(found[name][stain], None) for stain in config.channels] for name in sorted(found)}
