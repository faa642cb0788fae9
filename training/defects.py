"""Data of several defects: a subfolder for each, which holds pairs, or defective images alone.

The layout::

    | subfolder | what it holds |
    |---|---|
    | NAME/ | one defect: pairs in any layout of :mod:`relumen.training.folders`, or defective images without partners |
    | clean/ | clean images that belong to no pair; for CIN-GAN |

A folder that is itself such a set of pairs, or a .npz file, is one defect by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Degradation
from relumen.errors import UserError
from relumen.run import write_text
from relumen.training.data import DataSet, judgeable, part_of
from relumen.training.folders import Contents, find_contents, is_data_folder
from relumen.training.settings import DataConfig, Region
from relumen.training.sources import Degradable, Pair, Source, read_sources

Float32 = NDArray[np.float32]

CLEAN = "clean"
"""The subfolder of clean images."""
MANIFEST = "manifest.json"
"""What a data folder that was made says of itself."""
_AS_IT_IS = Degradation(factor=1, blur=(0.0,), photons=None)
_LEAST = 16  # pixels of a held-out image each way: networks halve it up to four times
_PURPOSE = 4  # sets the choice of pairs apart from what else is drawn


@dataclass(frozen=True)
class Defect:
    """The images of one defect.

    Attributes:
        name: of its folder.
        layout: of the folder, in words.
        training: pairs, or defective images alone.
        validation: the held-out ones.
        pixel_sizes: of the images in micrometres, where they are known.
    """

    name: str
    layout: str
    training: tuple[Source, ...]
    validation: tuple[Source, ...]
    pixel_sizes: frozenset[float] = frozenset()

    @property
    def paired(self) -> bool:
        """Whether the clean partners are there."""
        return isinstance(self.training[0], Pair)

    def chosen(self, count: int | None, seed: int) -> tuple[Source, ...]:
        """So many of the training images, spread over all; more of them hold those that fewer hold.

        Args:
            count: of planes; None: all.
            seed: of the choice.

        Raises:
            UserError: there are fewer.
        """
        if count is None:
            return self.training
        if count > len(self.training):
            raise UserError(
                f"{self.name} has {len(self.training)} images to train on, fewer than the {count} asked for."
            )
        # By its name, so that a defect has the same images whichever others are trained with it.
        rng = np.random.default_rng((seed, _PURPOSE, crc32(self.name.encode())))
        order = rng.permutation(len(self.training))
        return tuple(self.training[i] for i in sorted(order[:count]))


def load_defects(config: DataConfig, names: Sequence[str] | None = None) -> tuple[Defect, ...]:
    """Reads the images of each defect of a data folder; inputs and targets have one size.

    Args:
        config: how each subfolder is read.
        names: of the subfolders that are used; None: all but ``clean``.

    Raises:
        UserError: a folder or an image that can't be used, said with its name.
    """
    return tuple(_load(name, config, folder) for name, folder in defect_folders(config, names).items())


def to_judge_on(defects: Sequence[Defect]) -> tuple[Defect, ...]:
    """The same defects, with images to judge on; errors as of :func:`~relumen.training.data.judgeable`."""
    return tuple(replace(defect, validation=judgeable(defect.validation, _LEAST)) for defect in defects)


def defect_folders(config: DataConfig, names: Sequence[str] | None = None) -> dict[str, Path]:
    """The folder, or file, of each defect by its name; arguments as of :func:`load_defects`.

    Raises:
        UserError: there is none, or none of a name.
    """
    place = config.folder
    if not place.exists():
        raise UserError(f"There is no data folder at {place}.")
    if is_data_folder(config):
        found = {place.stem if place.is_file() else place.resolve().name: place}
    else:
        inside = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = {path.name: path for path in inside if path.name != CLEAN}
        found |= {path.stem: path for path in sorted(place.glob("*.npz"))}
    if not found:
        raise UserError(
            f"{place} holds no defect. It has pairs in low/ and high/, or a subfolder of them for each defect."
        )
    if unknown := sorted(set(names or ()) - set(found)):
        raise UserError(f"{place} has no defect {', '.join(unknown)}. It has {', '.join(found)}.")
    return {name: found[name] for name in names or found}


def load_clean(config: DataConfig, folder: Path) -> tuple[Source, ...]:
    """Reads a folder of clean images, or of pairs whose targets are clean, without those that are held out.

    Of images alone none is held out, unless they stand in a subfolder for it; a region is, of each.

    Raises:
        UserError: it holds something else, or an image can't be read.
    """
    contents = _contents(config, folder)
    apart = contents.paired or any((folder / name).is_dir() for name in ("validation", "test"))
    items = contents.training if apart else contents.items
    return read_sources(items, 1, _made_of(contents), part_of(config, held_out=False))[0]


def write_manifest(folder: Path, told: Mapping[str, object]) -> None:
    """Leaves what a data folder says of itself; errors as of :func:`~relumen.run.write_text`."""
    write_text(folder / MANIFEST, json.dumps(dict(told), indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a data folder says of itself; nothing where it has no manifest, or one of another kind."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or somebody else's file
        return {}
    return told if isinstance(told, dict) else {}


def note(folder: Path) -> str:
    """What the manifest of a data folder says of all its images, such as that they are stand-ins; often nothing."""
    found = read_manifest(folder).get("note")
    return found if isinstance(found, str) else ""


def target(source: Source) -> Float32:
    """The clean image (y, x) of a pair, or an image that has no partner."""
    return source.high


def defective(source: Source) -> Float32:
    """The defective image (y, x) of a pair, or an image that has no partner."""
    return source.high if isinstance(source, Degradable) else source.low


def pairs_of(defects: Sequence[Defect], count: int | None, seed: int, region: Region | None = None) -> DataSet:
    """So many pairs of each defect as one data set; the condition of each is its defect.

    Args:
        defects: their images.
        count: of the pairs of each; None: all.
        seed: of the choice.
        region: of every image that is held out, as the defects were read.

    Raises:
        UserError: a defect without clean partners, or with fewer pairs.
    """
    if alone := [defect.name for defect in defects if not defect.paired]:
        raise UserError(
            f"A restorer learns from pairs, and {', '.join(alone)} has defective images alone. Put them in low/ and "
            "their clean partners in high/, or make pairs by CIN-GAN: relumen train cin-gan, relumen data synthesise."
        )
    chosen = [defect.chosen(count, seed) for defect in defects]
    numbers = " + ".join(f"{len(sources)} of {defect.name}" for defect, sources in zip(defects, chosen, strict=True))
    sizes = set().union(*(defect.pixel_sizes for defect in defects))
    return DataSet(
        f"{numbers} ({'; '.join(dict.fromkeys(defect.layout for defect in defects))})",
        tuple(_named(each, defect) for defect, sources in zip(defects, chosen, strict=True) for each in sources),
        tuple(_named(each, defect) for defect in defects for each in defect.validation),
        sizes.pop() if len(sizes) == 1 else None,
        region,
    )


def _named(source: Source, defect: Defect) -> Source:
    return replace(source, name=f"{defect.name}/{source.name}", condition=defect.name)


def _load(name: str, config: DataConfig, folder: Path) -> Defect:
    contents = _contents(config, folder)
    degradation = _made_of(contents)
    training, sizes = read_sources(contents.training, 1, degradation, part_of(config, held_out=False))
    validation, more = read_sources(contents.held_out, 1, degradation, part_of(config, held_out=True))
    known = frozenset(round(size, 6) for size in [*sizes, *more] if size is not None)
    if config.pixel_size_um is not None:
        known = frozenset([config.pixel_size_um])
    return Defect(name, contents.layout, training, validation, known)


def _contents(config: DataConfig, folder: Path) -> Contents:
    """What lies in a folder, once its names have no faults."""
    contents = find_contents(config.model_copy(update={"folder": folder}))
    if contents.faults:
        raise UserError("\n".join(contents.faults))
    return contents


def _made_of(contents: Contents) -> Degradation | None:
    """How images that have no partner are read: as they are; None: they have partners."""
    return None if contents.paired else _AS_IT_IS
