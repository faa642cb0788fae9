"""Real images of cells for a prior: crops centred on nuclei, cut from any folder of multi-channel images.

Nuclei are found in the DNA channel, each gives one crop, and all crops of a set share one exposure for each channel.
:mod:`relumen.training.bbbc021` reads BBBC021 as published, by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from relumen.data import image_path
from relumen.errors import UserError
from relumen.images import list_images, read_image
from relumen.training.cutter import CropRules, Crops, Cutter, Place
from relumen.training.items import shortened
from relumen.training.settings import Region

NFKB = ("DNA", "NF-kB")
"""Channels of the shipped crops of the stain set nfkb."""


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


def read_planes(files: Sequence[tuple[Path, int | None]]) -> list[NDArray[Any]]:
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
    return [np.asarray(images[path].plane({}, index or 0)) for path, index in files]


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
