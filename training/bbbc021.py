"""BBBC021 as published: MCF-7 cells stained for actin, tubulin and DNA, treated with 113 compounds.

Folder: ``BBBC021_v1_image.csv``, a row for each of the 13,200 fields of view with its three files, plate, well,
compound and concentration; the images (1280 x 1024, 16 bit) in folders such as ``Week1/Week1_22123``, or
``Week1_22123`` as the archives unpack; ``BBBC021_v1_moa.csv`` (compound, concentration, moa), where it is there.

Reference:
    Ljosa, Sokolnicki & Carpenter, "Annotated high-throughput microscopy image sets for validation", Nature Methods
    2012; Caie et al., "High-content phenotypic profiling of drug response signatures across distinct cancer cells",
    Molecular Cancer Therapeutics 2010.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from pydantic import Field

from relumen.errors import UserError
from relumen.training.crops import read_planes
from relumen.training.cutter import CropRules, Crops, Cutter, Place
from relumen.training.items import shortened

CHANNELS = ("actin", "tubulin", "DNA")
"""Stains of the crops, in order."""

_IMAGES = "BBBC021_v1_image.csv"
_MECHANISMS = "BBBC021_v1_moa.csv"
_STAINS = ("Actin", "Tubulin", "DAPI")  # as the columns name CHANNELS
_PLATE, _WELL = "Image_Metadata_Plate_DAPI", "Image_Metadata_Well_DAPI"
_COMPOUND, _CONCENTRATION = "Image_Metadata_Compound", "Image_Metadata_Concentration"
_COLUMNS = (
    *(f"Image_{part}_{stain}" for stain in _STAINS for part in ("FileName", "PathName")),
    *(_PLATE, _WELL, _COMPOUND, _CONCENTRATION),
)


class BBBC021Config(CropRules):
    """Which crops of BBBC021: 400 for each compound, as for the prior of RLS (Gheisari and Genovesio, Sec. 4.1)."""

    folder: Path = Field(description=f"Holds {_IMAGES} and the folders of images.")
    per_compound: int = Field(default=400, ge=1, description="Most crops of a compound that are trained on.")
    compounds: tuple[str, ...] | None = Field(default=None, description="Compounds, DMSO among them; None: all.")
    plates: tuple[str, ...] | None = Field(default=None, description="Plates, such as [Week1_22123]; None: all.")
    validation: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of each compound's wells that is held out; as many crops are cut of them, beside the "
        "others. A compound with one well has none.",
    )
    per_image: int | None = Field(
        default=10, ge=1, description="Most crops of an image, so that 400 show 40 fields or more; None: all."
    )
    diameter: float = Field(default=40.0, ge=8, description="Typical diameter of a nucleus.")
    area: tuple[int, int] = Field(
        default=(400, 6000), description="Smallest and largest area of a nucleus; compounds make giant ones."
    )
    solidity: float = Field(
        default=0.8, ge=0, le=1, description="Least share of its convex hull that a nucleus fills; some are lobed."
    )


@dataclass(frozen=True)
class _Row:
    """A field of view: its place, its well on its plate, and its files in the order of CHANNELS."""

    place: Place
    well: str
    files: tuple[Path, ...]


def load_bbbc021(config: BBBC021Config, size: int) -> Crops:
    """Cuts crops of every compound, spread over its wells, and within a well over its fields.

    Equal seeds give equal crops. Crops have the channels :data:`CHANNELS`; their places tell field
    (``Week4_27481/G10_s1``), compound, concentration and, where known, mechanism of action.

    Args:
        config: the folder, and which crops of it.
        size: height and width of a crop, pixels.

    Raises:
        UserError: a file or a column is missing, a compound or plate isn't in the table, or too few nuclei give crops.
    """
    rows = _rows(config)
    rng = np.random.default_rng(config.seed)
    parts: list[tuple[list[_Row], int, bool]] = []
    for compound in sorted({row.place.compound for row in rows}):
        mine = [row for row in rows if row.place.compound == compound]
        training, held_out = _split([mine[i] for i in rng.permutation(len(mine))], config.validation)
        parts.append((training, config.per_compound, False))
        parts.append((held_out, math.ceil(config.validation * config.per_compound), True))
    fields = sum(min(len(part), math.ceil(wanted / (config.per_image or max(wanted, 1)))) for part, wanted, _ in parts)
    cutter = Cutter(config, size, CHANNELS, "DNA", fields)
    for part, wanted, held_out in parts:
        cut = 0
        for row in part:
            if cut == wanted:
                break
            planes = read_planes([(file, None) for file in row.files])
            cut += cutter.add(planes, replace(row.place, held_out=held_out), limit=wanted - cut)
    return cutter.crops(str(config.folder))


def _split(rows: Sequence[_Row], share: float) -> tuple[list[_Row], list[_Row]]:
    """Training and held-out rows, each in turns of one from every well."""
    wells: dict[str, list[_Row]] = {}
    for row in rows:
        wells.setdefault(row.well, []).append(row)
    count = min(math.ceil(share * len(wells)), len(wells) - 1)
    parts = list(wells.values())
    training, held_out = (
        [row for row in chain.from_iterable(zip_longest(*part)) if row is not None]
        for part in (parts[count:], parts[:count])
    )
    return training, held_out


def _rows(config: BBBC021Config) -> list[_Row]:
    """The fields of view that are asked for, with files that are there."""
    table = _table(config.folder / _IMAGES, _COLUMNS)
    for column, wanted in ((_COMPOUND, config.compounds), (_PLATE, config.plates)):
        known = sorted({entry[column] for entry in table})
        if unknown := [name for name in wanted or () if name not in known]:
            raise UserError(f"{_IMAGES} has no {', '.join(unknown)} in {column}. There are: {', '.join(known)}")
        table = [entry for entry in table if wanted is None or entry[column] in wanted]
    if not table:
        raise UserError(f"{config.folder / _IMAGES} has no image of these compounds on these plates.")
    mechanisms: dict[tuple[str, float], str] = {}
    if (path := config.folder / _MECHANISMS).is_file():
        for entry in _table(path, ("compound", "concentration", "moa")):
            mechanisms[entry["compound"], _number(entry["concentration"], path)] = entry["moa"]
    rows, missing = [], []
    for entry in table:
        files = tuple(_file(config.folder, entry, stain) for stain in _STAINS)
        missing += [file for file in files if not file.is_file()]
        plate, compound = entry[_PLATE], entry[_COMPOUND]
        concentration = _number(entry[_CONCENTRATION], config.folder / _IMAGES)
        place = Place(
            f"{plate}/{files[-1].stem.partition('_w1')[0]}",
            compound=compound,
            concentration=concentration,
            moa=mechanisms.get((compound, concentration), ""),
        )
        rows.append(_Row(place, f"{plate}/{entry[_WELL]}", files))
    if missing:
        there = sorted({row.well.partition("/")[0] for row in rows if all(file.is_file() for file in row.files)})
        advice = f" State the plates that are there: plates=[{', '.join(there)}]." if there else ""
        raise UserError(
            f"{len(missing)} of {len(_STAINS) * len(rows)} images that {_IMAGES} names are not there: "
            f"{shortened([str(file) for file in missing])}. Unpack the archives of all plates into {config.folder}."
            + advice
        )
    return rows


def _file(folder: Path, entry: dict[str, str], stain: str) -> Path:
    """The image of a stain, under its path as the table tells it or in the folder that its archive unpacks to."""
    within, name = Path(entry[f"Image_PathName_{stain}"]), entry[f"Image_FileName_{stain}"]
    unpacked = folder / within.name / name
    return unpacked if unpacked.is_file() else folder / within / name


def _table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, by column."""
    if not path.is_file():
        raise UserError(f"There is no {path}: BBBC021's folder holds {path.name} beside the folders of images.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise UserError(f"{path} lacks the columns {', '.join(missing)}. It has: {reader.fieldnames}")
        return list(reader)


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{path}: a concentration is a number. Received: {text!r}") from None
